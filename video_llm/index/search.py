"""Search over everything that is indexed: which videos most likely show, say or write what is asked for.

Pictures: the scores of all shots are one product with the shards' columns, and are the very scores that `scout` gives
them. Words: the sentences nearest in meaning, by another product, and those with the very words, by FTS5, are weighed
as `scout` weighs the sentences of one video, as if all of them were one. No video is opened.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tvu.temporal.types import Span
from tvu.video_llm.cache import FeatureCache
from tvu.video_llm.index.build import SHOTS, WORDS, space_of
from tvu.video_llm.index.ledger import NO_FTS5, IndexLedger, Item, StoredUnit
from tvu.video_llm.index.shards import Columns, Shard, ShardStore
from tvu.video_llm.scout.match import Unit, WordIndex, addresses, content_of, features_of, telling_words
from tvu.video_llm.scout.match import calibration_of as word_calibration_of
from tvu.video_llm.scout.model import UNASKED, Scout
from tvu.video_llm.scout.visual import calibration_of
from tvu.video_llm.types import Evidence

CANDIDATES = 128  # sentences that are weighed: so many by their meaning, and so many by their words
APART_SECONDS = 1e6  # more than any video lasts, to lay videos one after the other


@dataclass(frozen=True)
class Hit:
    """What a search expects of one video: the best moment, how probable it is, and what says so."""

    item: Item
    probability: float
    span: Span
    evidence: Evidence


@dataclass(frozen=True)
class Searched:
    """Every video with any hope, best first. lost: videos whose vectors are damaged or gone; notes: for people."""

    hits: tuple[Hit, ...]
    lost: tuple[Item, ...] = ()
    notes: tuple[str, ...] = ()


class Searcher:
    """Searches with the eyes and the sense of words of `scout`, and only through those of its channels that are on."""

    def __init__(self, scout: Scout, cache: FeatureCache) -> None:
        self.scout = scout
        self.ledger, self.shards = IndexLedger(cache), ShardStore(cache.root)

    @cached_property
    def space(self) -> str:
        """What this searcher's vectors are vectors of."""
        return space_of(self.scout)

    def search(self, items: Sequence[Item], query: str) -> Searched:
        """The items, most probable first, but for those that neither show nor say anything of `query`."""
        by_number = {item.id: item for item in items}
        best: dict[int, Hit] = {}
        lost: set[int] = set()
        notes: tuple[str, ...] = ()
        if "visual" in self.scout.evidence:
            found, gone = self._by_pictures(by_number, query)
            lost |= gone
            _keep_best(best, found)
        if set(self.scout.evidence) - {"visual"}:
            found, gone = self._by_words(by_number, query)
            lost |= gone
            _keep_best(best, found)
            notes = () if self.ledger.has_fts5 else (NO_FTS5,)
        hits = sorted(best.values(), key=lambda hit: (-hit.probability, hit.item.id))
        return Searched(tuple(hits), tuple(by_number[number] for number in sorted(lost)), notes)

    def _by_pictures(self, items: dict[int, Item], query: str) -> tuple[list[Hit], set[int]]:
        scorer = self.scout.eyes.scorer
        weights = scorer.query_weights(query)[:, None]
        pictures = self.scout.router.channels(query).visual
        calibration = calibration_of(scorer.name)
        shards, lost = self._shards(SHOTS, items)
        hits = []
        for shard, columns in shards:
            (scores,) = shard.products(weights)
            for each, top, place in zip(columns, *_tops(scores, columns), strict=True):
                probability = pictures * float(calibration.probability(float(top), 0.0))
                hits.append(Hit(items[each.item], probability, Span(*shard.edges[place].tolist()), "visual"))
        return hits, lost

    def _by_words(self, items: dict[int, Item], query: str) -> tuple[list[Hit], set[int]]:
        content = content_of(query)
        shards, lost = self._shards(WORDS, items)
        if not shards:
            return [], lost
        near = np.ascontiguousarray(self.scout.sentences.embed([content, query]).T)
        # closeness in meaning of the best few sentences of all
        places: list[tuple[float, int, int, Shard, int]] = []
        for shard, columns in shards:
            closeness = shard.products(near).max(axis=0)
            owner = np.full(len(closeness), -1)
            for i, each in enumerate(columns):
                owner[each.first : each.first + each.count] = i
            closeness[owner < 0] = -np.inf
            most = min(CANDIDATES, len(closeness))
            for column in np.argpartition(closeness, -most)[-most:].tolist():
                if owner[column] >= 0:
                    each = columns[owner[column]]
                    places.append((float(closeness[column]), each.item, column - each.first, shard, column))
        places = sorted(places, key=lambda place: -place[0])[:CANDIDATES]
        vectors = {(item, number): (shard, column) for _, item, number, shard, column in places}
        where = {each.item: (shard, each) for shard, columns in shards for each in columns}
        telling = telling_words(content)
        for unit in self.ledger.units_with(telling, list(items), self.scout.evidence, CANDIDATES):
            if unit.item in where and unit.number < where[unit.item][1].count:
                shard, each = where[unit.item]
                vectors.setdefault((unit.item, unit.number), (shard, each.first + unit.number))
        units = [u for u in self.ledger.units(vectors).values() if u.channel in self.scout.evidence]
        return self._weighed(units, vectors, items, query), lost

    def _weighed(
        self,
        units: Sequence[StoredUnit],
        vectors: dict[tuple[int, int], tuple[Shard, int]],
        items: dict[int, Item],
        query: str,
    ) -> list[Hit]:
        hits: list[Hit] = []
        asked = {"speech": UNASKED + (1 - UNASKED) * addresses(query)["speech"], "screen-text": 1.0}
        rank = {number: place for place, number in enumerate(sorted({unit.item for unit in units}))}
        for channel, factor in asked.items():
            own = [unit for unit in units if unit.channel == channel]
            if not own:
                continue
            of_units = [vectors[unit.item, unit.number] for unit in own]
            rows = np.concatenate([shard.vectors(np.array([column])) for shard, column in of_units])
            laid = tuple(_laid(unit, rank[unit.item]) for unit in own)
            index = WordIndex(own[0].channel, laid, rows)
            features = features_of(index, query, self.scout.sentences)
            likely = factor * word_calibration_of(own[0].channel).probability(features)
            hits += [Hit(items[u.item], float(p), u.span, u.channel) for u, p in zip(own, likely, strict=True)]
        return hits

    def _shards(self, kind: str, items: Iterable[int]) -> tuple[list[tuple[Shard, list[Columns]]], set[int]]:
        """The shards with the vectors of these videos, the columns of each in order, and the videos that have lost
        theirs."""
        wanted = set(items)
        found: dict[str, tuple[Shard, list[Columns]]] = {}
        for _ in range(3):  # between the ledger and a shard somebody may have merged that one
            by_shard: dict[str, list[Columns]] = {}
            for each in self.ledger.columns(kind, wanted):
                by_shard.setdefault(each.shard, []).append(each)
            missing: set[int] = set()
            found = {}
            for name, columns in by_shard.items():
                shard = self.shards.load(name)
                fits = [c for c in columns if shard is not None and c.first + c.count <= len(shard.edges)]
                missing |= {each.item for each in columns} - {each.item for each in fits}
                if shard is not None and fits:
                    found[name] = shard, sorted(fits, key=lambda c: c.first)
            if not missing:
                break
        return list(found.values()), missing


def _tops(scores: NDArray[np.float32], columns: Sequence[Columns]) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """The best score of each run of columns, and the column that has it."""
    which = np.concatenate([np.arange(each.first, each.first + each.count) for each in columns])
    counts = np.array([each.count for each in columns])
    starts = np.cumsum(counts) - counts
    tops = np.maximum.reduceat(scores[which], starts)
    is_top = scores[which] == np.repeat(tops, counts)
    first = np.flatnonzero(is_top)
    run = np.repeat(np.arange(len(columns)), counts)[first]
    return tops, which[first[np.unique(run, return_index=True)[1]]]


def _laid(unit: StoredUnit, place: int) -> Unit:
    """A unit on a time line on which all videos follow each other."""
    span = Span(unit.span.start_seconds + place * APART_SECONDS, unit.span.end_seconds + place * APART_SECONDS)
    return Unit(unit.text, span, certainty=unit.certainty)


def _keep_best(best: dict[int, Hit], hits: Iterable[Hit]) -> None:
    for hit in hits:
        known = best.get(hit.item.id)
        if known is None or hit.probability > known.probability:
            best[hit.item.id] = hit
