"""Engines: whatever takes the work on videos to processes, and gives back their rows as they come."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from tvu.video_llm.batch.work import BatchConfig, Item
from tvu.video_llm.results.rows import Row

Done = tuple[Item, list[Row]]


class Engine(Protocol):
    """Works on items, in any order, each once."""

    def __call__(self, items: Sequence[Item], config: BatchConfig) -> Iterator[Done]:
        """Every item with its rows, as soon as they are there. Raises what ends a batch (`work.ENDING`).

        Closing the iterator ends all processes that it began.
        """
        ...


MakeEngine = Callable[[], Engine]
