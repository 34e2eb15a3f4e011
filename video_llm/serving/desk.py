"""The desk of one model: requests wait in a line of bounded length, and one thread works on one after the other.

One thread, as models remember the clip that they looked at last and keep no two videos apart at once.
"""

import contextlib
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from tvu.video_llm.serving.refusal import Refusal
from tvu.video_llm.types import VideoModel

T = TypeVar("T")

MOST_PATIENCE = 60  # seconds that a client is told to stay away at most


@dataclass
class _Job(Generic[T]):
    work: Callable[[VideoModel], T]
    result: "Future[T]" = field(default_factory=Future)


class Desk:
    """A model that is loaded, and the line before it. max_queue: requests that may wait beside the one in hand."""

    def __init__(self, model: VideoModel, max_queue: int) -> None:
        self.model = model
        self.max_queue = max_queue
        self._waiting: deque[_Job[Any]] = deque()
        self._changed = threading.Condition()
        self._in_hand: _Job[Any] | None = None
        self._mean_seconds = 1.0
        threading.Thread(target=self._run, name=f"desk of {model.name}", daemon=True).start()

    @property
    def length(self) -> int:
        """Requests that wait, and the one in hand."""
        with self._changed:
            return len(self._waiting) + (self._in_hand is not None)

    def submit(self, work: Callable[[VideoModel], T]) -> "Future[T]":
        """What `work` makes of the model, when its turn comes; a future that is cancelled before gives up its place.

        Raises Refusal (429) where the line is full.
        """
        job = _Job(work)
        with self._changed:
            self._check_room()
            self._waiting.append(job)
            self._changed.notify()
        return job.result

    def check_room(self) -> None:
        """Raises what `submit` would raise now: worth knowing before a large request is read."""
        with self._changed:
            self._check_room()

    def _check_room(self) -> None:
        if len(self._waiting) >= self.max_queue:
            self._waiting = deque(each for each in self._waiting if not each.result.cancelled())
        if len(self._waiting) >= self.max_queue:
            seconds = math.ceil(self._mean_seconds * len(self._waiting))
            raise Refusal(
                429,
                "queue_full",
                f"{self.max_queue} requests wait for this model already",
                retry_after=min(MOST_PATIENCE, max(1, seconds)),
                closes=True,  # its body may not have been read
            )

    def abandon(self, reason: Refusal) -> None:
        """Everybody who waits, or whose request is in hand, is told `reason`; the work in hand itself goes on."""
        with self._changed:
            jobs = [*self._waiting, *([self._in_hand] if self._in_hand else [])]
            self._waiting.clear()
            for job in jobs:
                with contextlib.suppress(InvalidStateError):  # whoever asked has gone
                    job.result.set_exception(reason)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting:
                    self._changed.wait()
                job = self._waiting.popleft()
                if not job.result.set_running_or_notify_cancel():
                    continue
                self._in_hand = job
            started = time.monotonic()
            try:
                told, error = job.work(self.model), None
            except BaseException as raised:  # this thread has to live on; whoever asked is told
                told, error = None, raised
            with self._changed:
                self._in_hand = None
                self._mean_seconds += 0.2 * (time.monotonic() - started - self._mean_seconds)
                with contextlib.suppress(InvalidStateError):  # it was abandoned
                    job.result.set_result(told) if error is None else job.result.set_exception(error)
