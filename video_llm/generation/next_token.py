"""From logits to the next token."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Choice:
    """A token, and the logarithm of its probability: the model's own among what was allowed, at temperature 1."""

    token_id: int
    log_prob: float


@dataclass(frozen=True)
class Sampling:
    """How a token is drawn.

    temperature: 0 takes the likeliest token; above, logits are divided by it.
    top_k: only among the k likeliest; None for all.
    top_p: only among the likeliest tokens that together have this probability.
    seed: of the draws; None draws anew each time.
    """

    temperature: float = 0.0
    top_k: int | None = None
    top_p: float = 1.0
    seed: int | None = None

    def __post_init__(self) -> None:
        if not self.temperature >= 0 or not 0 < self.top_p <= 1 or (self.top_k is not None and self.top_k < 1):
            raise ValueError(f"temperature from 0, top_p in (0, 1], top_k from 1; not {self}")


class Chooser:
    """Chooses tokens for one row, drawing from random numbers of its own."""

    def __init__(self, sampling: Sampling, row: int, device: torch.device) -> None:
        self._sampling = sampling
        self._generator = torch.Generator(device)
        if sampling.seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(sampling.seed + row)

    def choose(self, logits: Tensor, allowed: Sequence[int] | Tensor | None) -> Choice:
        """From `logits [V]` float32, among `allowed` ids only (any if None).

        Raises ValueError if nothing is allowed, or what the model has no logit for.
        """
        ids = None if allowed is None else torch.as_tensor(allowed)
        if ids is not None:
            if not len(ids) or int(ids.max()) >= len(logits):
                raise ValueError(f"nothing is allowed, or a token beyond the {len(logits)} that the model knows")
            ids = ids.to(logits.device)
            logits = logits[ids]
        log_probs = logits.log_softmax(-1)
        place = int(self._place(log_probs))
        return Choice(place if ids is None else int(ids[place]), float(log_probs[place]))

    def _place(self, log_probs: Tensor) -> Tensor:
        if self._sampling.temperature == 0:
            return log_probs.argmax()
        kept = warped(log_probs, self._sampling)
        return torch.multinomial(kept.softmax(-1), 1, generator=self._generator)[0]


def warped(logits: Tensor, sampling: Sampling) -> Tensor:
    """`logits [V]` over the temperature, minus infinity where top_k or top_p leave a token out, as in transformers."""
    logits = (logits - logits.max()) / sampling.temperature  # the best stays finite however low the temperature
    if sampling.top_k is not None and sampling.top_k < len(logits):
        logits = logits.masked_fill(logits < logits.topk(sampling.top_k).values[-1], -torch.inf)
    if sampling.top_p < 1:
        ordered, order = logits.sort(descending=True)
        before = ordered.softmax(-1).cumsum(-1) - ordered.softmax(-1)
        logits = logits.masked_fill((before >= sampling.top_p).scatter(0, order, before >= sampling.top_p), -torch.inf)
    return logits


def contrasted(with_video: Tensor, without: Tensor, weight: float) -> Tensor:
    """Context-aware decoding (Shi et al. 2024, arXiv 2305.14739, eq. 2): (1 + a) * log p(y | video) - a * log p(y).

    What the language model would have said anyway loses, what the video says wins. Both `[..., V]`.
    """
    return (1 + weight) * with_video.log_softmax(-1) - weight * without.log_softmax(-1)
