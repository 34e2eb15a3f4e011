"""TAPE, temporal adaptive position encoding: where in the video a token lies (TimeSuite, arXiv 2410.19702)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tvu.temporal.reduction.means import without_padding

STRIDE = 4
"""Of both stages down and, as nearest repetition, of both stages up."""


class ChannelNorm(nn.Module):
    """LayerNorm over the channels of `[B, C, L]`; official key `layer_norm`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layer_norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer_norm(x.transpose(1, 2)).transpose(1, 2)


def separable(channels: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Depthwise convolution, pointwise convolution, norm, exact GELU."""
    return nn.Sequential(
        nn.Conv1d(channels, channels, kernel, stride, padding=kernel // 2, groups=channels),
        nn.Conv1d(channels, channels, 1),
        ChannelNorm(channels),
        nn.GELU(),
    )


class TemporalAdapter(nn.Module):
    """A U-net along the tokens of a video, official key names.

    With len the number of pooled tokens: a = linear_input(x); x0 = mean of merge_len neighbours -> len;
    x1 = DwConv1(x0) -> len / 4; x2 = fc(DwConv2(x1)) -> len / 16; y1 = UpConv1(up(x2) + x1);
    y0 = UpConv0(up(y1) + x0); out = linear_output(y0). `linear_output` starts at zero: added to the tokens, an
    untrained adapter changes nothing. A convolution that pads with zeros is all that tells a position.

    merge_len: tokens averaged at first, as many as `TokenShuffle` merges; even (4 in the published model).
    num_clips: of 8 frames each; even. The width of `fc` is num_clips + 1, so weights fit one number of clips.

    Odd numbers, with which the official module fails or misses a token, are a ValueError.
    """

    def __init__(self, merge_len: int, num_clips: int, channels: int, hidden: int, width: int) -> None:
        super().__init__()
        if merge_len % 2 or num_clips % 2 or min(merge_len, num_clips) < 2:
            raise ValueError(f"TAPE needs even numbers, not clips of {num_clips} and neighbours of {merge_len}")
        self.merge_len = merge_len
        self.linear_input = nn.Linear(channels, hidden)
        self.pool = nn.AvgPool1d(merge_len)
        self.DwConv1 = separable(hidden, 2 * merge_len + 1, STRIDE)
        self.DwConv2 = separable(hidden, 2 * merge_len + 1, STRIDE)
        self.fc = nn.Sequential(
            nn.Conv1d(hidden, hidden, num_clips + 1, padding=num_clips // 2), ChannelNorm(hidden), nn.GELU()
        )
        self.UpConv1 = separable(hidden, merge_len + 1)
        self.UpConv0 = separable(hidden, merge_len + 1)
        self.linear_output = nn.Linear(hidden, width)
        nn.init.zeros_(self.linear_output.weight)
        nn.init.zeros_(self.linear_output.bias)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """x `[B, L, channels]`, lengths `[B]` real tokens (all L if None). Returns `[B, L / merge_len, width]`.

        L and every length are multiples of 16 merge_len (ValueError for L; the rest of a length would be taken as
        padding). A video of a ragged batch gets what it would get alone: its padding is zero before every convolution.
        """
        if x.shape[1] % (self.merge_len * STRIDE**2):
            raise ValueError(f"TAPE needs a multiple of {self.merge_len * STRIDE**2} tokens, not {x.shape[1]}")
        if lengths is None:
            lengths = torch.full((x.shape[0],), x.shape[1], device=x.device)

        def real(x: Tensor, tokens_each: int) -> Tensor:
            return without_padding(x.transpose(1, 2), lengths // tokens_each).transpose(1, 2)

        each = self.merge_len, self.merge_len * STRIDE, self.merge_len * STRIDE**2
        projected = self.linear_input(without_padding(x, lengths)).transpose(1, 2)
        x0 = real(self.pool(projected), each[0])
        x1 = real(self.DwConv1(x0), each[1])
        x2 = real(self.DwConv2(x1), each[2])
        y1 = self.UpConv1(real(upsample(self.fc(x2)), each[1]) + x1)
        y0 = self.UpConv0(real(upsample(y1), each[0]) + x0)
        return without_padding(self.linear_output(y0.transpose(1, 2)), lengths // each[0])


def upsample(x: Tensor) -> Tensor:
    """Each of the L positions of `[B, C, L]` four times."""
    return F.interpolate(x, scale_factor=STRIDE, mode="nearest")
