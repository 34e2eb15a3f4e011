"""Encode time: every token learns what came before it, and, in both directions, what came after."""

from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from tvu.temporal.types import VisualTokens


class TemporalEncoder(Protocol):
    """Anything that mixes the tokens of a video along time and gives as many back.

    `encoder(features, lengths)`: features `[B, T, N, C]`, lengths `[B]` int64 real frames (all T if None). Returns
    `[B, T, N, C]`; the real frames of the answer do not depend on the padding.
    """

    def __call__(self, features: Tensor, lengths: Tensor | None = None) -> Tensor: ...


@runtime_checkable
class StreamingEncoder(TemporalEncoder, Protocol):
    """An encoder that looks back only, and so can be fed as the video arrives.

    `encoder.step(features, state)`: features `[B, T, N, C]` of the next T >= 1 frames; state as the last call gave it,
    None at the start. Returns the encoded frames and the state; any cut of a video into steps gives the same frames as
    one call on the whole.
    """

    def step(self, features: Tensor, state: Any = None) -> tuple[Tensor, Any]: ...


class NoEncoder(nn.Module):
    """The baseline: every token knows only its own frame."""

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        return features

    def step(self, features: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        return features, state


def encode_time(tokens: VisualTokens, encoder: TemporalEncoder) -> VisualTokens:
    """The same tokens, aware of order and of each other; spans and sources stay what they were."""
    return replace(tokens, features=encoder(tokens.features, tokens.lengths))
