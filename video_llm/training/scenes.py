"""What a generated video truly shows: events with their times and their words, whatever drew it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tvu.temporal.types import Span

Split = Literal["train", "held-out"]
"""Sprites, backgrounds, objects, phrasings and motions are dealt out between the two once and for all."""


@dataclass(frozen=True)
class Wording:
    """One way to say what happens: `subject` + a form of the verb + `rest`.

    "a dog" + "run" / "runs" / "running" + "to the left". For a thing that is merely seen: "a dog" + "be" / "is" /
    "being" + "shown".
    """

    subject: str
    base: str
    third: str
    ing: str
    rest: str = ""

    def __post_init__(self) -> None:
        if not (self.subject and self.base and self.third and self.ing):
            raise ValueError(f"a wording needs a subject and three forms of its verb, not {self}")

    def _told(self, *words: str) -> str:
        return " ".join(word for word in (*words, self.rest) if word)

    @property
    def statement(self) -> str:
        """`a dog runs to the left`."""
        return self._told(self.subject, self.third)

    @property
    def noun(self) -> str:
        """`a dog running to the left`."""
        return self._told(self.subject, self.ing)

    @property
    def asked(self) -> str:
        """What follows "when": `does a dog run to the left`, `is a dog shown`."""
        if self.base == "be":
            return self._told(self.third, self.subject)
        return self._told("do" if self.third == self.base else "does", self.subject, self.base)


@dataclass(frozen=True)
class Event:
    """Something that happens in a video, once.

    span: when, seconds from the start of the video, exactly; wordings: ways to say it, all of them true of it.
    key: the same for two events if and only if the same words are true of both, so that repetitions can be counted.
    kind: a short name of what sort of event it is ("shown", "moves", "grows", "waves", "cut", ...).
    facts: what questions may ask of it (`direction`, `color`, `speed`, `place`, ...), as words.
    """

    span: Span
    wordings: tuple[Wording, ...]
    key: str
    kind: str
    facts: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.wordings:
            raise ValueError("an event needs words")


@dataclass(frozen=True)
class Scene:
    """Everything that is true of one generated video, as far as questions go.

    events: in order of their starts; absent: wordings of what surely does not happen in it, the nearest to what does
        (same thing doing something else, something else doing the same) first.
    """

    seconds: float
    events: tuple[Event, ...]
    absent: tuple[Wording, ...] = ()

    def __post_init__(self) -> None:
        if not (math.isfinite(self.seconds) and self.seconds > 0):
            raise ValueError(f"a scene lasts a finite number of seconds above 0, not {self.seconds}")
        starts = [event.span.start_seconds for event in self.events]
        if starts != sorted(starts):
            raise ValueError("events come in the order of their starts")
        if any(e.span.start_seconds < 0 or e.span.end_seconds > self.seconds + 1e-6 for e in self.events):
            raise ValueError("events lie inside their scene")
