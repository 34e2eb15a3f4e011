"""STORM's temporal encoder (Jiang et al. 2025, arXiv 2503.04130, section 3.2): a state space mixer before any pooling.

    X^0 = the tokens of all frames, row by row, frame after frame;   X^l = X^(l-1) + Mixer(LayerNorm(X^(l-1)))

so that a token carries its history, and with both directions its future, when it is averaged with its neighbours. The
paper does not say which scan, how many layers, which sizes, what the directions share or how they are joined, and no
code or weights were published: see `StormConfig`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from tvu.temporal.encoders.residual import StreamingResidualEncoder
from tvu.temporal.reduction.means import mean_over_blocks, without_padding
from tvu.temporal.reduction.pool import PoolTokens
from tvu.temporal.scan.bidirectional import BidirectionalMamba
from tvu.temporal.scan.mamba import Mamba, MambaConfig
from tvu.temporal.scan.mamba2 import BidirectionalMamba2, Mamba2, Mamba2Config
from tvu.temporal.types import VisualTokens


@dataclass(frozen=True)
class StormConfig:
    """Every field is OUR CHOICE, but that the published model looks both ways: none of it is disclosed.

    channels: C, the width of the tokens (the width of the language model in the paper, where pooling alone follows).
    layers:   mixers one after the other.
    mixer:    "mamba": Mamba-1, both directions with parameters of their own between shared projections, their sum, as
              in the two VideoMamba works that the paper cites. "mamba2": Mamba-2, everything shared, several times
              faster.
    bidirectional: both directions; else forward only, so that video can be encoded as it arrives (the online variant).
    halve:    the mean of both directions of "mamba" instead of their sum, as in the published Vim models.
    d_state:  states per channel; None: 16 for "mamba", 64 for "mamba2".
    d_conv:   taps of the short convolution. expand: inner channels per channel. headdim: channels per head of "mamba2".

    Raises ValueError for another mixer, no layer, or sizes that the mixer refuses.
    """

    channels: int
    layers: int = 2
    mixer: str = "mamba"
    bidirectional: bool = True
    halve: bool = False
    d_state: int | None = None
    d_conv: int = 4
    expand: float = 2
    headdim: int = 64

    def __post_init__(self) -> None:
        if self.mixer not in ("mamba", "mamba2"):
            raise ValueError(f"the mixer of STORM is 'mamba' or 'mamba2', not {self.mixer!r}")
        if self.halve and not (self.bidirectional and self.mixer == "mamba"):
            raise ValueError("only the two directions of 'mamba' can be halved; the norm of 'mamba2' undoes any factor")
        if self.layers < 1:
            raise ValueError(f"STORM has at least one layer, not {self.layers}")
        self.of_mixer()

    def of_mixer(self) -> MambaConfig | Mamba2Config:
        """The config of one mixer."""
        if self.mixer == "mamba":
            return MambaConfig(self.channels, d_state=self.d_state or 16, d_conv=self.d_conv, expand=self.expand)
        return Mamba2Config(
            self.channels, d_state=self.d_state or 64, d_conv=self.d_conv, expand=self.expand, headdim=self.headdim
        )


class StormTemporalEncoder(StreamingResidualEncoder):
    """The tokens of a video as one sequence through `layers` mixers, each after a norm and beside a residual.

    `step` raises ValueError in both directions: a stream has no future to scan.
    """

    def __init__(self, config: StormConfig) -> None:
        super().__init__(config.channels, [_Layer(_mixer(config)) for _ in range(config.layers)])
        self.config = config

    def step(self, features: Tensor, state: Sequence[Any] | None = None) -> tuple[Tensor, tuple[Any, ...]]:
        if self.config.bidirectional:
            raise ValueError("an encoder that looks ahead cannot take frames as they arrive")
        return super().step(features, state)

    def encode_and_pool(self, tokens: VisualTokens, pooling: PoolTokens) -> VisualTokens:
        """`pooling(encode_time(tokens, self))`, with the last output projection after the mean instead of before it.

        mean(X + W y + b) = mean(X) + W mean(y) + b over the same tokens: exact up to rounding, also for groups that the
        end of a video or of a grid cuts short. The product with W has as many rows as tokens are left, and of a Mamba-2
        block y, which the norm gives, is not written before it is averaged.
        """
        shape = tokens.features.shape
        x = without_padding(tokens.features, tokens.lengths).flatten(1, 2)
        lengths = tokens.lengths * shape[2]
        mixers: list[Any] = [layer.mixer for layer in self.layers]
        for norm, mixer in zip(self.norms[:-1], mixers[:-1], strict=True):
            x = x + mixer(norm(x), lengths)
        pooled = pooling(replace(tokens, features=x.unflatten(1, shape[1:3])))
        blocks = {"frames": pooling.frames, "cells": pooling.cells, "every": pooling.every}
        last = self.norms[-1](x)
        if isinstance(mixers[-1], Mamba2):
            mixed = mixers[-1].mix_and_pool(last.unflatten(1, shape[1:3]), tokens.lengths, tokens.grid, **blocks)
        else:
            mixed = mixers[-1].mix(last, lengths).unflatten(1, shape[1:3])
            mixed = mean_over_blocks(mixed, tokens.lengths, tokens.grid, **blocks)
        features = pooled.features + mixers[-1].out_proj(mixed)
        return replace(pooled, features=without_padding(features, pooled.lengths))


class _Layer(nn.Module):
    """A mixer, told of padding by lengths, where `ResidualEncoder` tells of it by a mask."""

    def __init__(self, mixer: nn.Module) -> None:
        super().__init__()
        self.mixer: Any = mixer

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        return self.mixer(x, None if mask is None else mask.sum(dim=1))

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        return self.mixer.step(x, state)


def _mixer(config: StormConfig) -> nn.Module:
    of_mixer = config.of_mixer()
    if isinstance(of_mixer, MambaConfig):
        return BidirectionalMamba(of_mixer, mean=config.halve) if config.bidirectional else Mamba(of_mixer)
    return BidirectionalMamba2(of_mixer) if config.bidirectional else Mamba2(of_mixer)
