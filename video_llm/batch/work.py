"""The work on one video: the same function in this process, in a worker process, and in an actor on a cluster."""

import hashlib
import json
import sqlite3
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Any

from tvu.temporal.errors import TvuError
from tvu.video_llm.cache import FeatureCache
from tvu.video_llm.errors import BackendError, OutputError, UnknownModel, VideoError
from tvu.video_llm.media.address import parse_address
from tvu.video_llm.pipeline import PipelineConfig, find_moments
from tvu.video_llm.results.rows import Row
from tvu.video_llm.types import EVIDENCE, Decoder, Evidence, VideoModel
from tvu.weights.errors import WeightsError

ENDING: tuple[type[TvuError], ...] = (WeightsError, UnknownModel, OutputError)
"""What the next video would meet too, as memory that is all used: it ends a batch, where any other error is that of one
video."""


@dataclass(frozen=True)
class BatchConfig:
    """What all results of a batch depend on.

    model:     its name, as `load_model` takes it. weights: a hash of what is in its files, by name.
    evidence:  the channels to use. min_score: spans less likely are not told; None leaves it to the model.
    top:       at most so many spans a query; None: all.
    use_cache: read and keep features. curves: keep score curves with the rows, for drawing.
    """

    model: str = "scout"
    evidence: tuple[Evidence, ...] = EVIDENCE
    min_score: float | None = None
    top: int | None = None
    decoder: Decoder = "pyav"
    use_cache: bool = True
    curves: bool = False
    weights: tuple[tuple[str, str], ...] = ()

    @property
    def settings(self) -> str:
        """A short hash of all that changes an answer, tvu's own version included."""
        told = {name: value for name, value in asdict(self).items() if name != "use_cache"}
        return hashlib.blake2b(json.dumps([version("tvu"), told]).encode(), digest_size=8).hexdigest()


@dataclass(frozen=True)
class Item:
    """One video and what is asked of it. address: `path` or `path#t=a,b`."""

    address: str
    queries: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.queries:
            raise ValueError(f"nothing is asked of {self.address}")


def key_of(content: str, address: str, query: str, settings: str) -> str:
    """What an answer depends on, as a short hash. content: a hash of the file, see `FeatureCache.content_of`."""
    _, mark, part = address.rpartition("#t=")
    told = json.dumps([content, part if mark else "", query, settings])
    return hashlib.blake2b(told.encode("utf-8", "backslashreplace"), digest_size=12).hexdigest()


def content_of(address: str, cache: FeatureCache) -> str:
    """A hash of what is in the file at `address`; empty where it cannot be read."""
    try:
        return cache.content_of(parse_address(address).path)
    except VideoError:
        return ""


class Worker:
    """Works on one video after the other with a model of its own, which is loaded with the first.

    keeps_errors: make rows of errors; else raise them.
    """

    def __init__(self, config: BatchConfig, model: VideoModel | None = None, *, keeps_errors: bool = True) -> None:
        self.config = config
        self._model = model
        self._keeps_errors = keeps_errors
        self._held = ExitStack()

    def rows_of(self, item: Item) -> list[Row]:
        """A row for each query, in their order; where the video cannot be read or the model fails, with the error.

        Raises what ends a batch (`ENDING`), MemoryError, and OSError for a full disk.
        """
        content = content_of(item.address, self._cache)
        rows = self._answered(item)
        settings = self.config.settings
        keys = [key_of(content, item.address, row.question, settings) if content else "" for row in rows]
        return [row.keyed(key, settings) for row, key in zip(rows, keys, strict=True)]

    @cached_property
    def _cache(self) -> FeatureCache:
        """Where contents are remembered; its ledger stays open, or each new file would cost 2 ms."""
        from tvu.weights.store import cache_root

        cache = FeatureCache(cache_root() / "features")
        with suppress(sqlite3.Error, OSError):
            self._held.enter_context(cache.held_open())
        return cache

    def _answered(self, item: Item) -> list[Row]:
        config = self.config
        try:
            told = PipelineConfig(top=config.top, decoder=config.decoder)
            clip, answers = find_moments(item.address, item.queries, self._loaded(), told)
        except ENDING:
            raise
        except (OSError, MemoryError):
            raise
        except TvuError as error:
            if not self._keeps_errors:
                raise
            return failed(item, error.message, config.model)
        except Exception as error:
            if not self._keeps_errors:
                raise
            return failed(item, f"{type(error).__name__}: {error}", config.model)
        return [Row.of(answer, clip, video=item.address, curves=config.curves) for answer in answers]

    def _loaded(self) -> VideoModel:
        if self._model is None:
            from tvu.video_llm.load import load_model

            config = self.config
            self._model = load_model(
                config.model, evidence=config.evidence, min_score=config.min_score, use_cache=config.use_cache
            )
        return self._model


def answer_to(message: str, worker: Worker) -> str:
    """What a process answers to an item that came as JSON (`asked_in`): its rows, or what ends the batch, as JSON."""
    told = json.loads(message)
    try:
        rows = worker.rows_of(Item(told["address"], tuple(told["queries"])))
        answer: dict[str, Any] = {"rows": [row.as_json() for row in rows]}
    except TvuError as error:
        answer = {"error": error.message, "hint": error.hint, "kind": type(error).__name__}
    except (MemoryError, OSError) as error:
        answer = {"error": str(error) or "out of memory", "hint": "", "kind": ""}
    return json.dumps(answer)


def asked_in(item: Item) -> str:
    """An item as JSON; names that are no Unicode survive as escapes."""
    return json.dumps(asdict(item))


def rows_in_answer(message: str) -> list[Row]:
    """The rows of an `answer_to`. Raises what ends a batch, an error of another kind as BackendError."""
    told = json.loads(message)
    if "error" in told:
        kind = next((each for each in ENDING if each.__name__ == told["kind"]), BackendError)
        raise kind(told["error"], hint=told["hint"])
    return [Row.from_json(row) for row in told["rows"]]


def failed(item: Item, reason: str, model: str) -> list[Row]:
    """A row for each query that says why there is no answer."""
    return [Row(item.address, query, model=model, error=" ".join(reason.split())) for query in item.queries]
