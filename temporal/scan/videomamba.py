"""VideoMamba (Li et al. 2024, arXiv 2403.06977, section 3.2): a video classifier of bidirectional Mamba blocks.

Patches of all frames in one sequence, frame after frame and row after row, a class token before them. Names and shapes
of the parameters are the official ones; dropout and stochastic depth, which act in training alone, are left out.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tvu.temporal.scan.bidirectional import BidirectionalMamba
from tvu.temporal.scan.mamba import Mamba, MambaConfig


@dataclass(frozen=True)
class VideoMambaConfig:
    """One VideoMamba; the names in brackets are the official ones where ours differ.

    mixer:         sizes of every block; its width is that of the tokens (`embed_dim`, `ssm_cfg`).
    depth:         blocks.
    num_classes:   outputs of the head; 0: no head, and the feature is the answer.
    num_frames:    frames of a video.
    tubelet:       frames of a patch (`kernel_size`).
    image_size:    `(height, width)` of a frame, pixels (`img_size`).
    patch_size:    `(height, width)` of a patch, pixels.
    channels:      colours.
    rms_norm:      RMSNorm as in the published models, or LayerNorm.
    norm_eps:      epsilon of every norm (`norm_epsilon`).
    bidirectional: blocks look both ways, as in the published models (`bimamba`).

    Raises ValueError if a patch is larger than the video.
    """

    mixer: MambaConfig
    depth: int
    num_classes: int = 400
    num_frames: int = 8
    tubelet: int = 1
    image_size: tuple[int, int] = (224, 224)
    patch_size: tuple[int, int] = (16, 16)
    channels: int = 3
    rms_norm: bool = True
    norm_eps: float = 1e-5
    bidirectional: bool = True

    def __post_init__(self) -> None:
        if min(self.grid) < 1:
            raise ValueError(
                f"patches of {(self.tubelet, *self.patch_size)} do not fit {(self.num_frames, *self.image_size)}"
            )

    @property
    def grid(self) -> tuple[int, int, int]:
        """Patches along time, height and width; what is left over at the end of an axis is not seen."""
        rows, columns = (size // patch for size, patch in zip(self.image_size, self.patch_size, strict=True))
        return self.num_frames // self.tubelet, rows, columns


TINY = VideoMambaConfig(MambaConfig(192), depth=24)
SMALL = VideoMambaConfig(MambaConfig(384), depth=24)
MIDDLE = VideoMambaConfig(MambaConfig(576), depth=32)


class VideoMamba(nn.Module):
    """Logits of a video; `tokens` are what it makes of every patch."""

    def __init__(self, config: VideoMambaConfig) -> None:
        super().__init__()
        self.config = config
        width = config.mixer.d_model
        frames, rows, columns = config.grid
        self.patch_embed = PatchEmbed(config)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, 1 + rows * columns, width), std=0.02))
        self.temporal_pos_embedding = nn.Parameter(torch.zeros(1, frames, width))
        self.layers = nn.ModuleList(AddNormMix(config) for _ in range(config.depth))
        self.norm_f = _norm(config)
        self.head = nn.Linear(width, config.num_classes) if config.num_classes else nn.Identity()

    def forward(self, video: Tensor) -> Tensor:
        """video `[B, 3, T, H, W]`, normalised colours. Returns logits `[B, num_classes]`, of the class token."""
        return self.head(self.tokens(video)[:, 0])

    def tokens(self, video: Tensor) -> Tensor:
        """`[B, 1 + T' N, C]`, normed: the class token, then the patches of frame after frame, row after row."""
        hidden, residual = self.embed(video), None
        for layer in self.layers:
            hidden, residual = layer(hidden, residual)
        return self.norm_f(_add(hidden, residual).to(hidden.dtype))

    def embed(self, video: Tensor) -> Tensor:
        """`[B, 1 + T' N, C]`: patches and the class token with their places, before the first block.

        A place in a frame is added to the class token too, a place in time is not. Raises ValueError if the video has
        another number of patches than the tables of places.
        """
        patches = self.patch_embed(video)  # [B, C, T', rows, columns]
        if tuple(patches.shape[2:]) != self.config.grid:
            raise ValueError(f"{tuple(patches.shape[2:])} patches, where the model has places for {self.config.grid}")
        patches = patches.flatten(3).permute(0, 2, 3, 1)  # [B, T', N, C]
        patches = patches + self.pos_embed[:, None, 1:] + self.temporal_pos_embedding[:, :, None]
        first = (self.cls_token + self.pos_embed[:, :1]).expand(len(video), -1, -1)
        return torch.cat([first, patches.flatten(1, 2)], dim=1)


class PatchEmbed(nn.Module):
    """Patches `[B, C, T', rows, columns]` of a video `[B, 3, T, H, W]`."""

    def __init__(self, config: VideoMambaConfig) -> None:
        super().__init__()
        patch = (config.tubelet, *config.patch_size)
        self.proj = nn.Conv3d(config.channels, config.mixer.d_model, kernel_size=patch, stride=patch)

    def forward(self, video: Tensor) -> Tensor:
        return self.proj(video)


class AddNormMix(nn.Module):
    """Add what the last block gave to the residual stream, norm the sum, mix it.

    Takes and returns `(hidden, residual)`, both `[B, L, C]`; the residual, None before the first block, is kept in
    float32 or wider.
    """

    def __init__(self, config: VideoMambaConfig) -> None:
        super().__init__()
        self.mixer = BidirectionalMamba(config.mixer) if config.bidirectional else Mamba(config.mixer)
        self.norm = _norm(config)

    def forward(self, hidden: Tensor, residual: Tensor | None) -> tuple[Tensor, Tensor]:
        residual = _add(hidden, residual)
        return self.mixer(self.norm(residual.to(hidden.dtype))), residual


def _add(hidden: Tensor, residual: Tensor | None) -> Tensor:
    wide = hidden.to(torch.promote_types(hidden.dtype, torch.float32))
    return wide if residual is None else residual + wide


def _norm(config: VideoMambaConfig) -> nn.Module:
    kind = nn.RMSNorm if config.rms_norm else nn.LayerNorm
    return kind(config.mixer.d_model, eps=config.norm_eps)
