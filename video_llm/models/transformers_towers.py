"""SigLIP and CLIP as vision towers: transformers' own modules under their published key names."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import CLIPVisionConfig, CLIPVisionModel, SiglipVisionConfig, SiglipVisionModel

from tvu.video_llm.encode import Pixels
from tvu.video_llm.models.fused_siglip import Fingerprint, FusedSiglip, can_fuse, fingerprint
from tvu.video_llm.models.resize import centre_cropped, squashed_bicubic
from tvu.video_llm.models.vision import VisionTower

PREFIX = "vision_model."


def blocks_needed(layer: int, blocks: int) -> int:
    """How many of `blocks` transformer blocks hidden state `layer` passes through; state 0 is the embedding.

    Raises ValueError for a state that there is not.
    """
    if not -blocks - 1 <= layer <= blocks:
        raise ValueError(f"{blocks} blocks have hidden states {-blocks - 1} to {blocks}, not {layer}")
    return layer % (blocks + 1)


class _TransformersTower(VisionTower):
    """What both share: patches of a square picture through the blocks that reach the output, the others not built.

    vision_model: transformers' module, its parameters called as in the published checkpoints (`vision_model.…`).
    """

    vision_model: Any

    def _adopt(self, vision_model: Any) -> None:
        config = vision_model.config
        self.vision_model = vision_model
        self.side: int = config.image_size
        self.channels: int = config.hidden_size
        self.grid = (config.image_size // config.patch_size,) * 2

    def load_published(self, state: Mapping[str, Tensor]) -> None:
        """Weights under their published names; text, pooling heads and blocks that are not built are left out.

        state: of a whole SigLIP or CLIP model, or of its vision part with or without the `vision_model.` prefix.
        Raises RuntimeError where one of ours is missing or has another shape.
        """
        known = self.vision_model.state_dict()
        ours = {name.removeprefix(PREFIX): value for name, value in state.items()}
        self.vision_model.load_state_dict({name: value for name, value in ours.items() if name in known})


class SiglipTower(_TransformersTower):
    """SigLIP (Zhai et al. 2023) without its pooling head: all patches, which is how Video-LLMs use it.

    layer:  None for the last hidden state with its final LayerNorm (PaliGemma's, hence STORM's), or an index into
            transformers' `hidden_states`, which no final norm follows (VILA: -2).
    fields: of `SiglipVisionConfig`, e.g. hidden_size, num_hidden_layers, image_size.

    On a CUDA device, in eval mode and without gradients, `features` runs as `FusedSiglip`: equal up to rounding and
    faster, for a second copy of most weights. It is made at the first call and again when weights have changed.
    """

    mean = std = (127.5, 127.5, 127.5)

    def __init__(self, layer: int | None = None, **fields: Any) -> None:
        super().__init__()
        config = SiglipVisionConfig(**fields)
        config.vision_use_head = False
        if layer is not None:
            config.num_hidden_layers = blocks_needed(layer, config.num_hidden_layers)
        self._adopt(SiglipVisionModel(config))
        self.has_final_norm = layer is None
        if not self.has_final_norm:
            del self.vision_model.post_layernorm
        self._fused: FusedSiglip | None = None
        self._fused_of: Fingerprint | None = None

    def features(self, unit: Tensor) -> Tensor:
        fast = self.fused() if unit.is_cuda and not self.training and not torch.is_grad_enabled() else None
        return self.plain_features(unit) if fast is None else fast(unit)

    def plain_features(self, unit: Tensor) -> Tensor:
        """`features` through transformers' modules, whatever the device and the mode."""
        embedded = self.vision_model.embeddings(unit)
        states: Tensor = self.vision_model.encoder(inputs_embeds=embedded).last_hidden_state
        return self.vision_model.post_layernorm(states) if self.has_final_norm else states

    def fused(self) -> FusedSiglip | None:
        """The fast form of the weights as they are now; None where adapters or the like do not let it be made."""
        now = fingerprint(self.vision_model)
        if self._fused_of != now:
            possible = can_fuse(self.vision_model)
            self._fused = FusedSiglip.of(self.vision_model, self.has_final_norm) if possible else None
            self._fused_of = now
        return self._fused

    def resized(self, pixels: Pixels) -> Pixels:
        """Squashed, bicubic: SigLIP was trained on whole pictures at `side` x `side`, and so is its processor."""
        return squashed_bicubic(pixels, self.side)


class ClipTower(_TransformersTower):
    """CLIP (Radford et al. 2021): all patches of a hidden state, without the class token.

    layer:  an index into transformers' `hidden_states`; -2, the last but one block's output, is LLaVA's and LITA's
            choice: only the class token of the last block was trained.
    fields: of `CLIPVisionConfig`, e.g. hidden_size, num_hidden_layers, image_size.
    """

    # OpenAI's numbers for pictures in 0..1
    mean = (0.48145466 * 255, 0.4578275 * 255, 0.40821073 * 255)
    std = (0.26862954 * 255, 0.26130258 * 255, 0.27577711 * 255)

    def __init__(self, layer: int = -2, **fields: Any) -> None:
        super().__init__()
        config = CLIPVisionConfig(**fields)
        config.num_hidden_layers = blocks_needed(layer, config.num_hidden_layers)
        self._adopt(CLIPVisionModel(config))
        del self.vision_model.post_layernorm  # of the class token

    def features(self, unit: Tensor) -> Tensor:
        embedded = self.vision_model.pre_layrnorm(self.vision_model.embeddings(unit))
        states: Tensor = self.vision_model.encoder(inputs_embeds=embedded).last_hidden_state
        return states[:, 1:]

    def resized(self, pixels: Pixels) -> Pixels:
        """Shortest edge and centre crop, as CLIP was trained and LITA feeds it: wide frames lose their sides."""
        return centre_cropped(pixels, self.side)
