"""A long video as SqueezeTime tokens: what moves in each snippet of T frames, with the snippet's own span."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from tvu.temporal.squeezetime.network import SqueezeTime
from tvu.temporal.squeezetime.views import normalise
from tvu.temporal.types import VisualTokens


def snippet_frames(num_frames: int, length: int, hop: int) -> Tensor:
    """`[S, length]` int64: the frames of every snippet of a video of `num_frames`.

    A snippet starts every `hop` frames; the last is moved back to end with the video. A video shorter than a snippet
    is one snippet whose last frame stays.
    """
    if min(num_frames, length, hop) < 1:
        raise ValueError(f"frames, length and hop are at least 1, not {num_frames}, {length}, {hop}")
    last = max(num_frames - length, 0)
    starts = torch.arange(math.ceil(last / hop) + 1) * hop
    return (starts.clamp(max=last)[:, None] + torch.arange(length)).clamp(max=num_frames - 1)


def snippet_tokens(
    frames: Tensor,
    spans: Tensor,
    network: SqueezeTime,
    *,
    hop: int | None = None,
    grid: tuple[int, int] = (1, 1),
    lengths: Tensor | None = None,
    batch_snippets: int = 8,
) -> VisualTokens:
    """The fast path of a Video-LLM: B videos of F frames to features `[B, S, rows * columns, C]`, a slot a snippet.

    frames:  uint8 RGB `[B, F, 3, H, W]`; spans: float64 `[B, F, 2]` seconds, how long each frame is on the screen.
    hop:     frames from one snippet to the next; by default they follow each other.
    grid:    (rows, columns) of tokens that the last map is averaged to; (1, 1) gives one motion vector a snippet.
    lengths: int64 `[B]`, the real frames of each video, at least 1.

    The span of a slot is the union of its frames' spans. Its sources are the mean frame, and the mean row and column
    in the network's last map. Gradients flow to the network unless the caller turned them off.
    """
    if frames.ndim != 5 or frames.shape[2] != 3 or frames.dtype != torch.uint8:
        raise ValueError(f"frames are uint8 [B, F, 3, H, W], not {frames.dtype} {tuple(frames.shape)}")
    if spans.shape != (*frames.shape[:2], 2):
        raise ValueError(f"spans of frames {tuple(frames.shape)} are [B, F, 2], not {tuple(spans.shape)}")
    counts = [frames.shape[1]] * len(frames) if lengths is None else lengths.tolist()
    length = network.config.num_frames
    step = length if hop is None else hop
    chosen = [snippet_frames(count, length, step).to(frames.device) for count in counts]
    clips = [(video, snippet) for video, snippets in enumerate(chosen) for snippet in snippets]
    dtype = network.conv1.weight.dtype

    tokens = []
    for first in range(0, len(clips), batch_snippets):
        pixels = torch.stack([frames[video, snippet] for video, snippet in clips[first : first + batch_snippets]])
        last_map = network(normalise(pixels.transpose(1, 2), dtype))
        tokens.append(functional.adaptive_avg_pool2d(last_map, grid).flatten(2).transpose(1, 2))
    features = torch.nn.utils.rnn.pad_sequence(torch.cat(tokens).split([len(snippets) for snippets in chosen]), True)

    # Slots of padding repeat the last snippet's time, so that spans stay sorted.
    slots = features.shape[1]
    padded = torch.stack([snippets[torch.arange(slots).clamp(max=len(snippets) - 1)] for snippets in chosen])
    of_frames = torch.stack([spans[video, snippets] for video, snippets in enumerate(padded)])  # [B, S, T, 2]
    return VisualTokens(
        features=features,
        spans=torch.stack([of_frames[..., 0].amin(-1), of_frames[..., 1].amax(-1)], dim=-1),
        grid=grid,
        sources=_sources(padded, (last_map.shape[-2], last_map.shape[-1]), grid),
        lengths=torch.tensor([len(snippets) for snippets in chosen], device=frames.device),
    )


def _sources(frames: Tensor, map_size: tuple[int, int], grid: tuple[int, int]) -> Tensor:
    """`[B, S, N, 3]` float32: mean (t, y, x) of the places that were averaged into each token."""
    axes = [torch.arange(size, device=frames.device, dtype=torch.float32) for size in map_size]
    place = torch.stack(torch.meshgrid(*axes, indexing="ij"))  # [2, h, w]
    place = functional.adaptive_avg_pool2d(place, grid)
    place = place.flatten(1).T.expand(*frames.shape[:2], -1, -1)
    moment = frames.float().mean(-1)[..., None, None].expand(*place.shape[:3], 1)
    return torch.cat([moment, place], dim=-1)
