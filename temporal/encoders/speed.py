"""How long each temporal encoder takes on a CPU, side by side."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tvu.temporal.encoders.choose import EncoderConfig, NoEncoderConfig, build_encoder
from tvu.temporal.encoders.lightnet import GlobalLightNetEncoderConfig, LightNetConfig, LightNetEncoderConfig
from tvu.temporal.encoders.lrcn import LRCNConfig
from tvu.temporal.encoders.prefix_attention import BidirectionalPrefixAttentionConfig, PrefixAttentionConfig
from tvu.temporal.encoders.residual import ResidualEncoder
from tvu.temporal.encoders.storm import StormConfig
from tvu.temporal.speed import Timing, median_seconds


class _Attention(nn.Module):
    """What they stand in for: causal self-attention of all tokens, PyTorch's own."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv_proj, self.out_proj = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.qkv_proj(x).chunk(3, dim=-1))
        return self.out_proj(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))


def contenders(channels: int) -> dict[str, EncoderConfig]:
    """Every kind of encoder with two layers (LRCN one) and heads of 64 channels; `channels` is a multiple of 64."""
    layer = LightNetConfig(channels, num_heads=channels // 64, expand_ratio=64, gate_low_rank_dim=64)
    return {
        "none": NoEncoderConfig(),
        "lrcn": LRCNConfig(channels, hidden=channels),
        "lightnet, global": GlobalLightNetEncoderConfig(layer),
        "lightnet, causal": LightNetEncoderConfig(layer),
        "prefix attention": PrefixAttentionConfig(channels, heads=channels // 64),
        "prefix attention, both ways": BidirectionalPrefixAttentionConfig(channels, heads=channels // 64),
        "storm, mamba2, forward": StormConfig(channels, mixer="mamba2", bidirectional=False),
        "storm, mamba2": StormConfig(channels, mixer="mamba2"),
        "storm, mamba, forward": StormConfig(channels, bidirectional=False),
        "storm, mamba": StormConfig(channels),
    }


@torch.inference_mode()
def measure(frames: int = 64, tokens: int = 49, channels: int = 256) -> list[Timing]:
    """One forward of `[1, frames, tokens, channels]` float32; ratios to two layers of causal attention as wide."""
    features = torch.randn(1, frames, tokens, channels)
    size = f"{frames} frames x {tokens} tokens x {channels} channels, float32"
    attention = ResidualEncoder(channels, [_Attention(channels, channels // 64) for _ in range(2)])
    base = median_seconds(lambda: attention(features))
    timings = [Timing("attention, causal", size, base, 1.0)]
    for what, config in contenders(channels).items():
        encoder = build_encoder(config)
        seconds = median_seconds(lambda encoder=encoder: encoder(features))  # type: ignore[misc]
        ratio = None if isinstance(config, NoEncoderConfig) else base / seconds  # doing nothing is no contender
        timings.append(Timing(what, size, seconds, ratio))
    return timings
