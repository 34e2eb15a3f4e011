"""What the generation engine asks of a language model, whatever runs it."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor


@dataclass(frozen=True)
class Prefix:
    """The beginning of a prompt that a model has read, kept to continue from: a video that several questions are about.

    length: positions that were read.
    logits: `[V]`, what the model expects next.
    memory: what the model remembers of them, for the model that gave it only.
    """

    length: int
    logits: Tensor
    memory: Any


class Workspace(Protocol):
    """The memory of a few rows while they are generated. Rows are independent: each has a length of its own."""

    def prefill(self, row: int, embeddings: Tensor) -> Tensor:
        """Read embeddings `[L, C]`, L >= 1, after what the row holds. Returns logits `[V]` of what follows the last."""
        ...

    def step(self, ids: Tensor) -> Tensor:
        """Logits `[R, Q, V]` of what follows each of `ids [R, Q]`, which come after what the rows hold.

        The rows still hold what they held: `advance` says how many of the Q stay. The result is valid until the next
        step. Q is small; the same few values of Q again and again, where the model captures its steps.
        """
        ...

    def advance(self, counts: Sequence[int]) -> None:
        """The first counts[r] ids of the last step belong to row r from now on."""
        ...

    def keep(self, row: int, logits: Tensor) -> Prefix:
        """A copy of what the row holds; `logits [V]` as `prefill` gave them."""
        ...

    def restore(self, row: int, prefix: Prefix) -> None:
        """The row holds what `prefix` holds, and nothing else."""
        ...

    def reorder(self, order: Sequence[int], since: int = 0) -> None:
        """Row r holds what row order[r] held. `since`: the first position in which the rows differ, if known."""
        ...


class LanguageModel(Protocol):
    """A causal language model with its weights on one device.

    can_rewind: whether its rows can forget what a step has read; without that nothing is guessed ahead.
    """

    vocab_size: int
    max_positions: int
    device: torch.device
    can_rewind: bool

    def embed(self, ids: Tensor) -> Tensor:
        """ids int64 `[...]` to embeddings `[..., C]`."""
        ...

    def borrow(self, rows: int, capacity: int) -> AbstractContextManager[Workspace]:
        """A workspace of empty rows, each of which can hold `capacity` positions at least. Given back on leaving."""
        ...
