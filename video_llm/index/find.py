"""`tvu find`: moments of many videos, best first. A search over all of them, then a close look at the best few."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tvu.temporal.errors import TvuError
from tvu.video_llm.cache import FeatureCache
from tvu.video_llm.errors import VideoError
from tvu.video_llm.index.ledger import IndexLedger, Item, part_of
from tvu.video_llm.index.search import Searcher
from tvu.video_llm.media.address import Address, parse_address
from tvu.video_llm.parse import in_words
from tvu.video_llm.pipeline import Report, be_silent
from tvu.video_llm.results.rows import Row
from tvu.video_llm.scout.model import Scout
from tvu.video_llm.types import Decoder, VideoModel
from tvu.weights.errors import WeightsError

LEAST_VIDEOS = 5  # that are looked at closely, however few moments are wanted


@dataclass(frozen=True)
class FindConfig:
    """top: moments to tell at most; as many videos are looked at closely, and `LEAST_VIDEOS` at least. decoder: the
    reader that the videos were indexed with."""

    top: int = 5
    decoder: Decoder = "pyav"

    def __post_init__(self) -> None:
        if self.top < 1:
            raise ValueError(f"top must be at least 1, not {self.top}")


@dataclass(frozen=True)
class Moment:
    """One moment: its place among all, from 1, and the row of its video with this grounding alone."""

    rank: int
    row: Row

    def as_json(self) -> dict[str, Any]:
        """The fields of the row, and `rank`."""
        return {"rank": self.rank, **self.row.as_json()}


@dataclass(frozen=True)
class Found:
    """moments: best first. unindexed: addresses that no index knows, and so were not searched; failed: those among the
    best that could not be looked at, and why. searched: how many videos were."""

    moments: tuple[Moment, ...]
    searched: int
    unindexed: tuple[str, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


def find_moments_in(
    addresses: Iterable[str],
    query: str,
    model: VideoModel,
    scout: Scout,
    cache: FeatureCache,
    config: FindConfig | None = None,
    report: Report = be_silent,
) -> Found:
    """When and where `query` happens in many videos.

    scout: searches, by what `Indexer` recorded with the same eyes; model: looks closely, and may be `scout` itself.
    Copies of one video count once, under the first of their names. Raises VideoError where none is indexed,
    WeightsError where a model's weights are missing, and OutputError where the index cannot be used.
    """
    config = config or FindConfig()
    searcher = Searcher(scout, cache)
    known, unindexed = indexed_among(addresses, searcher.space, scout, cache, config.decoder)
    if not known:
        raise VideoError(
            f"none of {len(unindexed)} videos is indexed", hint="tvu index build FOLDER, or add --build to find"
        )
    report("searching", 0.0)
    named = {item.id: address for address, item in reversed(known)}
    items = {item.id: item for _, item in known}
    searched = searcher.search(list(items.values()), query)
    report("searching", 1.0)
    found: list[Row] = []
    failed: list[tuple[str, str]] = []
    notes = list(searched.notes)
    best = [hit for hit in searched.hits if hit.item.id in named][: max(LEAST_VIDEOS, config.top)]
    for number, hit in enumerate(best):
        address = named[hit.item.id]
        clip = replace(hit.item.clip, path=parse_address(address).path)
        try:
            (answer,) = model.find(clip, [query])
        except WeightsError:
            raise
        except TvuError as error:
            failed.append((address, error.message))
            continue
        found += [
            Row.of(replace(answer, groundings=(one,), text=in_words([one])), clip, video=address)
            for one in answer.groundings
        ]
        notes += answer.notes
        report("grounding", (number + 1) / len(best))
    rows = sorted(found, key=lambda row: (-row.groundings[0].score, row.video, row.groundings[0].span))
    lost = {named[item.id] for item in searched.lost}
    return Found(
        tuple(Moment(rank, row) for rank, row in enumerate(rows[: config.top], 1)),
        len(items) - len(lost),
        (*unindexed, *sorted(lost)),
        tuple(failed),
        tuple(dict.fromkeys(notes)),
    )


def indexed_among(
    addresses: Iterable[str], space: str, scout: Scout, cache: FeatureCache, decoder: Decoder = "pyav"
) -> tuple[list[tuple[str, Item]], tuple[str, ...]]:
    """The addresses that are indexed through the channels that are asked for, each with what is known of it, and the
    others. No file is read: one that changed since it was indexed is not."""
    parts: list[tuple[str, Address]] = []
    others: list[str] = []
    for address in addresses:
        try:
            parts.append((address, parse_address(address)))
        except VideoError:
            others.append(address)
    contents = cache.contents_known({part.path for _, part in parts})
    asked: Sequence[str] = scout.evidence
    items = {
        (item.content, item.part): item
        for item in IndexLedger(cache).items(space)
        if item.clip.decoder == decoder and set(asked) <= set(item.tried)
    }
    known = []
    for address, part in parts:
        item = items.get((contents.get(part.path, ""), part_of(part.start_seconds, part.end_seconds)))
        if item is None:
            others.append(address)
        else:
            known.append((address, item))
    return known, tuple(others)
