"""One piece of work beside the main thread."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Background(Generic[T]):
    """Runs `work` in a thread that never holds up the end of the program."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._found: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self._thread.start()

    def _run(self, work: Callable[[], T]) -> None:
        try:
            self._found.append(work())
        except BaseException as error:  # raised again in the thread that asks for the result
            self._error = error

    def result(self) -> T:
        """Waits for `work`; returns what it returned, raises what it raised."""
        while self._thread.is_alive():
            self._thread.join(0.2)  # short waits, so that Ctrl-C is heard
        if self._error is not None:
            raise self._error
        return self._found[0]
