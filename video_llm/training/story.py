"""What can be asked of a scene without doubt: which events words are true of, what follows what."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from numpy.random import Generator

from tvu.temporal.spans import merge
from tvu.temporal.types import Span
from tvu.video_llm.training.phrasings import one_of, shuffled
from tvu.video_llm.training.scenes import Event, Scene, Wording

_PEOPLE = """
person people man woman boy girl child kid someone somebody individual player lady guy adult human teenager dancer
athlete figure he she they nobody one
"""
PEOPLE = frozenset(_PEOPLE.split())
NEAREST = 0.6  # of the wrong statements are taken from the half of `Scene.absent` that is nearest to what happens
TOUCHING_SECONDS = 0.15  # an event that starts this little before another ends comes after it
OVERLAP_SECONDS = 0.01
APART_SECONDS = 0.3  # what starts closer together has no order that one sees
LEAST_SHARE = 0.5  # of the shorter of two events that happen at the same time


@dataclass(frozen=True)
class Story:
    """A scene, and any words of its events."""

    scene: Scene
    rng: Generator
    _told: dict[int, Wording] = field(default_factory=dict, repr=False)

    @property
    def events(self) -> tuple[Event, ...]:
        """In the order of their starts."""
        return self.scene.events

    def words(self, event: Event) -> Wording:
        """One wording of an event, the same each time: the first of them, which says most, in half of the cases."""
        key = id(event)
        if key not in self._told:
            self._told[key] = event.wordings[0] if self.rng.random() < 0.5 else one_of(self.rng, event.wordings)
        return self._told[key]

    def with_words(self, wording: Wording) -> list[Event]:
        """Every event that a wording is true of: it is told with it, or has the key of one that is."""
        keys = {event.key for event in self.events if wording in event.wordings}
        return [event for event in self.events if event.key in keys]

    def spans(self, wording: Wording) -> tuple[Span, ...]:
        """When a wording is true, each time; what overlaps is one, what only touches is not."""
        found = [event.span for event in self.with_words(wording)]
        return tuple(merge(found, -OVERLAP_SECONDS)) if len(found) > 1 else tuple(found)

    def is_once(self, event: Event) -> bool:
        """Whether the words of an event are true of it alone."""
        return len(self.with_words(self.words(event))) == 1

    @cached_property
    def shuffled_events(self) -> list[Event]:
        """The events in any order, always the same."""
        return shuffled(self.rng, self.events)

    def any_absent(self) -> Wording | None:
        """Something that does not happen, rather near to what does."""
        absent = self.scene.absent
        if not absent:
            return None
        if self.rng.random() < NEAREST:
            return one_of(self.rng, absent[: (len(absent) + 1) // 2])
        return one_of(self.rng, absent)

    def absents(self, most: int) -> list[Wording]:
        """Several that do not happen: different statements, rather near ones."""
        absent = self.scene.absent
        half = (len(absent) + 1) // 2
        near, far = shuffled(self.rng, absent[:half]), shuffled(self.rng, absent[half:])
        return list(dict.fromkeys([*near, *far]))[:most]

    def next_of(self, event: Event) -> Event | None:
        """What happens right after an event; None where nothing does, or nobody could say what of several."""
        after = [e for e in self.events if e.span.start_seconds >= event.span.end_seconds - TOUCHING_SECONDS]
        after = [other for other in after if other is not event]
        if not after:
            return None
        first = after[0]
        rivals = [e for e in after[1:] if e.span.start_seconds < first.span.start_seconds + APART_SECONDS]
        return None if rivals or first.span.start_seconds <= event.span.start_seconds else first

    def previous_of(self, event: Event) -> Event | None:
        """What happens right before an event: the last to end before it starts, with the same caution."""
        before = [e for e in self.events if e.span.end_seconds <= event.span.start_seconds + TOUCHING_SECONDS]
        before = sorted((e for e in before if e is not event), key=lambda each: -each.span.end_seconds)
        if not before:
            return None
        last = before[0]
        rivals = [e for e in before[1:] if e.span.end_seconds > last.span.end_seconds - APART_SECONDS]
        return None if rivals or last.span.start_seconds >= event.span.start_seconds else last

    def first(self) -> Event | None:
        """What happens first; None where two start together."""
        return _clearly_first(self.events, lambda event: event.span.start_seconds)

    def last(self) -> Event | None:
        """What is the last to start and to end."""
        latest = _clearly_first(self.events, lambda event: -event.span.start_seconds)
        return latest if latest is _clearly_first(self.events, lambda event: -event.span.end_seconds) else None

    def together_with(self, event: Event) -> list[Event]:
        """What happens at the same time."""
        found = []
        for other in self.events:
            shared = min(event.span.end_seconds, other.span.end_seconds) - max(
                event.span.start_seconds, other.span.start_seconds
            )
            if other is not event and shared >= LEAST_SHARE * min(event.span.seconds, other.span.seconds):
                found.append(other)
        return found

    def in_turn(self, count: int) -> list[Event]:
        """`count` events, none twice, each over before the next starts, with words that are true of it alone; or []."""
        chosen: list[Event] = []
        for event in self.shuffled_events:
            if self.is_once(event) and all(_apart(event, other) for other in chosen):
                chosen.append(event)
                if len(chosen) == count:
                    return sorted(chosen, key=lambda each: each.span.start_seconds)
        return []


def are_worded_alike(a: Event, b: Event) -> bool:
    """Whether some words are true of both."""
    return a.key == b.key or any(wording in b.wordings for wording in a.wordings)


def may_be_same(a: str, b: str) -> bool:
    """Whether two subjects could be one: the same words, or words for a person."""
    return a == b or not (PEOPLE.isdisjoint(a.split()) or PEOPLE.isdisjoint(b.split()))


def _apart(a: Event, b: Event) -> bool:
    first, second = (a, b) if a.span.start_seconds <= b.span.start_seconds else (b, a)
    is_over = first.span.end_seconds <= second.span.start_seconds + TOUCHING_SECONDS
    return is_over and second.span.start_seconds - first.span.start_seconds >= APART_SECONDS


def _clearly_first(events: Sequence[Event], place: Callable[[Event], float]) -> Event | None:
    if not events:
        return None
    ranked = sorted(events, key=place)
    is_clear = len(ranked) == 1 or place(ranked[1]) - place(ranked[0]) >= APART_SECONDS
    return ranked[0] if is_clear else None
