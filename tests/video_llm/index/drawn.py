"""Indexing without weights: what looks at pictures knows colours, and videos are described instead of decoded."""

import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from tvu.temporal.types import Span
from tvu.video_llm.cache import CacheConfig, FeatureCache
from tvu.video_llm.index.build import Indexer, _Found
from tvu.video_llm.index.ledger import Item, StoredUnit
from tvu.video_llm.index.shards import Shard
from tvu.video_llm.types import EVIDENCE, VideoClip

WIDTH = 8
SCOUT = SimpleNamespace(
    name="drawn",
    evidence=EVIDENCE,
    eyes=SimpleNamespace(encoder=SimpleNamespace(name="drawn"), scorer=SimpleNamespace(name="clip:drawn")),
)


def store(root: Path) -> FeatureCache:
    return FeatureCache(root, CacheConfig(max_bytes=None))


def indexer(root: Path) -> Indexer:
    return Indexer(SCOUT, store(root))


def vector(name: str) -> np.ndarray:
    """What every shot of a video of that name looks like: its own, with 127 as the largest number."""
    drawn = np.random.default_rng(list(name.encode())).integers(-127, 128, WIDTH).astype(np.float32)
    drawn[0] = 127
    return drawn


def found(name: str, shots: int = 3, text: str = "hello world") -> _Found:
    clip = VideoClip(Path(f"/{name}.mp4"), Span(0, shots), float(shots), 1.0, shots, 2, 2)
    item = Item(name, "-", "drawn clip:drawn 3.1", "drawn", clip, EVIDENCE, EVIDENCE)
    edges = np.array([(i, i + 1) for i in range(shots)], np.float64)
    units = (StoredUnit(0, 0, "speech", Span(0, 1), 1.0, text),) if text else ()
    words = Shard.of(np.ones((len(units), 384), np.float32), edges[: len(units)])
    return _Found(item, units, Shard.of(np.stack([vector(name)] * shots), edges), words)


def is_whole(root: Path) -> list[str]:
    """The names of all that is indexed, after making sure that all of it has its own vectors and words."""
    own = indexer(root)
    items = {item.id: item for item in own.ledger.items()}
    columns = own.ledger.columns("shots", items)
    assert {each.item for each in columns} == set(items)
    for each in columns:
        shard = own.shards.load(each.shard)
        assert shard is not None
        found = shard.vectors(np.arange(each.first, each.first + each.count))
        np.testing.assert_allclose(found, np.stack([vector(items[each.item].content)] * each.count), rtol=1e-5)
    words = own.ledger.columns("words", items)
    units = own.ledger.units((each.item, 0) for each in words)
    assert len(units) == len(words) == len(items)
    return [item.content for item in items.values()]


if __name__ == "__main__":  # records videos one by one, until it is done or killed
    folder, prefix, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    working = indexer(folder)
    for number in range(count):
        working._record([found(f"{prefix}{number}")])
        print(number, flush=True)
    time.sleep(float(sys.argv[4]) if len(sys.argv) > 4 else 0)
