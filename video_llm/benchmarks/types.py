"""What a benchmark is made of: its items, what a model responded, and what a run comes to."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, get_args, runtime_checkable

from tvu.video_llm.types import Decoder, VideoModel

Json = Any
"""A value that `json.dumps` writes and `json.loads` gives back unchanged: no tuples, no NaN."""

Status = Literal["parsed", "unparsed", "missing", "undecodable", "failed"]
"""Of a response: understood; not understood, which is wrong and counted; no such video; a video that cannot be read;
the model itself failed."""
STATUSES: tuple[Status, ...] = get_args(Status)


@dataclass(frozen=True)
class Item:
    """One question of a benchmark.

    id:       unique within the benchmark, and the same on every machine.
    video:    a file, or a folder of pictures, relative to the folder of videos.
    question: what is asked: a query, a question, or nothing where the task asks the same of all videos.
    truth:    what is right: spans `[[start, end], …]` in file seconds, the index of an option, …
    group:    what scores are told apart by: the task, the domain.
    bounds:   the part of the file that is asked about, seconds; None: all of it.
    options:  of a multiple choice, in the order of their letters.
    facts:    what else the score needs, e.g. `duration`.
    """

    id: str
    video: str
    question: str
    truth: Json
    group: str = ""
    bounds: tuple[float, float] | None = None
    options: tuple[str, ...] = ()
    facts: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class Response:
    """What asking one item gave.

    prediction:    what was understood of it, in the form of the item's truth; None where nothing was.
    text:          as the model wrote it. prompt: what it was asked, in full.
    frame_seconds: when the frames appear that it looked at, file seconds; empty where the model does not tell.
    error:         one sentence, of a status that is neither parsed nor unparsed.
    """

    status: Status
    prediction: Json = None
    text: str = ""
    prompt: str = ""
    frame_seconds: tuple[float, ...] = ()
    error: str = ""

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"unknown status {self.status!r}")


@dataclass(frozen=True)
class Record:
    """One line of a run: an item and what came of it, enough to score it again without the model.

    score:   in [0, 1], of this item alone; None where the benchmark has no score of single items.
    seconds: wall clock that it took.
    """

    id: str
    video: str
    question: str
    truth: Json
    group: str
    bounds: tuple[float, float] | None
    status: Status
    prediction: Json
    text: str
    prompt: str
    frame_seconds: tuple[float, ...]
    error: str
    score: float | None
    seconds: float

    @classmethod
    def of(cls, item: Item, response: Response, score: float | None, seconds: float) -> "Record":
        """The line of `item`."""
        told = {name: getattr(item, name) for name in ("id", "video", "question", "truth", "group", "bounds")}
        understood = {name: getattr(response, name) for name in Response.__dataclass_fields__}
        return cls(**told, **understood, score=score, seconds=seconds)

    @classmethod
    def from_json(cls, value: Mapping[str, Json]) -> "Record":
        """What `as_json` wrote. Raises ValueError or TypeError for anything else."""
        known = {name: value[name] for name in cls.__dataclass_fields__ if name in value}
        known["bounds"] = None if known.get("bounds") is None else tuple(known["bounds"])
        known["frame_seconds"] = tuple(known.get("frame_seconds", ()))
        return cls(**known)

    def as_json(self) -> dict[str, Json]:
        """A JSON object; `prompt_hash` names the prompt for comparing runs at a glance."""
        value = asdict(self)
        value["prompt_hash"] = hashlib.sha256(self.prompt.encode(errors="surrogatepass")).hexdigest()[:16]
        return value


@dataclass(frozen=True)
class Table:
    """For people to read: a title, the names of its columns, and rows of texts and numbers; None is an empty cell."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | float | int | None, ...], ...]


@dataclass(frozen=True)
class Summary:
    """What a run, or a file of predictions, comes to.

    numbers: metric to value, named and scaled as the official script does, rounded where it rounds; counts beside them.
    tables:  the same for people, with what to hold it against.
    notes:   what the reader must know: missing videos, a subset, a mode that is not the official one.
    details: names of numbers that the tables show, or that only programs look at.
    """

    numbers: Mapping[str, float | int | None]
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()
    details: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for name, value in self.numbers.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{name} is {value}")


@dataclass(frozen=True)
class AskConfig:
    """How items are asked; every field goes into the lock of a run.

    protocol: whose prompt: `tvu`, or for multiple choice `official`, `lmms-eval` or `vlmevalkit`.
    matching: whose rule tells the option that an answer means; None: that of the protocol.
    frames:   of multiple choice, how many; None: what the model looks at on its own.
    decoder:  the reader of the frames.
    """

    protocol: str = "tvu"
    matching: str | None = None
    frames: int | None = None
    decoder: Decoder = "pyav"


class Benchmark(Protocol):
    """A set of items, how they are asked, and how the answers are scored."""

    @property
    def name(self) -> str:
        """As the command line and the records of a run have it."""
        ...

    def read(self, data: Path) -> Sequence[Item]:
        """All items of the set under `data`, in the official order. Raises BenchmarkError where it is not there."""
        ...

    def video_of(self, item: Item, data: Path) -> Path:
        """Where the item's video is, whether it exists or not."""
        ...

    def ask(self, item: Item, video: Path, model: VideoModel, config: AskConfig) -> Response:
        """Ask one item. Raises VideoError for a video that cannot be read, and whatever the model raises."""
        ...

    def judge(self, item: Item, response: Response) -> float | None:
        """The score of one item, in [0, 1]."""
        ...

    def sum_up(self, items: Sequence[Item], records: Sequence[Record]) -> Summary:
        """The scores of a run: `records` of some or all of `items`; those that were never run are counted."""
        ...


@runtime_checkable
class Submitting(Protocol):
    """A benchmark whose answers others score too."""

    def submission(self, items: Sequence[Item], records: Sequence[Record]) -> Mapping[str, str]:
        """Files for the folder of the run, by name, as the official script or server reads them."""
        ...
