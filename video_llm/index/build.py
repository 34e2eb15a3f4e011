"""Indexing: what `scout` makes of each video goes into the store, and what can be searched into shards and the ledger.

Videos are recorded some at a time. A kill in between loses no features: the next run finds those in the store, decodes
nothing again, and records them.
"""

import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from tvu.temporal.errors import TvuError
from tvu.temporal.types import Span
from tvu.video_llm.cache import LEDGER, FeatureCache
from tvu.video_llm.decode import open_video
from tvu.video_llm.errors import OutputError
from tvu.video_llm.index.ledger import IndexLedger, Item, StoredUnit, part_of
from tvu.video_llm.index.models import keep_features
from tvu.video_llm.index.shards import Columns, Shard, ShardStore, to_merge
from tvu.video_llm.index.upkeep import ORPHAN_SECONDS, bytes_in, evict, held, sweep
from tvu.video_llm.media.address import parse_address
from tvu.video_llm.scout.model import LAYOUT, Scout, Seen
from tvu.video_llm.scout.screen_text import units_of as lines_of
from tvu.video_llm.scout.speech import units_of as sentences_of
from tvu.video_llm.types import Decoder, Evidence, VideoModel
from tvu.weights.errors import WeightsError

VECTORS = 1  # how shards are made of features; raised when that changes
VIDEOS_AT_ONCE = 64  # recorded together, or as many as come in so many seconds
SECONDS_AT_ONCE = 20.0
SHOTS, WORDS = "shots", "words"
WIDTH_OF_WORDS = 384  # of a sentence's vector


@dataclass(frozen=True)
class Outcome:
    """What came of one address. seconds: of video, 0 where it failed. error: one sentence, and notes, for people."""

    address: str
    state: Literal["indexed", "known", "failed"]
    seconds: float = 0.0
    error: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Found:
    """One video, ready to be recorded: vectors of its shots and of its sentences."""

    item: Item
    units: tuple[StoredUnit, ...]
    shots: Shard
    words: Shard


class Indexer:
    """Indexes videos as `scout` sees, hears and reads them; any number of processes may, into one store."""

    def __init__(
        self, scout: Scout, cache: FeatureCache, *, also: VideoModel | None = None, decoder: Decoder = "pyav"
    ) -> None:
        """also: a Video-LLM whose features of every video are kept beside; decoder: the reader of the frames."""
        self.scout, self.cache, self.also, self.decoder = scout, cache, also, decoder
        self.ledger, self.shards = IndexLedger(cache), ShardStore(cache.root)

    def run(self, addresses: Iterable[str]) -> Iterator[Outcome]:
        """Index what is not indexed yet, and say what came of each address, in order.

        A file that cannot be read is an outcome, not an error. Raises WeightsError, and OutputError where the index
        cannot be written.
        """
        try:
            with self.cache.held_open():
                yield from self._run(addresses)
        except sqlite3.Error as error:
            raise OutputError(
                f"the index cannot be opened: {error}", hint="tvu index verify mends what it can"
            ) from error

    def _run(self, addresses: Iterable[str]) -> Iterator[Outcome]:
        known = {_place(item): item for item in self.ledger.items(space_of(self.scout))}
        whole = self._whole(known.values())
        waiting: list[_Found] = []
        since = time.monotonic()
        try:
            for address in addresses:
                try:
                    outcome, found = self._examine(address, known, whole)
                except WeightsError:
                    raise
                except TvuError as error:
                    yield Outcome(address, "failed", error=error.message)
                    continue
                if found is not None:
                    known[_place(found.item)] = found.item
                    whole.add(_place(found.item))
                    since = since if waiting else time.monotonic()
                    waiting.append(found)
                if len(waiting) >= VIDEOS_AT_ONCE or time.monotonic() - since > SECONDS_AT_ONCE:
                    self._record(waiting)
                    waiting = []
                yield outcome
        finally:
            self._record(waiting)

    def _examine(
        self, address: str, known: dict[tuple[str, str, str], Item], whole: set[tuple[str, str, str]]
    ) -> tuple[Outcome, _Found | None]:
        part = parse_address(address)
        place = self.cache.content_of(part.path), part_of(part.start_seconds, part.end_seconds), self.decoder
        item = known.get(place)
        if item is not None and place in whole and set(self.scout.evidence) <= set(item.tried):
            if self.also is not None:
                keep_features(self.also, replace(item.clip, path=part.path))
            return Outcome(address, "known", item.clip.span.seconds), None
        clip = open_video(address, decoder=self.decoder)
        seen = self.scout.look(clip)
        if self.also is not None:
            keep_features(self.also, clip)
        item = Item(
            place[0],
            place[1],
            space_of(self.scout),
            self.scout.name,
            replace(clip, path=clip.path.absolute()),
            self.scout.evidence,
            _channels(seen),
            time.time(),
        )
        notes = (*seen.notes, self.cache.trouble) if self.cache.trouble else seen.notes
        return Outcome(address, "indexed", clip.span.seconds, notes=notes), self._found(item, seen)

    def _found(self, item: Item, seen: Seen) -> _Found:
        units = _units(seen)
        shots = Shard.of(np.zeros((0, 0), np.float32), np.zeros((0, 2)))
        if seen.visual is not None:
            edges = np.array([(shot.start_seconds, shot.end_seconds) for shot in seen.visual.shots])
            shots = Shard.of(self.scout.eyes.scorer.shot_vectors(seen.visual), edges)
        vectors = np.zeros((0, WIDTH_OF_WORDS), np.float32)
        if units:
            vectors = self.scout.sentences.embed([unit.text for unit in units])
        spans = np.array([(u.span.start_seconds, u.span.end_seconds) for u in units]).reshape(-1, 2)
        return _Found(item, units, shots, Shard.of(vectors, spans))

    def _whole(self, items: Iterable[Item]) -> set[tuple[str, str, str]]:
        """Those of the items whose shards are there."""
        items = list(items)
        numbers = {item.id for item in items}
        columns = [each for kind in (SHOTS, WORDS) for each in self.ledger.columns(kind, numbers)] if items else []
        missing = self.shards.missing(each.shard for each in columns)
        lost = {each.item for each in columns if each.shard in missing}
        return {_place(item) for item in items if item.id not in lost}

    def _record(self, found: Sequence[_Found]) -> None:
        """Shards first, then the ledger, which makes them count; what a kill leaves in between is swept later."""
        if not found:
            return
        try:
            with held(self.shards.root / ".lock"):
                vectors = {
                    SHOTS: self._write([each.shots for each in found]),
                    WORDS: self._write([each.words for each in found]),
                }
                self.ledger.add([(each.item, each.units) for each in found], vectors)
                for kind in (SHOTS, WORDS):
                    self._merge(kind)
        except OSError as error:
            raise OutputError(
                f"the index cannot be written: {error.strerror or error}", hint="is there room in the cache?"
            ) from error

    def _write(self, parts: Sequence[Shard]) -> list[tuple[str, int, int]]:
        """One shard of the vectors of several videos: for each of them the shard's name, and its columns there."""
        counts = [len(part.edges) for part in parts]
        full = [part for part in parts if len(part.edges)]
        name = self.shards.add(full) if full else ""
        firsts = np.cumsum([0, *counts])[:-1].tolist()
        return [(name, first, count) for first, count in zip(firsts, counts, strict=True)]

    def _merge(self, kind: str) -> None:
        while True:
            sizes = self.ledger.sizes(space_of(self.scout), kind)
            moved: list[tuple[Columns, int]] = []
            parts, total = [], 0
            for name in to_merge(sizes):
                shard = self.shards.load(name)
                if shard is None:
                    return  # its videos are indexed again by the next run
                own = self.ledger.columns_in(kind, name)
                parts.append(_taken(shard, own))
                for each in own:
                    moved.append((each, total))
                    total += each.count
            if not parts:
                return
            new = self.shards.add(parts)
            for name in self.ledger.move(kind, [(old, new, first) for old, first in moved]):
                self.shards.remove(name)


def space_of(scout: Scout) -> str:
    """What the vectors of an index are vectors of: only those of one space can be searched together."""
    return f"{scout.eyes.encoder.name} {scout.eyes.scorer.name} {LAYOUT}.{VECTORS}"


def _place(item: Item) -> tuple[str, str, str]:
    return item.content, item.part, item.clip.decoder


def _channels(seen: Seen) -> tuple[Evidence, ...]:
    there: dict[Evidence, object] = {
        "visual": seen.visual,
        "speech": seen.transcript and seen.transcript.words,
        "screen-text": seen.screen_text and seen.screen_text.tracks,
    }
    return tuple(channel for channel, found in there.items() if found)


def _units(seen: Seen) -> tuple[StoredUnit, ...]:
    """Sentences as heard, by both hearings where they differ, and lines as read; no pieces or pairs of them, which a
    search does not need to find the video."""
    found: list[tuple[Evidence, str, Span, float]] = []
    for unit in sentences_of(seen.transcript) if seen.transcript is not None else ():
        if not unit.is_joined and not unit.is_part:
            found.append(("speech", unit.text, unit.span, unit.certainty))
    for unit in lines_of(seen.screen_text) if seen.screen_text is not None else ():
        if not unit.is_joined:
            found.append(("screen-text", unit.text, unit.span, unit.certainty))
    return tuple(StoredUnit(0, n, channel, span, sure, text) for n, (channel, text, span, sure) in enumerate(found))


def _taken(shard: Shard, columns: Sequence[Columns]) -> Shard:
    """Those columns of a shard, one run after the other."""
    return shard.taken(np.concatenate([np.arange(each.first, each.first + each.count) for each in columns]))


def tidy(cache: FeatureCache, older_than: float) -> int:
    """Remove shards that no video is in: a kill left them. Returns how many. Raises OutputError.

    older_than: seconds since 1970; shards used later may be of a run that has not recorded them yet.
    """
    shards = ShardStore(cache.root)
    with suppress(OSError), held(shards.root / ".lock"):
        return shards.remove_all_but(sorted(IndexLedger(cache).shards()), older_than)
    return 0


@dataclass(frozen=True)
class Pruned:
    """evicted: entries that were dropped; swept: leftovers of killed runs; forgotten: videos that are no longer
    indexed; bytes: what is left."""

    evicted: int
    swept: int
    forgotten: int
    bytes: int


def prune(cache: FeatureCache, max_bytes: int | None) -> Pruned:
    """Bring the store to `max_bytes`, None for no limit, and sweep up. Raises OutputError.

    Features go first, the least recently used before others. What is searched goes only where it does not fit alone.
    """
    ledger = IndexLedger(cache)
    is_used = (cache.root / LEDGER).exists()
    swept = sweep(cache.root) + (tidy(cache, time.time() - ORPHAN_SECONDS) if is_used else 0)
    evicted = forgotten = 0
    left = bytes_in(cache.root)
    if max_bytes is not None:
        evicted, left = evict(cache.root, max_bytes)
        if left > max_bytes and is_used:
            items = ledger.items()
            ledger.forget([item.id for item in items])
            forgotten = len(items)
            tidy(cache, time.time() + 1)
            left = bytes_in(cache.root)
    if is_used:
        with suppress(OSError, sqlite3.Error):
            cache.recount()
    return Pruned(evicted, swept, forgotten, left)


def without_vectors(cache: FeatureCache) -> list[Path]:
    """Videos in the ledger whose shards are gone: `Indexer` records them again."""
    if not (cache.root / LEDGER).exists():
        return []
    ledger, shards = IndexLedger(cache), ShardStore(cache.root)
    items = {item.id: item for item in ledger.items()}
    columns = [each for kind in (SHOTS, WORDS) for each in ledger.columns(kind, items)]
    missing = shards.missing(each.shard for each in columns)
    lost = {each.item for each in columns if each.shard in missing}
    return [items[number].clip.path for number in sorted(lost)]
