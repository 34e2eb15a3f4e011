"""A benchmark is run: its items are asked one by one, and what comes of each is kept at once."""

import errno
import hashlib
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

from tvu.temporal.errors import TvuError
from tvu.video_llm.benchmarks.run_folder import Lock, RunFolder, opened, read_lock, read_records
from tvu.video_llm.benchmarks.types import AskConfig, Benchmark, Item, Record, Response, Submitting, Summary
from tvu.video_llm.errors import BenchmarkError, OutputError, OutputExists, UnknownModel, VideoError
from tvu.video_llm.types import VideoModel
from tvu.weights.errors import WeightsError

Watch = Callable[[int, int], None]
"""Told how many of how many items are done: once before the first is asked, then after each."""

ERRORS = ("failed", "undecodable")
ENDING = (WeightsError, UnknownModel, BenchmarkError, OutputError, MemoryError)
"""What the next item would meet too: it ends a run, where any other error of a model is that of one item."""


@dataclass(frozen=True)
class Part:
    """Which items of a set are asked.

    subset: so many, evenly of each group, drawn by `seed`; None: all.
    shard:  (i, n): of those, every n-th from the i-th, counted from 0.
    """

    subset: int | None = None
    seed: int = 0
    shard: tuple[int, int] = (0, 1)

    def __post_init__(self) -> None:
        if self.subset is not None and self.subset < 1:
            raise ValueError(f"a subset has at least one item, not {self.subset}")
        index, count = self.shard
        if not 0 <= index < count:
            raise ValueError(f"shards of {count} are 0 to {count - 1}, not {index}")

    def drawn(self, items: Sequence[Item]) -> list[Item]:
        """The subset, in the order of `items`.

        One item of each group in turn until there are enough. The draw depends on the size of a group and the seed
        alone: groups that hold the same questions, as the conditions of the shuffle test do, get the same questions.
        """
        if self.subset is None or self.subset >= len(items):
            return list(items)
        groups: dict[str, list[int]] = {}
        for place, item in enumerate(items):
            groups.setdefault(item.group, []).append(place)
        for places in groups.values():
            random.Random(self.seed).shuffle(places)
        longest = max(map(len, groups.values()))
        in_turn = [places[i] for i in range(longest) for places in groups.values() if i < len(places)]
        return [items[place] for place in sorted(in_turn[: self.subset])]

    def of(self, items: Sequence[Item]) -> list[Item]:
        """The items to ask."""
        return self.drawn(items)[self.shard[0] :: self.shard[1]]

    def notes(self, items: Sequence[Item]) -> tuple[str, ...]:
        """What makes a score of this part another than that of the set."""
        told = []
        if self.subset is not None and self.subset < len(items):
            drawn = f"{self.subset} of {len(items)} items, drawn evenly from seed {self.seed}"
            told.append(f"{drawn}: not comparable with scores of the whole set")
        if self.shard[1] > 1:
            index, count = self.shard
            told.append(f"shard {index}/{count} alone: `tvu bench merge` puts all {count} together")
        return tuple(told)


def carry_out(
    benchmark: Benchmark,
    data: Path,
    model: VideoModel,
    folder: Path,
    config: AskConfig,
    part: Part | None = None,
    *,
    weights: Mapping[str, str] | None = None,
    retry_errors: bool = False,
    watch: Watch = lambda done, total: None,
) -> Summary:
    """Ask the items of `part`, or all, that the run in `folder` has not asked yet, and sum up.

    An item whose video is not there is `missing` without being asked, and looked for again by the next call; one that
    cannot be decoded, or on which the model fails, is kept as such and asked again only with `retry_errors`.
    weights: see `Lock`. Raises BenchmarkError for malformed data, OutputExists where the folder holds another run,
    OutputError, and what ends a run (`ENDING`); what is done by then is kept.
    """
    part = part or Part()
    items = _read(benchmark, data)
    lock = Lock(
        tvu=version("tvu"),
        benchmark=benchmark.name,
        items=hash_of(items),
        model=model.name,
        weights=dict(weights or {}),
        decoder=config.decoder,
        protocol=config.protocol,
        matching=config.matching,
        frames=config.frames,
        subset=part.subset,
        seed=part.seed,
        shard=part.shard,
    )
    chosen = part.of(items)
    with opened(folder, lock, data) as run:
        videos = {item.id: benchmark.video_of(item, data) for item in chosen}
        due = [item for item in chosen if _is_due(run.records.get(item.id), videos[item.id], retry_errors)]
        run.forget({item.id for item in due})
        watch(len(chosen) - len(due), len(chosen))
        for place, item in enumerate(due, start=1):
            run.append(_record(benchmark, item, videos[item.id], model, config))
            watch(len(chosen) - len(due) + place, len(chosen))
        return _concluded(run, benchmark, chosen, part.notes(items))


def merge(benchmark: Benchmark, data: Path, folders: Sequence[Path], out: Path) -> Summary:
    """The shards in `folders` as one run in the new folder `out`, equal to one that asked everything.

    Raises BenchmarkError where they are not all shards of one run, each once and finished, or where `data` has other
    questions by now; OutputExists or OutputError for `out`.
    """
    locks = [read_lock(folder) for folder in folders]
    if not locks:
        raise BenchmarkError("there are no runs to merge")
    whole = replace(locks[0], shard=(0, 1))
    for folder, lock in zip(folders, locks, strict=True):
        if differs := whole.differences(replace(lock, shard=(0, 1))):
            name, (first, here) = next(iter(differs.items()))
            raise BenchmarkError(f"{folder} has another {name} than {folders[0]}: {here!r}, not {first!r}")
    count = locks[0].shard[1]
    shards = sorted(lock.shard for lock in locks)
    if shards != [(index, count) for index in range(count)]:
        told = ", ".join(f"{i}/{n}" for i, n in shards)
        raise BenchmarkError(f"these are shards {told}", hint=f"merge takes each of 0/{count} to {count - 1}/{count}")
    items = _read(benchmark, data)
    if hash_of(items) != whole.items or benchmark.name != whole.benchmark:
        raise BenchmarkError(f"{data} has other questions than these runs were asked")
    records: dict[str, Record] = {}
    for folder, lock in zip(folders, locks, strict=True):
        asked = {item.id for item in Part(lock.subset, lock.seed, lock.shard).of(items)}
        found = {record.id: record for record in read_records(folder)}
        if found.keys() != asked:
            what = f"has {len(found)} of {len(asked)} items" if found.keys() < asked else "has items of another shard"
            raise BenchmarkError(f"{folder} {what}", hint="run the shard again: it goes on where it stopped")
        records |= found
    part = Part(whole.subset, whole.seed)
    chosen = part.of(items)
    with opened(out, whole, data) as run:
        if run.records:
            raise OutputExists(f"{out} holds items already", hint="name a new folder")
        run.replace([records[item.id] for item in chosen])
        return _concluded(run, benchmark, chosen, part.notes(items))


def hash_of(items: Sequence[Item]) -> str:
    """SHA-256 of everything that is asked and what is right."""
    digest = hashlib.sha256()
    for item in items:
        told = [item.id, item.video, item.question, item.truth, item.group, item.bounds, item.options]
        digest.update(json.dumps(told).encode() + b"\n")
    return digest.hexdigest()


def _read(benchmark: Benchmark, data: Path) -> Sequence[Item]:
    if not data.exists():
        raise BenchmarkError(f"there is no {data}", hint=f"`tvu bench list {benchmark.name}` tells where to get it")
    items = benchmark.read(data)
    seen: set[str] = set()
    for item in items:
        if item.id in seen:
            raise BenchmarkError(f"two questions in {data} have the id {item.id!r}")
        seen.add(item.id)
    if not items:
        raise BenchmarkError(f"{data} has no questions of {benchmark.name}")
    return items


def _is_due(record: Record | None, video: Path, retry_errors: bool) -> bool:
    if record is None:
        return True
    if record.status == "missing":
        return _is_there(video)
    return retry_errors and record.status in ERRORS


def _record(benchmark: Benchmark, item: Item, video: Path, model: VideoModel, config: AskConfig) -> Record:
    start = perf_counter()
    response = _response(benchmark, item, video, model, config)
    return Record.of(item, response, benchmark.judge(item, response), round(perf_counter() - start, 3))


def _response(benchmark: Benchmark, item: Item, video: Path, model: VideoModel, config: AskConfig) -> Response:
    if not _is_there(video):
        return Response("missing", error=f"{video} is not there")
    try:
        return benchmark.ask(item, video, model, config)
    except ENDING:
        raise
    except VideoError as error:
        return Response("undecodable", error=error.message)
    except TvuError as error:
        return Response("failed", error=error.message)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        return Response("failed", error=f"{type(error).__name__}: {error}")


def _concluded(run: RunFolder, benchmark: Benchmark, chosen: Sequence[Item], notes: tuple[str, ...]) -> Summary:
    records = [run.records[item.id] for item in chosen if item.id in run.records]
    summary = benchmark.sum_up(chosen, records)
    summary = replace(summary, notes=(*summary.notes, *notes))
    run.conclude(summary, benchmark.submission(chosen, records) if isinstance(benchmark, Submitting) else {})
    return summary


def _is_there(video: Path) -> bool:
    try:
        return video.exists()
    except (OSError, ValueError):  # no permission to look; a name with a zero byte
        return False
