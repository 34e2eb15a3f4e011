"""How long a search over many hours takes, on a drawn index of the sizes that real videos have."""

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvu.temporal.types import Span
from tvu.video_llm.cache import CacheConfig, FeatureCache
from tvu.video_llm.index.build import SHOTS, WIDTH_OF_WORDS, WORDS
from tvu.video_llm.index.ledger import IndexLedger, Item, StoredUnit
from tvu.video_llm.index.search import Searcher
from tvu.video_llm.index.shards import COLUMNS, Shard, ShardStore
from tvu.video_llm.index.upkeep import SEARCH, kept_in
from tvu.video_llm.load import load_model
from tvu.video_llm.scout.model import Eyes, Scout
from tvu.video_llm.sentence import SentenceEncoder
from tvu.video_llm.types import EVIDENCE, Evidence, VideoClip

SEARCH_BAR = 1.0  # seconds for 100 hours on two cores
VIDEO_SECONDS = 1800.0
SHOT_SECONDS = 4.0  # shorter than in most videos, so more of them; `scout` cuts long shots into pieces of 3 to 12 s
SENTENCE_SECONDS = 3.0  # of speech from end to end, by both hearings
LINE_SECONDS = 10.0  # a new line of text on the screen
WORDS_IN_A_SENTENCE = 12
VOCABULARY = 20_000
CLIP_WIDTH = 512  # of ViT-B/32
QUESTIONS = (
    "when does the dog jump into the water?",
    "when do they talk about the price of the house?",
    "a title that reads breaking news",
    "a street at night",
    "the word photosynthesis",
)


@dataclass(frozen=True)
class SearchCost:
    """One line of the table. columns: vectors in the index; bytes_kept: of them; bytes_read: of vectors, by a question;
    seconds: the mean over the questions of the median of their repetitions."""

    what: str
    seconds: float
    hours: int
    columns: int
    bytes_kept: int
    bytes_read: int
    bar_seconds: float | None = None


def measure(hours: int = 100, repeats: int = 5) -> list[SearchCost]:
    """Draw an index of `hours` and ask it. Raises WeightsError where the weights of `scout` are missing."""
    scout = load_model("scout", use_cache=False)
    assert isinstance(scout, Scout)
    costs = []
    bar = SEARCH_BAR if hours <= 100 else None
    with tempfile.TemporaryDirectory() as folder:
        cache = FeatureCache(Path(folder), CacheConfig(max_bytes=None))
        items = draw_index(cache, Searcher(scout, cache).space, hours, len(scout.eyes.scorer.query_weights("a dog")))
        searcher = Searcher(scout, cache)
        searcher.search(items[:1], QUESTIONS[0])  # what every process does once: it loads the sense of words
        sizes = _sizes(searcher, items)
        first = statistics.mean(_cold(searcher, items, question) for question in QUESTIONS)
        costs.append(SearchCost(f"{hours} h by all channels, nothing in memory", first, hours, *sizes, bar))
        costs.append(SearchCost(f"{hours} h by all channels", _asked(searcher, items, repeats), hours, *sizes, bar))
        for channel in EVIDENCE:
            own = load_model("scout", evidence=(channel,), use_cache=False)
            assert isinstance(own, Scout)
            alone = Searcher(own, cache)
            alone.search(items[:1], QUESTIONS[0])
            took = _asked(alone, items, repeats)
            costs.append(SearchCost(f"{hours} h by {channel} alone", took, hours, *_sizes(alone, items)))
    with tempfile.TemporaryDirectory() as folder:
        cache = FeatureCache(Path(folder), CacheConfig(max_bytes=None))
        dense = Scout("clip:drawn", _drawn_eyes, {"visual": ("minilm-l6",)})
        searcher = Searcher(dense, cache)
        items = draw_index(cache, searcher.space, hours, CLIP_WIDTH + 1, words=False)
        searcher.search(items[:1], QUESTIONS[0])
        took = _asked(searcher, items, repeats)
        what = f"{hours} h by the pictures of a CLIP model of {CLIP_WIDTH}"
        costs.append(SearchCost(what, took, hours, *_sizes(searcher, items), bar))
    return costs


def draw_index(cache: FeatureCache, space: str, hours: int, width: int, *, words: bool = True) -> list[Item]:
    """Fill an empty store with videos of half an hour each, as a build would leave it, and give what it then knows.

    width: of the vectors of shots.
    """
    rng = np.random.default_rng(0)
    ledger, shards = IndexLedger(cache), ShardStore(cache.root)
    count = max(1, round(hours * 3600 / VIDEO_SECONDS))
    shots, units = int(VIDEO_SECONDS / SHOT_SECONDS), list(_drawn_times()) if words else []
    vocabulary = _vocabulary(rng)
    at_once = max(1, COLUMNS // shots)
    for start in range(0, count, at_once):
        some = range(start, min(count, start + at_once))
        runs = {SHOTS: _drawn_shard(rng, shards, width, shots, len(some))}
        if words:
            runs[WORDS] = _drawn_shard(rng, shards, WIDTH_OF_WORDS, len(units), len(some))
        found = [(_drawn_item(number, space), _drawn_units(rng, vocabulary, units)) for number in some]
        ledger.add(found, runs)
    return ledger.items(space)


def _drawn_shard(
    rng: np.random.Generator, shards: ShardStore, width: int, count: int, videos: int
) -> list[tuple[str, int, int]]:
    vectors = rng.standard_normal((count * videos, width), np.float32)
    starts = np.tile(np.arange(count) * (VIDEO_SECONDS / count), videos)
    edges = np.stack([starts, starts + VIDEO_SECONDS / count], axis=1)
    name = shards.add([Shard.of(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), edges)])
    return [(name, number * count, count) for number in range(videos)]


def _drawn_item(number: int, space: str) -> Item:
    span = Span(0.0, VIDEO_SECONDS)
    clip = VideoClip(Path(f"/drawn/{number:05d}.mp4"), span, VIDEO_SECONDS, 30.0, int(VIDEO_SECONDS * 30), 720, 1280)
    return Item(f"{number:032x}", "-", space, "drawn", clip, EVIDENCE, EVIDENCE)


def _drawn_times() -> Iterator[tuple[Evidence, Span]]:
    for channel, seconds in (("speech", SENTENCE_SECONDS), ("screen-text", LINE_SECONDS)):
        for start in np.arange(0.0, VIDEO_SECONDS, seconds).tolist():
            yield ("speech" if channel == "speech" else "screen-text"), Span(start, start + seconds)


def _vocabulary(rng: np.random.Generator) -> NDArray[Any]:
    """Words by how common they are: those of the questions among the common ones, where they cost most."""
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    drawn = ["".join(rng.choice(letters, size=rng.integers(3, 10))) for _ in range(VOCABULARY)]
    known = [word.strip("?") for question in QUESTIONS for word in question.split()]
    drawn[100 : 100 + len(known)] = known
    return np.array(drawn)


def _drawn_units(
    rng: np.random.Generator, vocabulary: NDArray[Any], times: list[tuple[Evidence, Span]]
) -> list[StoredUnit]:
    """Sentences whose words are as common as words are (Zipf's law)."""
    rank = np.minimum(rng.zipf(1.2, size=(len(times), WORDS_IN_A_SENTENCE)) - 1, VOCABULARY - 1)
    texts = (" ".join(row) for row in vocabulary[rank])
    return [
        StoredUnit(0, number, channel, span, 0.9, text)
        for number, ((channel, span), text) in enumerate(zip(times, texts, strict=True))
    ]


def _sizes(searcher: Searcher, items: list[Item]) -> tuple[int, int, int]:
    """Vectors, their bytes, and how many of these the mean question reads."""
    numbers = [item.id for item in items]
    columns, read = 0, 0.0
    kinds: list[tuple[str, Callable[[str], float]]] = []
    if "visual" in searcher.scout.evidence:
        scorer = searcher.scout.eyes.scorer
        kinds.append((SHOTS, lambda question: float(np.count_nonzero(scorer.query_weights(question)))))
    if set(searcher.scout.evidence) - {"visual"}:
        kinds.append((WORDS, lambda question: float(WIDTH_OF_WORDS)))
    for kind, rows in kinds:
        own = sum(each.count for each in searcher.ledger.columns(kind, numbers))
        columns += own
        read += own * statistics.mean(map(rows, QUESTIONS))
    kept = sum(entry.bytes for entry in kept_in(searcher.shards.root.parent / SEARCH))
    return columns, kept, round(read)


def _asked(searcher: Searcher, items: list[Item], repeats: int) -> float:
    return statistics.mean(
        statistics.median(_seconds(searcher, items, question) for _ in range(repeats)) for question in QUESTIONS
    )


def _seconds(searcher: Searcher, items: list[Item], question: str) -> float:
    started = time.perf_counter()
    searcher.search(items, question)
    return time.perf_counter() - started


def _cold(searcher: Searcher, items: list[Item], question: str) -> float:
    """With nothing of the index in memory, as far as the system can be talked into that."""
    for file in searcher.shards.root.parent.rglob("*"):
        if file.is_file():
            fd = os.open(file, os.O_RDONLY)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(fd)
    return _seconds(searcher, items, question)


class _DrawnClip:
    """The width of a CLIP model, and nothing else of it."""

    name = "clip:drawn"

    def features(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        raise NotImplementedError

    def embed_text(self, texts: list[str]) -> NDArray[np.float32]:
        rng = np.random.default_rng(len(texts))
        vectors = rng.standard_normal((len(texts), CLIP_WIDTH), np.float32)
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def _drawn_eyes(sentences: SentenceEncoder) -> Eyes:
    from tvu.video_llm.scout.visual import ClipScorer

    encoder = _DrawnClip()
    return Eyes(encoder, ClipScorer(encoder))  # type: ignore[arg-type]
