"""The channel-time learning block of SqueezeTime ("No Time to Waste", arXiv 2405.08344, section 3.2).

The names of parameters are those of the published files.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional

CODE_CHANNELS = 16  # of the narrow path of the interaction branch, whatever the number of frames


def resized_code(code: Tensor, height: int, width: int) -> Tensor:
    """A learned position code `[1, C, P, P]` for a map of `height` x `width`: bilinear with aligned corners.

    A map of P x P gets the code itself.
    """
    if code.shape[-2:] == (height, width):
        return code
    return functional.interpolate(code, (height, width), mode="bilinear", align_corners=True)


class Interaction(nn.Module):
    """Inter-temporal object interaction, xi(F + tau): what the same place, and its neighbours, hold at other times.

    `y = Conv3x3(x) * sigmoid(Conv3x3(relu(BN(Conv7x7(relu(BN(Conv3x3(p * x))) + E)))))`, where E is the learned
    position code. As in the published code, the first factor sees `x` without the weights `p`.
    """

    def __init__(self, channels_in: int, channels_out: int, code_side: int) -> None:
        super().__init__()
        self.short_conv = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.glo_conv = nn.Sequential(
            nn.Conv2d(channels_in, CODE_CHANNELS, 3, padding=1),
            nn.BatchNorm2d(CODE_CHANNELS),
            nn.ReLU(inplace=True),
            nn.Conv2d(CODE_CHANNELS, CODE_CHANNELS, 7, padding=3),
            nn.BatchNorm2d(CODE_CHANNELS),
            nn.ReLU(inplace=True),
            nn.Conv2d(CODE_CHANNELS, channels_out, 3, padding=1),
            nn.Sigmoid(),
        )
        self.pos_embed = nn.Parameter(torch.zeros(1, CODE_CHANNELS, code_side, code_side))

    def forward(self, x: Tensor, weighted: Tensor) -> Tensor:
        """x and weighted `[N, C_in, h, w]`, the second with every channel times its weight; `[N, C_out, h, w]`."""
        narrow = self.glo_conv[:3](weighted)
        gate = self.glo_conv[3:](narrow + resized_code(self.pos_embed, *narrow.shape[-2:]))
        return self.short_conv(x) * gate


class ChannelTime(nn.Module):
    """Channel-time learning: `F' = beta(F) + xi(F + tau)`, maps `[N, C_in, h, w]` to `[N, C_out, h, w]`.

    beta, temporal focus convolution, is a 1x1 convolution of the map with every channel times a weight in (0, 1) that
    depends on the whole map: with time in the channels, it is what weighs the frames. xi is `Interaction`.
    The paper draws a maximum over the map where the published code, and this, take the mean.
    """

    def __init__(self, channels_in: int, channels_out: int, code_side: int) -> None:
        super().__init__()
        self.param_conv = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels_in, channels_in, 1, bias=False),
            nn.BatchNorm2d(channels_in),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels_in, channels_in, 1, bias=False),
            nn.Sigmoid(),
        )
        self.temporal_conv = nn.Conv2d(channels_in, channels_out, 1, bias=False)
        self.spatial_conv = Interaction(channels_in, channels_out, code_side)

    def forward(self, x: Tensor) -> Tensor:
        weighted = self.param_conv(x) * x
        return self.temporal_conv(weighted) + self.spatial_conv(x, weighted)


class _Block(nn.Module, ABC):
    """What both blocks share: the map is halved first, for the shortcut as well, so odd sizes lose their last line."""

    expansion: int

    def __init__(self, channels_in: int, width: int, halves: bool, projects: bool) -> None:
        """halves: whether the block halves the map; projects: whether its shortcut is a convolution."""
        super().__init__()
        channels_out = width * self.expansion
        if not projects and channels_in != channels_out:
            raise ValueError(f"a block from {channels_in} to {channels_out} channels needs a projected shortcut")
        self.relu = nn.ReLU(inplace=True)
        self.shortcut_conv: nn.Module = nn.Identity()
        if projects:
            shortcut = nn.Conv2d(channels_in, channels_out, 1, bias=False)
            self.shortcut_conv = nn.Sequential(shortcut, nn.BatchNorm2d(channels_out))
        self.downsample: nn.Module = nn.Identity()
        if halves:
            halving = nn.Conv2d(channels_in, channels_in, 2, stride=2, groups=channels_in)
            self.downsample = nn.Sequential(halving, nn.BatchNorm2d(channels_in))

    @abstractmethod
    def main(self, x: Tensor) -> Tensor:
        """The path beside the shortcut."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.downsample(x)
        return self.relu(self.main(x) + self.shortcut_conv(x))


class BasicBlock(_Block):
    """Two channel-time modules, maps `[N, C_in, h, w]` to `[N, width, h', w']`; depths 10, 18 and 34.

    The position code of the first is 7x7 whatever the map: so it is in the published code, which does not pass the
    side on, and so it must be for its files.
    """

    expansion = 1

    def __init__(self, channels_in: int, width: int, *, halves: bool, projects: bool, code_side: int) -> None:
        super().__init__(channels_in, width, halves, projects)
        self.conv1 = ChannelTime(channels_in, width, 7)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = ChannelTime(width, width, code_side)
        self.bn2 = nn.BatchNorm2d(width)

    def main(self, x: Tensor) -> Tensor:
        return self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))


class Bottleneck(_Block):
    """1x1, channel-time module, 1x1: maps `[N, C_in, h, w]` to `[N, 4 * width, h', w']`; depths 50 and more."""

    expansion = 4

    def __init__(self, channels_in: int, width: int, *, halves: bool, projects: bool, code_side: int) -> None:
        super().__init__(channels_in, width, halves, projects)
        self.conv1 = nn.Conv2d(channels_in, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = ChannelTime(width, width, code_side)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)

    def main(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        return self.bn3(self.conv3(x))
