"""Visual rows into a prompt: a sentinel id stands for a video until both are embeddings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from tvu.temporal.types import VisualTokens

VISUAL_ID = -200
"""Stands in a prompt where a video goes; no vocabulary has it."""

IGNORED_LABEL = -100
"""A position that the loss does not look at."""


@dataclass(frozen=True)
class SplicedPrompt:
    """Prompts whose sentinels have become visual rows, the shorter ones padded on the right.

    embeddings:     `[B, L', C]`, zeros in the padding.
    attention_mask: `[B, L']`, dtype of the given one: one for visual rows, zero for padding, as given for text.
    is_visual:      `[B, L']` bool.
    labels:         `[B, L']` int64, -100 for visual rows and padding, as given for text; None if none were.
    """

    embeddings: Tensor
    attention_mask: Tensor
    is_visual: Tensor
    labels: Tensor | None


def splice(
    input_ids: Tensor,
    embed: Callable[[Tensor], Tensor],
    visual: Sequence[Sequence[Tensor]],
    attention_mask: Tensor | None = None,
    labels: Tensor | None = None,
) -> SplicedPrompt:
    """Each `VISUAL_ID` of `input_ids [B, L]` replaced by rows of visual embeddings.

    embed:          ids to embeddings `[..., C]`, the language model's table.
    visual:         for each prompt the rows `[R, C]` of its sentinels, in order, cast to the text's dtype.
    attention_mask: `[B, L]`, 0 for padding of the prompt; all 1 if None. labels: `[B, L]` int64.

    The mask of the text keeps its places. The official LITA code puts the new ones in front of the mask instead, which
    is the same for prompts padded on the right, the only ones it builds. Raises ValueError where a prompt has another
    number of sentinels than of videos.
    """
    if len(visual) != len(input_ids):
        raise ValueError(f"{len(input_ids)} prompts, and videos for {len(visual)}")
    if attention_mask is None:
        attention_mask = torch.ones_like(input_ids, dtype=torch.bool)
    rows: dict[str, list[Tensor]] = {"embeddings": [], "mask": [], "is_visual": [], "labels": []}
    for b, videos in enumerate(visual):
        at = (input_ids[b] == VISUAL_ID).nonzero().flatten().tolist()
        if len(at) != len(videos):
            raise ValueError(f"prompt {b} has a place for {len(at)} videos, and {len(videos)} were given")
        text = embed(input_ids[b].clamp(min=0))
        videos = [video.to(text) for video in videos]
        counts = [len(video) for video in videos]
        rows["embeddings"].append(_replaced(text, at, videos))
        rows["mask"].append(_replaced(attention_mask[b], at, [attention_mask.new_ones(n) for n in counts]))
        is_text = torch.zeros_like(input_ids[b], dtype=torch.bool)
        rows["is_visual"].append(_replaced(is_text, at, [is_text.new_ones(n) for n in counts]))
        if labels is not None:
            ignored = [labels.new_full((n,), IGNORED_LABEL) for n in counts]
            rows["labels"].append(_replaced(labels[b], at, ignored))
    return SplicedPrompt(
        embeddings=pad_sequence(rows["embeddings"], batch_first=True),
        attention_mask=pad_sequence(rows["mask"], batch_first=True),
        is_visual=pad_sequence(rows["is_visual"], batch_first=True),
        labels=None if labels is None else pad_sequence(rows["labels"], True, IGNORED_LABEL),
    )


def rows_of(tokens: VisualTokens) -> list[Tensor]:
    """The real tokens of each video as rows `[R, C]`, frame by frame: what `splice` puts in place of a sentinel."""
    flat = tokens.flatten()
    return [video[:length, 0] for video, length in zip(flat.features, flat.lengths.tolist(), strict=True)]


def _replaced(row: Tensor, at: Sequence[int], pieces: Sequence[Tensor]) -> Tensor:
    """`row [L, ...]` with the entry at each of `at` replaced by a piece `[R, ...]`."""
    joined, start = [], 0
    for place, piece in zip(at, pieces, strict=True):
        joined += [row[start:place], piece]
        start = place + 1
    return torch.cat([*joined, row[start:]])
