"""The visual part of any model of open_clip as a vision tower."""

from typing import Any

import torch
from torch import Tensor

from tvu.video_llm.encode import Pixels
from tvu.video_llm.models.resize import centre_cropped, squashed_bicubic
from tvu.video_llm.models.vision import VisionTower
from tvu.video_llm.runtime import quiet_threads
from tvu.weights.load import located


class OpenClipTower(VisionTower):
    """Patch tokens of the network that a model of open_clip sees with.

    model: open_clip's name for it, as "ViT-B-32" or "ViT-SO400M-14-SigLIP-384".
    layer: -1 for the last block's output, -2 (usual for CLIP, see `ClipTower`) for the one before; no final norm
           follows, and blocks after it do not run.
    Raises ValueError for a model that open_clip does not know.
    """

    def __init__(self, model: str, layer: int = -2) -> None:
        super().__init__()
        quiet_threads()
        import open_clip

        if model not in open_clip.list_models():
            raise ValueError(f"open_clip has no model {model!r}")
        if layer >= 0:
            raise ValueError(f"blocks are counted from the last one, -1, not {layer}")
        self.model_name, self.layer = model, layer
        self.visual: Any = open_clip.create_model(model, device=torch.get_default_device()).visual  # may be meta
        settings = self.visual.preprocess_cfg
        self.mean = tuple(255 * value for value in settings["mean"])
        self.std = tuple(255 * value for value in settings["std"])
        self._squashes = settings["resize_mode"] == "squash"
        size = settings["size"]
        self.side = size if isinstance(size, int) else size[0]
        with torch.no_grad():
            like = next(self.parameters())
            maps = self._maps(like.new_zeros(1, 3, self.side, self.side))
        self.channels = maps.shape[1]
        self.grid = (maps.shape[2], maps.shape[3])

    def _maps(self, unit: Tensor) -> Tensor:
        """[K, C, rows, columns]"""
        found = self.visual.forward_intermediates(unit, [self.layer], stop_early=True, intermediates_only=True)
        maps: Tensor = found["image_intermediates"][0]
        return maps

    def features(self, unit: Tensor) -> Tensor:
        return self._maps(unit).flatten(2).transpose(1, 2)

    def resized(self, pixels: Pixels) -> Pixels:
        """Squashed or cropped, bicubic, as open_clip's table says of the model."""
        return (squashed_bicubic if self._squashes else centre_cropped)(pixels, self.side)

    def load_pretrained(self, tag: str) -> "OpenClipTower":
        """The pulled weights `clip:<model>/<tag>`. Raises WeightsError where they are missing or damaged."""
        import open_clip

        published: Any = open_clip.create_model(f"local-dir:{located(f'clip:{self.model_name}/{tag}')}")
        self.visual.load_state_dict(published.visual.state_dict())
        return self
