"""From which frame and second a token is, added to it: VTG-LLM's sequence-time embedding (arXiv 2405.13382)."""

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tvu.temporal.errors import TvuError
from tvu.temporal.reduction.means import frame_mask
from tvu.temporal.types import VisualTokens


class SequenceTimeEmbedding(nn.Module):
    """z_ij + Ws[i] + Wt[s_i] for token j of frame i, shown at whole second s_i.

    Parameters under their official names: `video_frame_position_embedding.weight [max_frames, C]` (Ws) and
    `video_time_position_embedding [max_seconds, C]` (Wt). Both start at zero, so that an untrained module changes
    nothing; the published sizes are 96 and 8192. With `max_seconds` 0 there is no Wt and frames know only their index.

    The official code picks rows of Wt by a product with one-hot vectors; a gather gives the same rows. On a GPU that
    product runs in half precision: `rounded_to_half` makes the table that it adds.
    """

    def __init__(self, channels: int, max_frames: int = 96, max_seconds: int = 8192) -> None:
        super().__init__()
        self.video_frame_position_embedding = nn.Embedding(max_frames, channels)
        nn.init.zeros_(self.video_frame_position_embedding.weight)
        self.video_time_position_embedding = (
            nn.Parameter(torch.zeros(max_seconds, channels)) if max_seconds > 0 else None
        )

    def forward(self, features: Tensor, seconds: Tensor) -> Tensor:
        """features `[B, T, N, C]`, seconds `[B, T]` int64 whole seconds. Returns `[B, T, N, C]`, dtype of the features.

        Raises TvuError where there are more frames than Ws has rows, or a second that Wt lacks: its last row would say
        another time. The sum is made in the wider of the two dtypes.
        """
        frames = features.shape[1]
        by_frame = self.video_frame_position_embedding.weight
        if frames > by_frame.shape[0]:
            raise TvuError(
                f"{frames} frames are more than the {by_frame.shape[0]} that the model has positions for",
                hint=f"sample at most {by_frame.shape[0]} frames",
            )
        position = by_frame[:frames].expand(features.shape[0], -1, -1)
        by_second = self.video_time_position_embedding
        if by_second is not None:
            if not ((seconds >= 0) & (seconds < by_second.shape[0])).all():
                raise TvuError(
                    f"the model knows the seconds 0 to {by_second.shape[0] - 1}, "
                    f"not {int(seconds.min())} to {int(seconds.max())}",
                    hint="cut the part to look at into a file of its own",
                )
            position = position + by_second[seconds]
        return (features + position.unsqueeze(2)).to(features.dtype)


def add_sequence_time(tokens: VisualTokens, embedding: SequenceTimeEmbedding) -> VisualTokens:
    """The same tokens, each knowing its frame and the whole second at which its span starts; padding as second 0."""
    starts = torch.where(frame_mask(tokens.lengths, tokens.spans.shape[1]), tokens.spans[..., 0], 0)
    return replace(tokens, features=embedding(tokens.features, whole_seconds(starts)))


def whole_seconds(seconds: Tensor) -> Tensor:
    """Times as the model counts them: rounded to one decimal, then to a whole second, halves to even both times.

    seconds `[B, T]` float64. Returns `[B, T]` int64. The decimal is that of Python's `round`, which is exact where
    scaling by ten is not (the double 2.55 lies below it, and is 2.5), so the few numbers are rounded one by one.
    """
    rounded = [[round(round(time, 1)) for time in video] for video in seconds.tolist()]
    return torch.tensor(rounded, dtype=torch.int64, device=seconds.device).reshape(seconds.shape)


def rounded_to_half(table: Tensor) -> Tensor:
    """`table` with every value rounded to float16: what the official code adds where it runs under half autocast."""
    return table.half().to(table.dtype)


def resize_frame_positions(table: Tensor, num_frames: int) -> Tensor:
    """Ws `[F, C]` for `num_frames` frames, new row i being old row floor(i F / num_frames)."""
    return F.interpolate(table.T[None], size=num_frames, mode="nearest")[0].T


def fill_untrained_seconds(table: Tensor) -> Tensor:
    """Wt `[S, C]` with linear interpolation in place of its zero rows, the seconds that no training video had.

    Row k between trained rows l < k < r becomes ((r - k) Wt[l] + (k - l) Wt[r]) / (r - l); before the first trained row
    and after the last one it is that row. A table without trained rows stays zero. This is what interpolation means;
    `fill_untrained_seconds_official` is what the official code does.
    """
    trained = (table != 0).any(dim=1).nonzero().flatten()
    if not len(trained):
        return table.clone()
    rows = torch.arange(len(table), device=table.device)
    after = torch.searchsorted(trained, rows).clamp(max=len(trained) - 1)
    right = trained[after]
    left = torch.where(right > rows, trained[(after - 1).clamp(min=0)], right)
    share = ((rows - left).double() / (right - left).clamp(min=1)).clamp(0, 1).to(table.dtype)[:, None]
    return torch.lerp(table[left], table[right], share)


def fill_untrained_seconds_official(table: Tensor) -> Tensor:
    """Wt `[S, C]` as the official evaluation (`time_embedding_interpolation: True`) fills it, for its scores.

    It departs from linear interpolation in three ways. The two weights are exchanged, so that row k gets what belongs
    to l + r - k. Rows before the first trained one take row 0, zero or just filled, as l. Rows after the last one take
    row -1, the table's last, as r with that index: weights of opposite sign, some large, and since each run is filled
    from its end they read a last row that was filled a moment ago.
    """
    filled = table.clone()
    trained = (table != 0).any(dim=1).nonzero().flatten().tolist()
    left, start = 0, 0
    for right in [*trained, -1]:
        end = right if right >= 0 else len(table)
        for row in reversed(range(start, end)):
            between = right - left
            filled[row] = filled[left] * (row - left) / between + filled[right] * (right - row) / between
        left, start = right, end + 1
    return filled
