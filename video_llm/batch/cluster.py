"""The engine of a cluster: Ray actors that each load the model and work on one video at a time.

Paths go to the actors and rows come back; no pixel passes through Ray's object store. The machines of the cluster have
to see the videos under the same paths, and need tvu and its weights.
"""

import os
import re
import socket
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tvu.video_llm.batch.engine import Done
from tvu.video_llm.batch.local import TRIES, environment_of, given_up
from tvu.video_llm.batch.work import BatchConfig, Item, Worker, answer_to, asked_in, rows_in_answer
from tvu.video_llm.errors import BackendError
from tvu.video_llm.runtime import usable_cores

IN_HAND = 2  # videos that an actor has at once: the one it works on, and the next
START_SECONDS = 120.0  # for an actor to start somewhere before the cluster counts as full or gone
ANSWER_SECONDS = 5.0  # for the address of a cluster to take a connection
PASSED_ON = ("TVU_CACHE", "TVU_OFFLINE", "FFMPEG")


@dataclass(frozen=True)
class RayEngine:
    """Actors on a Ray cluster.

    address: of the cluster, as `ray.init` takes it; None: the one that RAY_ADDRESS names, else this machine alone.
    workers: actors; None: one for each GPU of the cluster, or without any for each `cores_each` cores.
    cores_each: of an actor without a GPU.
    """

    address: str | None = None
    workers: int | None = None
    cores_each: int = 1

    def __call__(self, items: Sequence[Item], config: BatchConfig) -> Iterator[Done]:
        """See `Engine`. Raises BackendError without Ray, or without a cluster that has room."""
        ray = _ray()
        begun = not ray.is_initialized()
        if begun:
            _join(ray, self.address)
        crew = _Crew(ray, self, config)
        waiting = deque(_Task(item) for item in items)
        try:
            crew.hire(min(crew.wanted, len(items)))
            while waiting or crew.busy:
                crew.hand_out(waiting)
                yield from crew.some_done(waiting)
        finally:
            crew.dismiss()
            if begun:
                ray.shutdown()


@dataclass(frozen=True)
class _Task:
    item: Item
    tries: int = 1


@dataclass
class _Actor:
    handle: Any
    in_hand: list[Any] = field(default_factory=list)  # references to answers, the oldest first


class _Crew:
    """The actors, and which has what in hand."""

    def __init__(self, ray: Any, engine: RayEngine, config: BatchConfig) -> None:
        self._ray, self._config = ray, config
        resources = ray.cluster_resources()
        gpus = int(resources.get("GPU", 0))
        cores = engine.cores_each
        told = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        share: dict[str, Any] = {"num_gpus": 1} if gpus else {"num_cpus": cores}
        if gpus:
            cores = max(1, usable_cores() // max(1, gpus))
        self._kind = ray.remote(_Remote).options(
            max_restarts=0, max_concurrency=1, runtime_env={"env_vars": environment_of(cores) | told}, **share
        )
        self.wanted = engine.workers or gpus or max(1, int(resources.get("CPU", 1)) // cores)
        self._actors: list[_Actor] = []
        self._tasks: dict[Any, _Task] = {}

    @property
    def busy(self) -> bool:
        return bool(self._tasks)

    def hire(self, count: int) -> None:
        """So many actors more; they start as the cluster has room, the first within START_SECONDS."""
        fresh = [_Actor(self._kind.remote(self._config)) for _ in range(count)]
        self._actors += fresh
        ready, _ = self._ray.wait([a.handle.ready.remote() for a in self._actors], num_returns=1, timeout=START_SECONDS)
        if not ready:
            raise BackendError(
                "the cluster has no room for a worker",
                hint="`ray status` shows what it has; --workers, or add machines",
            )

    def hand_out(self, waiting: deque[_Task]) -> None:
        """Give the actors that have least in hand more, up to IN_HAND each."""
        while waiting:
            actor = min(self._actors, key=lambda each: len(each.in_hand))
            if len(actor.in_hand) >= IN_HAND:
                return
            task = waiting.popleft()
            reference = actor.handle.rows_of.remote(asked_in(task.item))
            actor.in_hand.append(reference)
            self._tasks[reference] = task

    def some_done(self, waiting: deque[_Task]) -> Iterator[Done]:
        """What is done since the last call; waits for the first."""
        ready, _ = self._ray.wait(list(self._tasks), num_returns=1, fetch_local=True)
        for reference in ready:
            actor = next(each for each in self._actors if reference in each.in_hand)
            try:
                rows = rows_in_answer(self._ray.get(reference))
            except self._ray.exceptions.RayError as error:
                yield from self._lost(actor, waiting, _reason(error))
                continue
            actor.in_hand.remove(reference)
            yield self._tasks.pop(reference).item, rows

    def _lost(self, actor: _Actor, waiting: deque[_Task], reason: str) -> Iterator[Done]:
        """What a dead actor had in hand waits again; only the one that it worked on may be to blame."""
        for place, reference in reversed(list(enumerate(actor.in_hand))):
            task = self._tasks.pop(reference)
            if place == 0:
                if task.tries >= TRIES:
                    yield task.item, given_up(task.item, reason, self._config)
                    continue
                task = replace(task, tries=task.tries + 1)
            waiting.appendleft(task)
        self._actors.remove(actor)
        if waiting and not self._actors:
            self.hire(1)

    def dismiss(self) -> None:
        """End all actors."""
        for actor in self._actors:
            self._ray.kill(actor.handle)


class _Remote:
    """What runs on the cluster."""

    def __init__(self, config: BatchConfig) -> None:
        self._worker = Worker(config)

    def ready(self) -> bool:
        return True

    def rows_of(self, message: str) -> str:
        return answer_to(message, self._worker)


def _join(ray: Any, address: str | None) -> None:
    where = f"at {address}" if address else "on this machine"
    try:
        if told := re.fullmatch(r"(?:ray://)?\[?([^/]+?)\]?:(\d{1,5})", address or ""):
            socket.create_connection(
                (told[1], int(told[2])), ANSWER_SECONDS
            ).close()  # Ray itself would try for minutes
        ray.init(address=address, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError, OSError, OverflowError) as error:
        reason = " ".join(str(error).split())
        raise BackendError(f"there is no Ray cluster {where}: {reason:.200}", hint="`ray start --head`") from error


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise BackendError("Ray is not installed", hint="pip install 'tvu[ray]'") from error
    return ray


def _reason(error: Exception) -> str:
    return f"ended its worker ({type(error).__name__})"
