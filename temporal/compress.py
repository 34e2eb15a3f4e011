"""Compress tokens: fewer of them, each still knowing when and where it was seen."""

from collections.abc import Callable

from tvu.temporal.types import VisualTokens

Reduction = Callable[[VisualTokens], VisualTokens]


def compress_tokens(tokens: VisualTokens, *reductions: Reduction) -> VisualTokens:
    """`tokens` through each reduction in turn; as they were where there is none."""
    for reduction in reductions:
        tokens = reduction(tokens)
    return tokens
