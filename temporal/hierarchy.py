"""A tree of events over a stream, in the spirit of TimeGraphs (arXiv 2401.03134), built as the stream arrives.

Level 0 are the stretches between boundaries (`temporal/boundaries.py`). Like digits of a counter, `branching` closed
events of one level become one event of the next. A closed event never changes; one event per level is open.

Departures: TimeGraphs learns what to keep by vertex-infomax pooling; here nothing is trained. Parents are runs of a
fixed number of neighbours, because the most similar pair of a whole video is not known while it runs. Salience compares
an event with those before it only, because a closed event may not wait for the next.
"""

import math
from collections import defaultdict, deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor

from tvu.temporal.boundaries import BoundaryConfig, BoundaryDetector, Segment, cosine
from tvu.temporal.types import Span


@dataclass(frozen=True)
class EventTreeConfig:
    """boundaries:     of level 0.
    branching:      r, children of an event; the last event of a level may have fewer.
    similar_cosine: least cosine of two events, not neighbours, that an edge `similar` ties.
    max_similar:    edges `similar` from one event back, to the most similar first; so edges grow as events do.
    """

    boundaries: BoundaryConfig = field(default_factory=BoundaryConfig)
    branching: int = 3
    similar_cosine: float = 0.9
    max_similar: int = 3

    def __post_init__(self) -> None:
        if self.branching < 2 or self.max_similar < 0 or not -1 <= self.similar_cosine <= 1:
            raise ValueError(f"an event has two children or more, a cosine lies in [-1, 1]: {self}")


@dataclass(frozen=True, eq=False)
class Event:
    """A closed event.

    id:        its rank in the order of closing, children before parents.
    level:     0 between two boundaries; otherwise one above its children, whose spans tile its own.
    span:      seconds, from the start of its first frame to that of the next event.
    embedding: `[C]` float64, the mean of the stream over true time.
    texts:     in order of time.
    entities:  sorted, without repetition.
    children:  ids, in order of time.
    salience:  1 - cos(embedding, mean of the up to `branching` events before it on its level); 0 for the first.
    """

    id: int
    level: int
    span: Span
    embedding: Tensor
    texts: tuple[str, ...]
    entities: tuple[str, ...]
    children: tuple[int, ...]
    salience: float

    def as_dict(self) -> dict[str, Any]:
        """Plain values, without loss."""
        return {
            "id": self.id,
            "level": self.level,
            "start_seconds": self.span.start_seconds,
            "end_seconds": self.span.end_seconds,
            "embedding": self.embedding.tolist(),
            "texts": list(self.texts),
            "entities": list(self.entities),
            "children": list(self.children),
            "salience": self.salience,
        }


@dataclass(frozen=True)
class OpenEvent:
    """An event that is still growing: since when, and the closed children it has so far."""

    level: int
    start_seconds: float
    children: tuple[int, ...]


@dataclass(frozen=True)
class Edge:
    """A tie between two events, by id; from the earlier one, or from child to parent.

    next: neighbours of a level. part_of: child to parent. similar: weight is the cosine. same_entity: the last event of
    the level that had it to the next that has it; weight counts the entities.
    """

    kind: Literal["next", "part_of", "similar", "same_entity"]
    source: int
    target: int
    weight: float = 1.0


@dataclass(frozen=True, eq=False)
class EventGraph:
    """All closed events, in the order of their ids, and all edges."""

    events: tuple[Event, ...]
    edges: tuple[Edge, ...]

    def level(self, level: int) -> tuple[Event, ...]:
        """The events of one level, in order of time; after `EventTree.close` they tile the stream."""
        return tuple(event for event in self.events if event.level == level)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, without loss."""
        edges = [{"kind": e.kind, "source": e.source, "target": e.target, "weight": e.weight} for e in self.edges]
        return {"events": [event.as_dict() for event in self.events], "edges": edges}


class EventTree:
    """Feed it a stream in pieces of any size: the pieces leave no trace in the tree."""

    def __init__(self, config: EventTreeConfig | None = None) -> None:
        self.config = config or EventTreeConfig()
        self._detector = BoundaryDetector(self.config.boundaries)
        self._notes: deque[tuple[int, str, tuple[str, ...]]] = deque()  # frame, text, entities of undecided frames
        self._frames = 0
        self._texts: list[str] = []  # of the open event
        self._entities: set[str] = set()
        self._events: list[Event] = []
        self._edges: list[Edge] = []
        self._levels: list[_Level] = []
        self._width: int | None = None
        self._last_start = -math.inf
        self._closed = False

    def push(
        self,
        vectors: Tensor,
        spans: Tensor,
        texts: Sequence[str] | None = None,
        entities: Sequence[Collection[str]] | None = None,
    ) -> tuple[Event, ...]:
        """The next n >= 0 frames; returns the events that they close.

        vectors:  `[n, C]`, floating and finite.
        spans:    `[n, 2]` float64 seconds of true time. Only starts are used, but for the end of the stream: a frame
                  holds until the next begins.
        texts:    what was said or read when each frame began, "" for nothing.
        entities: ids or names of what is in each frame; equal strings are the same entity.

        Raises ValueError if the tree is closed, or the frames are not finite, in order and as wide as those before;
        then none of them was taken.
        """
        if self._closed:
            raise ValueError("a closed tree takes no more frames")
        if vectors.ndim != 2 or spans.shape != (len(vectors), 2) or spans.dtype != torch.float64:
            raise ValueError(
                f"vectors [n, C] with spans [n, 2] float64, not {vectors.shape}, {spans.shape} {spans.dtype}"
            )
        if not vectors.isfinite().all():
            raise ValueError("vectors are finite")
        width = vectors.shape[1] if self._width is None else self._width
        if vectors.shape[1] != width:
            raise ValueError(f"vectors of {vectors.shape[1]} cannot follow vectors of {width}")
        starts = [self._last_start, *spans[:, 0].tolist()]
        if not all(earlier < later for earlier, later in pairwise(starts)):
            raise ValueError(f"each frame starts after the one before, and the first here after {starts[0]} s")
        if not (spans[:, 0] < spans[:, 1]).all() or not spans.isfinite().all():
            raise ValueError("every span is finite and ends after it starts")
        if any(given is not None and len(given) != len(vectors) for given in (texts, entities)):
            raise ValueError(f"texts and entities are those of each of {len(vectors)} frames")
        self._width, self._last_start = width, starts[-1]
        before = len(self._events)
        rows = vectors.detach().to("cpu", torch.float64)
        for i, (start, end) in enumerate(spans.tolist()):
            text, named = texts[i] if texts else "", tuple(entities[i]) if entities else ()
            segments = self._detector.push(rows[i].clone(), Span(start, end))
            if text or named:
                self._notes.append((self._frames, text, named))
            self._frames += 1
            self._close_segments(segments)
        return tuple(self._events[before:])

    def close(self) -> EventGraph:
        """End the stream: all that is open closes, up to one root over all of it (none for an empty stream)."""
        if not self._closed:
            self._close_segments(self._detector.close())
            level = 0
            while level < len(self._levels) and self._levels[level].count > 1:
                if self._levels[level].waiting:
                    self._close_parent(level)
                level += 1
            self._closed = True
        return self.graph

    @property
    def graph(self) -> EventGraph:
        """What is closed so far."""
        return EventGraph(tuple(self._events), tuple(self._edges))

    @property
    def open_events(self) -> tuple[OpenEvent, ...]:
        """One per level, from level 0 up: as many as the number of closed events has digits, and one."""
        start = self._detector.open_since
        if start is None or self._closed:
            return ()
        path = [OpenEvent(0, start, ())]
        for level in self._levels:
            start = level.waiting[0].span.start_seconds if level.waiting else start
            path.append(OpenEvent(len(path), start, tuple(event.id for event in level.waiting)))
        return tuple(path)

    def _close_segments(self, segments: list[Segment]) -> None:
        for segment in segments:
            self._settle_notes(segment.frames.stop)
            self._close_event(0, segment.span, segment.mean, tuple(self._texts), tuple(sorted(self._entities)), ())
            self._texts, self._entities = [], set()
        self._settle_notes(self._detector.decided)

    def _settle_notes(self, stop: int) -> None:
        while self._notes and self._notes[0][0] < stop:
            _, text, named = self._notes.popleft()
            self._texts += [text] if text else []
            self._entities.update(named)

    def _close_parent(self, level: int) -> None:
        children, self._levels[level].waiting = self._levels[level].waiting, []
        self._close_event(
            level + 1,
            Span(children[0].span.start_seconds, children[-1].span.end_seconds),
            _mean(children),
            tuple(text for child in children for text in child.texts),
            tuple(sorted({entity for child in children for entity in child.entities})),
            tuple(child.id for child in children),
        )

    def _close_event(
        self,
        level: int,
        span: Span,
        embedding: Tensor,
        texts: tuple[str, ...],
        entities: tuple[str, ...],
        children: tuple[int, ...],
    ) -> None:
        if level == len(self._levels):
            self._levels.append(_Level(self.config))
        here = self._levels[level]
        salience = 1.0 - cosine(embedding, _mean(here.latest)) if here.latest else 0.0
        event = Event(len(self._events), level, span, embedding, texts, entities, children, salience)
        self._events.append(event)
        self._edges += [Edge("part_of", child, event.id) for child in children]
        self._edges += here.ties(event)
        if len(here.waiting) == self.config.branching:
            self._close_parent(level)


class _Level:
    """What is remembered of one level: who waits for a parent, who came last, and where everyone points."""

    def __init__(self, config: EventTreeConfig) -> None:
        self.config = config
        self.count = 0
        self.waiting: list[Event] = []
        self.latest: deque[Event] = deque(maxlen=config.branching)
        self._ids: list[int] = []
        self._last_with: dict[str, int] = {}
        self._directions = torch.empty(0)

    def ties(self, event: Event) -> list[Edge]:
        """Take up a new event; its edges to the earlier ones of its level."""
        edges = [Edge("next", self.latest[-1].id, event.id)] if self.latest else []
        direction = event.embedding / event.embedding.norm().clamp_min(torch.finfo(torch.float64).tiny)
        if self.count > 1:
            cosines = self._directions[: self.count - 1] @ direction  # all but the neighbour
            best = cosines.sort(descending=True, stable=True).indices[: self.config.max_similar].tolist()
            alike = [(row, float(cosines[row])) for row in best if cosines[row] > self.config.similar_cosine]
            edges += [Edge("similar", self._ids[row], event.id, weight) for row, weight in alike]
        shared: defaultdict[int, int] = defaultdict(int)
        for entity in event.entities:
            if entity in self._last_with:
                shared[self._last_with[entity]] += 1
            self._last_with[entity] = event.id
        edges += [Edge("same_entity", source, event.id, float(number)) for source, number in sorted(shared.items())]
        self._remember(direction)
        self.waiting.append(event)
        self.latest.append(event)
        self._ids.append(event.id)
        self.count += 1
        return edges

    def _remember(self, direction: Tensor) -> None:
        if self.count == len(self._directions):  # twice the room, so that each row is copied O(1) times
            room = direction.new_empty(max(16, self.count), len(direction))
            self._directions = torch.cat([self._directions, room]) if self.count else room
        self._directions[self.count] = direction


def _mean(events: Collection[Event]) -> Tensor:
    """Mean embedding over the time of all events."""
    total = sum(event.span.seconds for event in events)
    return torch.stack([event.embedding * (event.span.seconds / total) for event in events]).sum(0)
