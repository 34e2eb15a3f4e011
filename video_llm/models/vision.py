"""Vision towers: frames to a grid of feature vectors, one interface for every network that sees."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tvu.video_llm.encode import SIDE, Pixels, squashed
from tvu.weights.load import located

LITE0 = "efficientnet-lite0"
LITE0_GRID, LITE0_CHANNELS = 7, 1280


class VisionTower(nn.Module):
    """A network that turns every frame into a grid of feature vectors.

    channels:  C, the width of a feature vector.
    grid:      rows and columns; a frame has rows * columns tokens, row after row.
    side:      pixels; the frames it takes are squares of `side`.
    mean, std: what its pixels are normalised with, per RGB channel, in units of 0..255.
    """

    channels: int
    grid: tuple[int, int]
    side: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def forward(self, frames: Tensor) -> Tensor:
        """Frames to features.

        frames: uint8 or floating `[K, 3, side, side]`, RGB in 0..255, as `resized` gives them.
        Returns `[K, rows * columns, C]` in the dtype of the weights.
        """
        return self.features(self.normalised(frames))

    def features(self, unit: Tensor) -> Tensor:
        """Normalised frames `[K, 3, side, side]` to `[K, rows * columns, C]`, both in the dtype of the weights."""
        raise NotImplementedError

    def resized(self, pixels: Pixels) -> Pixels:
        """Frames of any shape as the tower was trained to see them: uint8 `[T, 3, H, W]` to `[T, 3, side, side]`."""
        raise NotImplementedError

    def normalised(self, frames: Tensor) -> Tensor:
        """(frames - mean) / std, computed in float32 and rounded once to the dtype of the weights."""
        if frames.ndim != 4 or frames.shape[1:] != (3, self.side, self.side):
            raise ValueError(f"frames must be [K, 3, {self.side}, {self.side}], not {tuple(frames.shape)}")
        dtype = next(self.parameters()).dtype
        wide = frames.to(torch.promote_types(dtype, torch.float32))
        if len({*self.mean}) == len({*self.std}) == 1:
            return ((wide - self.mean[0]) / self.std[0]).to(dtype)
        # numbers in place of tensors: nothing to copy to the device, and nothing that a meta device would lose
        channels = zip(wide.unbind(1), self.mean, self.std, strict=True)
        return torch.stack([(channel - mean) / std for channel, mean, std in channels], dim=1).to(dtype)


class Lite0Tower(VisionTower):
    """EfficientNet-Lite0 (timm's tf_efficientnet_lite0): its last feature map, 1280 channels on a grid of 7 x 7.

    Of its two last maps (320 channels before the head's 1x1 convolution, 1280 after it) the wide one is taken: its mean
    over the grid is the feature vector that ImageNet's classifier and tvu's feature cache know, and the convolution,
    norm and ReLU6 between them are too much for a linear projector to learn again.

    grid: rows and columns asked for; fewer than 7 are means over cells (`adaptive_avg_pool2d`, whose cells overlap
          where 7 is not divisible).
    Raises ValueError for a grid outside 1..7.
    """

    side = SIDE
    channels = LITE0_CHANNELS
    mean = std = (127.5, 127.5, 127.5)

    def __init__(self, grid: int = LITE0_GRID) -> None:
        super().__init__()
        if not 1 <= grid <= LITE0_GRID:
            raise ValueError(f"EfficientNet-Lite0 has a grid of 1 to {LITE0_GRID}, not {grid}")
        import timm

        self.grid = (grid, grid)
        self.net: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0, global_pool="")

    def train(self, mode: bool = True) -> "Lite0Tower":
        """The statistics of its batch norms stay ImageNet's: the frames of a video are too much alike to renew them."""
        super().train(mode)
        self.net.eval()
        return self

    def features(self, unit: Tensor) -> Tensor:
        if not unit.is_cuda:  # channels side by side: 94 frames a second in place of 55, on 2 cores
            unit = unit.contiguous(memory_format=torch.channels_last)
        maps = self.net.forward_features(unit)
        if self.grid != (LITE0_GRID, LITE0_GRID):
            maps = nn.functional.adaptive_avg_pool2d(maps, self.grid)
        return maps.flatten(2).transpose(1, 2)

    def resized(self, pixels: Pixels) -> Pixels:
        """Squashed: a crop would lose what happens at the edges, and it costs Lite0 nothing (see `squashed`)."""
        return squashed(pixels, self.side)

    def load_pretrained(self) -> "Lite0Tower":
        """The pulled ImageNet weights. Raises WeightsError where they are missing or damaged."""
        from safetensors.torch import load_file

        state = load_file(located(LITE0) / "model.safetensors")
        self.net.load_state_dict({name: value for name, value in state.items() if not name.startswith("classifier.")})
        return self


def build_vision_tower(config: Mapping[str, Any]) -> VisionTower:
    """The tower that `config["name"]` names, with random weights.

    {"name": "efficientnet-lite0", "grid": 7}
    {"name": "siglip_vision_model" | "clip_vision_model", ...}: the fields of transformers' config of that model, and
        "layer", which of its hidden states is the output (see `SiglipTower` and `ClipTower` for what is usual).
    {"name": "open_clip", "model": "ViT-B-32", "layer": -2}: the visual part of a model of open_clip.

    Raises ValueError for a name that is none of these, and for fields that the tower cannot have.
    """
    from tvu.video_llm.models.open_clip_tower import OpenClipTower
    from tvu.video_llm.models.transformers_towers import ClipTower, SiglipTower

    towers = {
        LITE0: Lite0Tower,
        "siglip_vision_model": SiglipTower,
        "clip_vision_model": ClipTower,
        "open_clip": OpenClipTower,
    }
    fields = dict(config)
    name = fields.pop("name", None)
    if name not in towers:
        raise ValueError(f"no vision tower is called {name!r}; there are {', '.join(towers)}")
    try:
        tower: VisionTower = towers[name](**fields)
    except TypeError as error:
        raise ValueError(f"the vision tower {name!r} has other fields: {error}") from error
    return tower
