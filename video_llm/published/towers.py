"""The vision transformers that VTG-LLM and VideoChat-T look through: EVA-CLIP's ViT-g on frames, UMT's ViT-L on clips.

Both have the block of BEiT: q and v have a bias and k has none, norms come first, GELU is exact. Names are those of the
published files. They normalise pixels as CLIP does.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tvu.temporal.position_table import resize_in_time, sinusoid_table

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
EVA_HEAD, UMT_HEAD = 88, 64  # channels of a head in ViT-g (1408 / 16) and ViT-L (1024 / 16), which no shape tells
EPS = 1e-6

Three = tuple[float, float, float]


def normalised(frames: Tensor, mean: Three, std: Three, dtype: torch.dtype) -> Tensor:
    """uint8 `[..., 3, H, W]` to (frames / 255 - mean) / std, computed in float32 and rounded once to `dtype`."""
    centre, scale = (torch.tensor(each, device=frames.device)[:, None, None] for each in (mean, std))
    return ((frames.float() / 255 - centre) / scale).to(dtype)


class Attention(nn.Module):
    """Self-attention over all tokens, `[K, N, C]` to `[K, N, C]`."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"a width of {width} is not {heads} heads")
        self.heads = heads
        self.q_bias = nn.Parameter(torch.zeros(width))
        self.v_bias = nn.Parameter(torch.zeros(width))
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        bias = torch.cat([self.q_bias, torch.zeros_like(self.v_bias), self.v_bias])
        qkv = F.linear(x, self.qkv.weight, bias).unflatten(-1, (3, self.heads, -1)).transpose(1, 3)
        q, k, v = qkv.unbind(2)  # each [K, H, N, D]
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, inner)
        self.fc2 = nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    def __init__(self, width: int, inner: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=EPS)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=EPS)
        self.mlp = Mlp(width, inner)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PatchEmbed(nn.Module):
    def __init__(self, proj: nn.Module) -> None:
        super().__init__()
        self.proj = proj


class EvaTower(nn.Module):
    """EVA-CLIP's ViT-g/14 without its last block and its final norm (BLIP-2 uses it so): 39 blocks, 986 M parameters.

    frames `[K, 3, side, side]` normalised. Returns `[K, 1 + N, C]`, the class token first.
    """

    def __init__(self, width: int, depth: int, inner: int, patch: int, grid: int, heads: int | None = None) -> None:
        super().__init__()
        self.side = grid * patch
        self.patch_embed = PatchEmbed(nn.Conv2d(3, width, patch, patch))
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + grid * grid, width))
        heads = heads or max(1, width // EVA_HEAD)
        self.blocks = nn.ModuleList([Block(width, inner, heads) for _ in range(depth)])

    def forward(self, frames: Tensor) -> Tensor:
        patches = self.patch_embed.proj(frames).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(patches), -1, -1), patches], dim=1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return x


class UmtEncoder(nn.Module):
    """UMT's ViT-L/16 on clips without its last block, no class token and no final norm: 23 blocks, 290 M parameters.

    Attention is over all patches of all frames. Positions are sines of a table for `stored_frames`, interpolated in
    time to the frames there are; they are computed and in no file.

    clips `[K, T, 3, side, side]` normalised. Returns `[K, T * N, C]`, frame by frame.
    """

    def __init__(
        self, width: int, depth: int, inner: int, patch: int, grid: int, stored_frames: int, heads: int | None = None
    ) -> None:
        super().__init__()
        self.side, self.grid, self.stored_frames, self.width = grid * patch, grid, stored_frames, width
        self.patch_embed = PatchEmbed(nn.Conv3d(3, width, (1, patch, patch), (1, patch, patch)))
        heads = heads or max(1, width // UMT_HEAD)
        self.blocks = nn.ModuleList([Block(width, inner, heads) for _ in range(depth)])
        self._positions: dict[int, Tensor] = {}

    def forward(self, clips: Tensor) -> Tensor:
        patches = self.patch_embed.proj(clips.transpose(1, 2)).flatten(2).transpose(1, 2)
        x = patches + self.positions(clips.shape[1]).to(patches)
        for block in self.blocks:
            x = block(x)
        return x

    def positions(self, frames: int) -> Tensor:
        """`[frames * N, C]` float32."""
        if frames not in self._positions:
            table = sinusoid_table(self.stored_frames * self.grid**2, self.width)
            is_stored = frames == self.stored_frames
            self._positions[frames] = table if is_stored else resize_in_time(table, self.stored_frames, frames)
        return self._positions[frames]


class UmtTower(nn.Module):
    """`encoder` under the name that it has in the files."""

    def __init__(self, encoder: UmtEncoder) -> None:
        super().__init__()
        self.encoder = encoder
