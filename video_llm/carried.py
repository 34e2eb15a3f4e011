"""A forward-only temporal encoder over the windows of a long video: it goes on where the last window ended."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from tvu.temporal.encode_time import StreamingEncoder
from tvu.temporal.types import VisualTokens


@dataclass(frozen=True)
class _Past:
    """The last window: spans float64 `[T, 2]`, what the encoder made of it `[1, T, N, C]`, and what it remembers."""

    spans: Tensor
    features: Tensor
    state: Any


class CarriedTime:
    """Encodes one window after another, each frame once and in order: what two windows share is kept, not done again.

    So a token knows all that came before it in the windows so far, while only the encoder's state and one window are in
    memory, however long the video is. A window that does not continue the last one starts anew.
    """

    def __init__(self, encoder: StreamingEncoder) -> None:
        self._encoder = encoder
        self._past: _Past | None = None

    def __call__(self, tokens: VisualTokens) -> VisualTokens:
        """The window `[1, T, N, C]`, aware of what came before. Raises ValueError for several videos, and for none."""
        if len(tokens.features) != 1 or not tokens.features.shape[1]:
            raise ValueError(f"one window after another, not {tuple(tokens.features.shape)}")
        spans = tokens.spans[0]
        past = self._past
        if past is None or not past.spans[0, 0] <= spans[0, 0] <= past.spans[-1, 1]:
            past, shared = None, 0
            parts = []
        else:
            shared = int((spans[:, 0] < past.spans[-1, 1]).sum())
            place = torch.searchsorted(past.spans[:, 0].contiguous(), spans[:shared, 0].contiguous(), right=True) - 1
            parts = [past.features[:, place]]
        state = None if past is None else past.state
        if shared < len(spans):
            new, state = self._encoder.step(tokens.features[:, shared:], state)
            parts.append(new)
        features = torch.cat(parts, dim=1)
        self._past = _Past(spans, features, state)
        return replace(tokens, features=features)
