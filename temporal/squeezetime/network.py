"""SqueezeTime: a video network whose first convolution has folded time into the channels (arXiv 2405.08344)."""

from dataclasses import dataclass

from torch import Tensor, nn

from tvu.temporal.squeezetime.block import BasicBlock, Bottleneck, Interaction

Four = tuple[int, int, int, int]

DEPTHS: dict[int, tuple[type[BasicBlock] | type[Bottleneck], Four]] = {
    10: (BasicBlock, (1, 1, 1, 1)),
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
    200: (Bottleneck, (3, 24, 36, 3)),
}


def widened(factor: float) -> Four:
    """The widths of the four stages at `factor` times the published ones; fractions are dropped, as published."""
    first, second, third, fourth = (int(width * factor) for width in (64, 128, 256, 512))
    return first, second, third, fourth


@dataclass(frozen=True)
class SqueezeTimeConfig:
    """The shape of a network; the default is the published one: depth 50, 16 frames, 28,887,088 parameters.

    layers:        blocks in each of the four stages.
    is_bottleneck: `Bottleneck` blocks, or `BasicBlock` ones.
    widths:        inner channels of the blocks of each stage.
    num_frames:    T, frames in a clip.
    strides:       of each stage; anything but 1 halves the map. (1, 2, 2, 1) for detection (AVA): a map of 1/16.
    code_sides:    P of the learned position codes of each stage: the sides of its map at 224 x 224 pixels.
    has_max_pool:  whether the stem halves the map a second time.

    Raises ValueError if a value is not positive.
    """

    layers: Four = (3, 4, 6, 3)
    is_bottleneck: bool = True
    widths: Four = (64, 128, 256, 512)
    num_frames: int = 16
    strides: Four = (1, 2, 2, 2)
    code_sides: Four = (56, 28, 14, 7)
    has_max_pool: bool = True

    def __post_init__(self) -> None:
        for name in ("layers", "widths", "strides", "code_sides"):
            value = getattr(self, name)
            if len(value) != 4 or min(value) < 1:
                raise ValueError(f"{name} are four positive numbers, not {value}")
        if self.num_frames < 1:
            raise ValueError(f"num_frames must be at least 1, not {self.num_frames}")

    @classmethod
    def of_depth(cls, depth: int, num_frames: int = 16, width_factor: float = 1.0) -> "SqueezeTimeConfig":
        """The network of a published depth: 10, 18, 34, 50, 101, 152 or 200. Raises ValueError for any other."""
        if depth not in DEPTHS:
            raise ValueError(f"depth must be one of {', '.join(map(str, DEPTHS))}, not {depth}")
        block, layers = DEPTHS[depth]
        return cls(layers, block is Bottleneck, widened(width_factor), num_frames)

    @property
    def block(self) -> type[BasicBlock] | type[Bottleneck]:
        return Bottleneck if self.is_bottleneck else BasicBlock

    @property
    def num_channels(self) -> int:
        """C of the last map."""
        return self.widths[3] * self.block.expansion


def squeeze_time(video: Tensor) -> Tensor:
    """Time into the channels: `[N, 3, T, H, W]` to `[N, 3 * T, H, W]`, all reds first, then all greens, then all blues.

    The paper's figure shows the colours of a frame side by side; the published weights expect this order. A view that
    is not contiguous is copied.
    """
    return video.flatten(1, 2)


class SqueezeTime(nn.Module):
    """The backbone: normalised pixels `[N, 3, T, H, W]` to a map `[N, C, h, w]` (C = 2048, h = H / 32 as published).

    Training needs N >= 2, since some batch norms see one value a clip. Departures from the published class: `train()`
    and `eval()` return self, nothing is moved to a GPU, and any memory layout is accepted.
    Raises ValueError for a video of another shape.
    """

    def __init__(self, config: SqueezeTimeConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or SqueezeTimeConfig()
        stem = config.widths[0]
        self.conv1 = nn.Conv2d(3 * config.num_frames, stem, 5, stride=2, padding=2, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1) if config.has_max_pool else nn.Identity()
        inputs = [stem, *(width * config.block.expansion for width in config.widths[:3])]
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            _stage(config, stage, channels) for stage, channels in enumerate(inputs)
        )
        self.apply(_initialise)

    def forward(self, video: Tensor) -> Tensor:
        return self.stages(video)[-1]

    def stages(self, video: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The maps after each of the four stages, `[N, C_i, h_i, w_i]`; the last is what `forward` gives."""
        if video.ndim != 5 or video.shape[1:3] != (3, self.config.num_frames):
            raise ValueError(f"a video is [N, 3, {self.config.num_frames}, H, W], not {tuple(video.shape)}")
        x = self.maxpool(self.relu(self.bn1(self.conv1(squeeze_time(video)))))
        first = self.layer1(x)
        second = self.layer2(first)
        third = self.layer3(second)
        return first, second, third, self.layer4(third)

    def pooled(self, video: Tensor) -> Tensor:
        """`[N, C]`: the mean of the last map, one vector a clip."""
        return self(video).mean((-2, -1))


def _stage(config: SqueezeTimeConfig, stage: int, channels_in: int) -> nn.Sequential:
    width, code_side = config.widths[stage], config.code_sides[stage]
    channels_out = width * config.block.expansion
    halves, projects = config.strides[stage] != 1, channels_in != channels_out
    first = config.block(channels_in, width, halves=halves, projects=projects, code_side=code_side)
    rest = [
        config.block(channels_out, width, halves=False, projects=False, code_side=code_side)
        for _ in range(config.layers[stage] - 1)
    ]
    return nn.Sequential(first, *rest)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(module, Interaction):
        nn.init.kaiming_normal_(module.pos_embed, mode="fan_out", nonlinearity="relu")


def grouped_by_time(feature: Tensor, num_frames: int = 16) -> Tensor:
    """The channels read back as time, `[N, C, h, w]` to `[N, C / T, T, h, w]`, as the published detector (AVA) does.

    Channel k goes to group k // T, moment k % T. Raises ValueError unless T divides C.
    """
    if feature.shape[1] % num_frames:
        raise ValueError(f"{feature.shape[1]} channels do not divide into {num_frames} moments")
    return feature.unflatten(1, (-1, num_frames))


class ClassHead(nn.Module):
    """Class scores of a map: `[N, C, h, w]` to logits `[N, K]`, by the mean over the map and one linear layer."""

    def __init__(self, num_channels: int, num_classes: int, dropout: float = 0.5) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.fc_cls = nn.Linear(num_channels, num_classes)
        nn.init.normal_(self.fc_cls.weight, std=0.01)
        nn.init.zeros_(self.fc_cls.bias)

    def forward(self, feature: Tensor) -> Tensor:
        return self.fc_cls(self.dropout(feature.mean((-2, -1))))


class SqueezeTimeClassifier(nn.Module):
    """Backbone and head: normalised pixels `[N, 3, T, H, W]` to logits `[N, K]`; K = 400, 600 or 51 as published."""

    def __init__(self, config: SqueezeTimeConfig | None = None, num_classes: int = 400, dropout: float = 0.5) -> None:
        super().__init__()
        self.net = SqueezeTime(config)
        self.head = ClassHead(self.net.config.num_channels, num_classes, dropout)

    def forward(self, video: Tensor) -> Tensor:
        return self.head(self.net(video))
