"""The folder of a run: what was asked and how (`lock.json`), what came of it, an item a line (`items.jsonl`), the sum.

A line is on the disk before the next item is asked, so a kill loses at most the item in hand. `summary.json` and
`summary.txt` appear whole or not at all.
"""

import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from tvu.video_llm.benchmarks.json_files import read_json
from tvu.video_llm.benchmarks.render import summary_json, summary_text
from tvu.video_llm.benchmarks.types import Json, Record, Summary
from tvu.video_llm.errors import BenchmarkError, OutputError, OutputExists
from tvu.video_llm.export import hold, write_text, written_beside

LOCK, ITEMS = "lock.json", "items.jsonl"


@dataclass(frozen=True)
class Lock:
    """Everything that a score depends on; two runs of equal locks ask the same in the same way.

    tvu:       its version. benchmark: its name. items: a hash of all questions and truths of the set.
    model:     its name. weights: by name, a hash of what is in their files, or that they are not here.
    subset:    how many items were drawn, by `seed`; None: all. shard: (i, n), every n-th of them from the i-th.
    The others are those of `AskConfig`.
    """

    tvu: str
    benchmark: str
    items: str
    model: str
    weights: Mapping[str, str]
    decoder: str
    protocol: str
    matching: str | None
    frames: int | None
    subset: int | None
    seed: int
    shard: tuple[int, int]

    def differences(self, other: "Lock") -> dict[str, tuple[Json, Json]]:
        """By name, the fields in which they differ: this one's value and the other's."""
        mine, theirs = asdict(self), asdict(other)
        return {name: (mine[name], theirs[name]) for name in mine if mine[name] != theirs[name]}

    def lines(self) -> list[str]:
        """A field a line, for people."""
        return [f"{name:<9}  {_plainly(value)}" for name, value in asdict(self).items()]


class RunFolder:
    """A run that this process alone works on.

    records: what came of each item so far, by its id.
    """

    def __init__(self, path: Path, lock: Lock) -> None:
        self.path = path
        self.lock = lock
        self.records = {record.id: record for record in read_records(path)}
        self.replace(list(self.records.values()))  # without the line that a kill cut off

    def append(self, record: Record) -> None:
        """Keep a record; it is on the disk when this returns. Raises OutputError."""
        try:
            with (self.path / ITEMS).open("ab") as file:
                file.write(_line(record))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OutputError(f"{self.path / ITEMS} cannot be written: {error.strerror or error}") from error
        self.records[record.id] = record

    def replace(self, records: Sequence[Record]) -> None:
        """Keep these records and no others. Raises OutputError."""
        content = b"".join(map(_line, records))
        path = self.path / ITEMS
        if not path.exists() or path.read_bytes() != content:
            with written_beside(path) as beside:
                beside.write_bytes(content)
        self.records = {record.id: record for record in records}

    def forget(self, ids: Collection[str]) -> None:
        """Drop what came of these items. Raises OutputError."""
        if ids:
            self.replace([record for id_, record in self.records.items() if id_ not in ids])

    def conclude(self, summary: Summary, others: Mapping[str, str]) -> None:
        """Write what the run comes to, and other files by their names. Raises OutputError."""
        told = [summary_text(summary), "", *self.lock.lines(), ""]
        write_text(self.path / "summary.json", summary_json(self.lock.benchmark, summary) + "\n")
        write_text(self.path / "summary.txt", "\n".join(told))
        for name, text in others.items():
            write_text(self.path / name, text)


@contextmanager
def opened(path: Path, lock: Lock, data: Path) -> Iterator[RunFolder]:
    """The run in the folder `path`, begun if there is none; `data` is noted for `merge` and makes no difference.

    Raises OutputExists where the folder holds another run or something else, and OutputError where another process
    works on it or it cannot be written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        file = (path / LOCK).open("a+", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error
    with file:
        hold(file, path)
        if os.fstat(file.fileno()).st_size == 0:
            if (path / ITEMS).exists():
                raise OutputExists(f"{path} has items and no {LOCK}", hint="name another folder with -o")
            file.write(json.dumps({**asdict(lock), "data": str(data.absolute())}, indent=1) + "\n")
            file.flush()
        elif differs := read_lock(path).differences(lock):
            name, (here, now) = next(iter(differs.items()))
            raise OutputExists(
                f"{path} holds a run with another {name}: {_plainly(here)} there, {_plainly(now)} now",
                hint="name another folder with -o",
            )
        yield RunFolder(path, lock)


def read_lock(path: Path) -> Lock:
    """How the run in a folder was asked. Raises BenchmarkError where there is none."""
    told = _lock_file(path)
    try:
        known = {field.name: told[field.name] for field in fields(Lock)}
        return Lock(**{**known, "shard": tuple(known["shard"])})
    except (KeyError, TypeError) as error:
        raise BenchmarkError(f"{path / LOCK} is no lock of a run: {error}") from error


def data_of(path: Path) -> Path:
    """The folder of data of the run in a folder, as it was given then. Raises BenchmarkError."""
    return Path(str(_lock_file(path).get("data", "")))


def read_records(path: Path) -> list[Record]:
    """What came of the items of a run, in the order in which they were asked; the line that a kill cut off is left out.

    Raises BenchmarkError, which names the line, for a file that is no such file.
    """
    try:
        lines = (path / ITEMS).read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise BenchmarkError(f"{path / ITEMS} cannot be read: {error.strerror or error}") from error
    records = []
    for number, line in enumerate(lines[:-1], start=1):
        try:
            records.append(Record.from_json(json.loads(line)))
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise BenchmarkError(f"{path / ITEMS}, line {number} is no record of a run: {error}") from error
    return records


def _lock_file(path: Path) -> dict[str, Json]:
    if not (path / LOCK).is_file():
        raise BenchmarkError(f"{path} is no folder of a run: it has no {LOCK}")
    told = read_json(path / LOCK)
    if not isinstance(told, dict):
        raise BenchmarkError(f"{path / LOCK} is no lock of a run")
    return told


def _line(record: Record) -> bytes:
    text = json.dumps(record.as_json(), ensure_ascii=False, allow_nan=False) + "\n"
    return text.encode("utf-8", "backslashreplace")  # half a surrogate pair becomes the escape that JSON has for it


def _plainly(value: Json) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {told:.16}" for name, told in value.items()) or "none"
    if isinstance(value, tuple | list):
        return "/".join(map(str, value))
    return "none" if value is None else f"{value:.16}" if isinstance(value, str) and len(value) == 64 else str(value)
