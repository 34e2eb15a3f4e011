"""The engine of one machine: processes that each load the model and work on one video at a time.

A video that kills or hangs its process costs that video and the start of another process, nothing else.
"""

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from typing import Any

from tvu.temporal.errors import TvuError
from tvu.video_llm.batch.engine import Done
from tvu.video_llm.batch.work import BatchConfig, Item, Worker, answer_to, asked_in, failed, rows_in_answer
from tvu.video_llm.decode import open_video
from tvu.video_llm.results.rows import Row
from tvu.video_llm.runtime import CORES, cuda_devices, usable_cores

BASE_SECONDS = 600.0  # to load a model, and for a short video
SECONDS_EACH = 20.0  # for each second of a video: a hundred times what `scout` takes on a core
TRIES = 2  # of a video whose process died: once may be the machine's fault
LOOK_SECONDS = 1.0  # between looks at what takes too long
END_SECONDS = 0.5  # for a process to end by itself


@dataclass(frozen=True)
class LocalEngine:
    """So many processes at once; None: one for each CUDA device, or without any for each usable core.

    Each gets a device of its own, and its share of the cores unless `cores_each` says how many.
    patience: seconds for a video before its process is ended; None: `BASE_SECONDS`, and `SECONDS_EACH` of its own.
    """

    workers: int | None = None
    patience: float | None = None
    cores_each: int | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise ValueError(f"at least one worker is needed, not {self.workers}")

    def __call__(self, items: Sequence[Item], config: BatchConfig) -> Iterator[Done]:
        """See `Engine`."""
        devices = cuda_devices()
        count = min(self.workers or devices or usable_cores(), len(items))
        waiting = deque(_Task(item) for item in items)
        crew = [
            _Hand(number, self.cores_each or max(1, usable_cores() // count), devices, config)
            for number in range(count)
        ]
        try:
            while waiting or any(hand.task for hand in crew):
                for hand in crew:
                    if hand.task is None and waiting:
                        hand.begin(waiting.popleft(), self.patience)
                yield from self._some_done(crew, waiting, config)
        finally:
            for hand in crew:
                hand.end()

    def _some_done(self, crew: Sequence["_Hand"], waiting: deque["_Task"], config: BatchConfig) -> Iterator[Done]:
        busy = {hand.pipe: hand for hand in crew if hand.task is not None}
        left = min(hand.deadline for hand in busy.values()) - time.monotonic()
        ready = wait(list(busy), timeout=min(LOOK_SECONDS, max(0.0, left)))
        for pipe, hand in busy.items():
            task = hand.task
            assert task is not None
            if pipe in ready:
                rows = hand.answer()
                if rows is not None:
                    yield task.item, rows
                    continue
                reason = hand.epitaph()
            elif time.monotonic() < hand.deadline:
                continue
            else:
                reason = f"took longer than {time.monotonic() - hand.begun:.0f} seconds"
                task = replace(task, tries=TRIES)
            hand.restart()
            if task.tries < TRIES:
                waiting.appendleft(replace(task, tries=task.tries + 1))
            else:
                yield task.item, given_up(task.item, reason, config)


@dataclass(frozen=True)
class _Task:
    item: Item
    tries: int = 1


@dataclass
class _Hand:
    """One process of the crew, started when it is first needed, and what it works on."""

    number: int
    cores: int
    devices: int
    config: BatchConfig
    task: _Task | None = None
    begun: float = 0.0
    deadline: float = 0.0
    _process: Any = None
    _pipe: Connection | None = field(default=None)

    @property
    def pipe(self) -> Connection:
        assert self._pipe is not None
        return self._pipe

    def begin(self, task: _Task, patience: float | None) -> None:
        if self._process is None:
            self._start()
        self.task, self.begun = task, time.monotonic()
        self.deadline = self.begun + (patience or _patience_for(task.item))
        with contextlib.suppress(OSError):  # it died while it waited: seen as the end of its pipe
            self.pipe.send_bytes(asked_in(task.item).encode())

    def answer(self) -> list[Row] | None:
        """The rows; None where the process is gone. Raises what ends a batch."""
        try:
            message = self.pipe.recv_bytes().decode()
        except (EOFError, OSError):
            return None
        self.task = None
        return rows_in_answer(message)

    def epitaph(self) -> str:
        self._process.join(END_SECONDS)
        code = self._process.exitcode
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                return f"ended its process ({signal.Signals(-code).name})"
        return f"ended its process (exit code {code})"

    def restart(self) -> None:
        self.end()
        self.task = None

    def end(self) -> None:
        if self._process is not None:
            self.pipe.close()
            if self.task is None:  # it waits, and ends by itself
                self._process.join(END_SECONDS)
            self._process.kill()
            self._process.join()
            self._process = None

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")  # threads and CUDA do not survive a fork
        self._pipe, theirs = context.Pipe()
        device = self.number % self.devices if self.devices else None
        arguments = (theirs, self.config, self.cores, device)
        self._process = context.Process(target=_serve, args=arguments, daemon=True, name=f"tvu-{self.number}")
        self._process.start()
        theirs.close()


def environment_of(cores: int) -> dict[str, str]:
    """Variables that keep a process that shares a machine to its cores."""
    return {CORES: str(cores), "OMP_NUM_THREADS": str(cores)}


def given_up(item: Item, reason: str, config: BatchConfig) -> list[Row]:
    """Rows that say what became of the process that worked on a video; the next run tries it again."""
    rows = failed(item, f"{item.address} {reason}", config.model)
    return [row.keyed("", config.settings) for row in rows]


def _patience_for(item: Item) -> float:
    """Seconds after which a video is given up."""
    try:
        return BASE_SECONDS + SECONDS_EACH * open_video(item.address).span.seconds
    except TvuError:
        return BASE_SECONDS


def _end_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)
    os._exit(1)  # nobody is left to take the rows


def _serve(pipe: Connection, config: BatchConfig, cores: int, device: int | None) -> None:
    """What a process of the crew does until the pipe ends: an item in, its rows out, both as JSON."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    os.environ |= environment_of(cores)
    if device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = str(device)
    with contextlib.suppress(ImportError):  # a lock between processes would outlive one that is killed, with a warning
        from tqdm import tqdm

        tqdm.set_lock(threading.RLock())
    worker = Worker(config)
    while True:
        try:
            message = pipe.recv_bytes().decode()
        except (EOFError, OSError):
            return
        pipe.send_bytes(answer_to(message, worker).encode())
