"""Which stage of an answer took how long."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, TypeVar

from tvu.video_llm.types import Timing

Stage = Literal["decode_s", "encode_s", "temporal_s", "generate_s"]
T = TypeVar("T")


class Stopwatch:
    """Counts every moment for the innermost stage that is under way."""

    def __init__(self) -> None:
        self._seconds: Counter[str] = Counter()
        self._stages: list[str] = []
        self._since = 0.0

    @contextmanager
    def at(self, stage: Stage) -> Iterator[None]:
        """What happens in here is `stage`, but for the stages inside it."""
        self._credit()
        self._stages.append(stage)
        try:
            yield
        finally:
            self._credit()
            self._stages.pop()

    def over(self, stage: Stage, items: Iterator[T]) -> Iterator[T]:
        """The same items; waiting for each of them is `stage`."""
        while True:
            with self.at(stage):
                item = next(items, None)
            if item is None:
                return
            yield item

    def read(self) -> Timing:
        """What was counted since it was last read."""
        seconds, self._seconds = self._seconds, Counter()
        return Timing(**seconds, total_s=seconds.total())

    def _credit(self) -> None:
        now = time.perf_counter()
        if self._stages:
            self._seconds[self._stages[-1]] += now - self._since  # type: ignore[assignment]
        self._since = now
