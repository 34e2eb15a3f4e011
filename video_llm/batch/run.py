"""A batch is run: what the ledger does not have yet is worked on, and kept as it comes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tvu.video_llm.batch.engine import Done, Engine
from tvu.video_llm.batch.ledger import Ledger, due
from tvu.video_llm.batch.work import BatchConfig, Item, Worker, content_of, key_of
from tvu.video_llm.cache import FeatureCache
from tvu.video_llm.results.rows import Row
from tvu.video_llm.types import VideoModel


@dataclass(frozen=True)
class Progress:
    """How far a batch is: videos done of all, those done by earlier runs, and those that failed."""

    done: int
    total: int
    known: int = 0
    failed: int = 0


Watch = Callable[[Progress], None]


def serially(model: VideoModel | None = None) -> Engine:
    """The engine that works in this process, with `model` where it is loaded already. An error of a video ends it."""

    def work(items: Sequence[Item], config: BatchConfig) -> Iterator[Done]:
        worker = Worker(config, model, keeps_errors=False)
        for item in items:
            yield item, worker.rows_of(item)

    return work


def run_batch(
    items: Sequence[Item],
    config: BatchConfig,
    engine: Engine,
    ledger: Ledger,
    *,
    retry_errors: bool = False,
    watch: Watch = lambda progress: None,
) -> list[Row]:
    """Work on all that `ledger` has no rows of, or rows of a file that has changed since; give the rows of all items.

    Errors are worked on again where the file could not be read, or with `retry_errors`. What is done is kept whatever
    ends the run. Raises what ends a batch (`work.ENDING`).
    """
    todo = still_to_do(items, config, ledger, retry_errors)
    known = len(items) - len(todo)
    failed = 0
    watch(Progress(known, len(items), known))
    if todo:
        finished = engine(todo, config)
        try:
            for place, (_, rows) in enumerate(finished, start=1):
                ledger.append(rows)
                failed += any(row.error for row in rows)
                watch(Progress(known + place, len(items), known, failed))
        finally:
            close = getattr(finished, "close", None)
            if close is not None:
                close()
    return ledger.finish((item.address, query) for item in items for query in item.queries)


def still_to_do(items: Sequence[Item], config: BatchConfig, ledger: Ledger, retry_errors: bool = False) -> list[Item]:
    """The items, with the queries of each that `ledger` has no row of that still holds."""
    from tvu.weights.store import cache_root

    cache = FeatureCache(cache_root() / "features")
    known = {video for video, _ in ledger.rows}
    todo = []
    for item in items:
        queries = item.queries
        if item.address in known:
            content = content_of(item.address, cache)
            keys = {q: key_of(content, item.address, q, config.settings) if content else "" for q in queries}
            queries = due(ledger.rows, item.address, keys, retry_errors=retry_errors)
        if queries:
            todo.append(Item(item.address, queries))
    return todo
