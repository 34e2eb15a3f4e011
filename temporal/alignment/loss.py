"""What trains the aligners: which seconds belong to a text, and the contrastive losses over them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from tvu.temporal.alignment.similarity import MASKED, TEMPERATURE, UnitVectors


def positive_seconds(starts: Tensor, ends: Tensor, num_seconds: int) -> Tensor:
    """`[S, T]` bool: the whole seconds t with `start <= t <= end` (NSVA; starts, ends `[S]` seconds).

    Both ends count and nothing is rounded: a text between two whole seconds has none.
    """
    seconds = torch.arange(num_seconds, device=starts.device)
    return (starts[:, None] <= seconds) & (seconds <= ends[:, None])


def positive_seconds_half_open(starts: Tensor, ends: Tensor, num_seconds: int) -> Tensor:
    """`[S, T]` bool: the whole seconds t with `start <= t < end` (TAN)."""
    seconds = torch.arange(num_seconds, device=starts.device)
    return (starts[:, None] <= seconds) & (seconds < ends[:, None])


@dataclass(frozen=True)
class AlignmentSample:
    """One video: features `[T, C]`, texts `[S, C]`, positives `[S, T]` bool, alignable `[S]` int64 0 or 1 (or None)."""

    video: Tensor
    text: Tensor
    positives: Tensor
    alignable: Tensor | None = None


@dataclass(frozen=True)
class AlignmentBatch:
    """B videos, padded on the right.

    video, text:                 `[B, T, C]`, `[B, S, C]`; padding repeats the last vector.
    video_padding, text_padding: `[B, T]`, `[B, S]` bool, true at padding.
    positives:                   `[B, S, T]` bool, false at padding.
    alignable:                   `[B, S]` int64, -100 at padding, which losses ignore; None if a sample has none.
    """

    video: Tensor
    video_padding: Tensor
    text: Tensor
    text_padding: Tensor
    positives: Tensor
    alignable: Tensor | None


def collate(samples: Sequence[AlignmentSample]) -> AlignmentBatch:
    """Samples of at least one frame and one text each, as one batch."""
    video, video_padding = _repeat_last([sample.video for sample in samples])
    text, text_padding = _repeat_last([sample.text for sample in samples])
    num_texts, num_frames = text.shape[1], video.shape[1]
    positives = [
        F.pad(p.positives, (0, num_frames - p.positives.shape[1], 0, num_texts - p.positives.shape[0])) for p in samples
    ]
    alignable = [sample.alignable for sample in samples if sample.alignable is not None]
    return AlignmentBatch(
        video,
        video_padding,
        text,
        text_padding,
        torch.stack(positives),
        pad_sequence(alignable, batch_first=True, padding_value=-100) if len(alignable) == len(samples) else None,
    )


def text_to_video_loss(vectors: UnitVectors, positives: Tensor, video_padding: Tensor) -> Tensor:
    """`[L]`: how badly each layer finds the seconds of the texts among all seconds of the batch (NSVA); train its mean.

    For text i, with s = cosine / 0.07 and t over the real frames of all videos:
    `L_i = logsumexp_t s_it - logsumexp_{t in positives(i)} s_it`. A text without positives contributes zero, and like a
    padded one stays in the mean over B * S.
    positives `[B, S, T]` bool, video_padding `[B, T]` bool.
    """
    logits = vectors.cosine_across_batch() / TEMPERATURE
    targets = _across_batch(positives)
    return _text_terms(logits, targets, video_padding).mean(dim=-1)


def mil_nce_loss(
    vectors: UnitVectors, positives: Tensor, text_padding: Tensor, video_padding: Tensor | None = None
) -> Tensor:
    """`[]`: symmetric MIL-NCE of one encoder, averaged over its stages (TAN; Han et al. 2022, section 3.3).

    Half of it is `text_to_video_loss` averaged over the texts that have positives, half the same with the roles
    exchanged, averaged over the frames that have them. TAN trains `(dual + joint) / 2`.
    positives `[B, S, T]` bool. Padded texts take no part. Padded frames do, in the official loss, as frames that fit
    no text; with `video_padding` `[B, T]` they do not. Without any positive the loss is zero, officially NaN.
    """
    real = ~text_padding.flatten()
    logits = vectors.cosine_across_batch()[:, real] / TEMPERATURE
    targets = _across_batch(positives)[real]
    hidden = torch.zeros_like(targets[0]) if video_padding is None else video_padding.flatten()
    texts = _text_terms(logits, targets, hidden)
    seen = logits[:, :, ~hidden].transpose(-1, -2)
    frames = _text_terms(seen, targets[:, ~hidden].T, torch.zeros_like(targets[:, 0]))
    return (_mean_where(texts, targets.any(dim=-1)) + _mean_where(frames, targets[:, ~hidden].any(dim=0))) / 2


def _text_terms(logits: Tensor, targets: Tensor, padding: Tensor) -> Tensor:
    """`[L, N]` of logits `[L, N, M]`: what each row loses by what lies outside its targets `[N, M]`."""
    hidden = padding.flatten()
    everything = logits.masked_fill(hidden, MASKED).logsumexp(dim=-1)
    wanted = logits.masked_fill(~targets | hidden, MASKED).logsumexp(dim=-1)
    return (everything - wanted).masked_fill(~targets.any(dim=-1), 0)


def _mean_where(terms: Tensor, kept: Tensor) -> Tensor:
    """Mean over layers and kept rows; the others are zero already."""
    return terms.sum(dim=-1).mean() / kept.sum().clamp(min=1)


def _across_batch(positives: Tensor) -> Tensor:
    """`[B, S, T]` to `[B * S, B * T]`: a text has positives in its own video only."""
    return torch.block_diag(*positives).bool()


def _repeat_last(sequences: list[Tensor]) -> tuple[Tensor, Tensor]:
    """`[B, T, C]` with the last vector of each repeated to the longest, and `[B, T]` bool, true at the repeats."""
    lengths = torch.tensor([len(sequence) for sequence in sequences], device=sequences[0].device)
    steps = torch.arange(int(lengths.max()), device=lengths.device)
    padded = pad_sequence(sequences, batch_first=True)
    index = torch.minimum(steps, lengths[:, None] - 1)
    return padded.gather(1, index[..., None].expand(-1, -1, padded.shape[-1])), steps >= lengths[:, None]
