"""What a well-formed answer about time looks like, symbol by symbol: an automaton for constrained decoding.

A symbol is one character, or one time token of the codec as a whole. The automaton knows nothing of tokenizers; which
pieces of a vocabulary may come next is `allowed.py`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache, cached_property
from typing import NamedTuple, Protocol


class Part(Enum):
    """What is being written."""

    START = "the time at which a span starts"
    BETWEEN = "what stands between the two times"
    END = "the time at which a span ends"
    AFTER = "what closes a span"
    JOIN = "what stands between two spans"


class State(NamedTuple):
    """How far an answer has come; `written` is the unfinished part, `start` the tick at which the open span starts."""

    part: Part = Part.START
    written: str = ""
    start: int = 0
    spans: int = 0


class TimeField(Protocol):
    """How one time is written, as a whole number of ticks."""

    @property
    def symbols(self) -> frozenset[str]:
        """Every symbol that a time may hold."""

    def step(self, written: str, symbol: str, low: int, high: int) -> str | None:
        """`written` with `symbol` after it, or None if no time in low..high ticks begins like that."""

    def tick(self, written: str) -> int | None:
        """The time, or None while it is unfinished."""


@dataclass(frozen=True)
class TokenField:
    """A time is one token: tick 5 is the sixth."""

    tokens: tuple[str, ...]

    @cached_property
    def symbols(self) -> frozenset[str]:
        return frozenset(self.tokens)

    @cached_property
    def _ticks(self) -> dict[str, int]:
        return {token: tick for tick, token in enumerate(self.tokens)}

    def step(self, written: str, symbol: str, low: int, high: int) -> str | None:
        return symbol if not written and low <= self._ticks.get(symbol, -1) <= high else None

    def tick(self, written: str) -> int | None:
        return self._ticks.get(written)


@dataclass(frozen=True)
class DigitField:
    """A time is a decimal number: tick 245 is `24.5` for one decimal.

    characters: the digit or dot that a symbol stands for; pairs, so that the field can be hashed.
    decimals:   digits after the dot, always all of them, at least 1.
    whole:      digits before the dot, padded with zeros; None writes as many as are needed.
    """

    characters: tuple[tuple[str, str], ...]
    decimals: int
    whole: int | None = None

    @cached_property
    def symbols(self) -> frozenset[str]:
        return frozenset(self._character)

    @cached_property
    def _character(self) -> Mapping[str, str]:
        return dict(self.characters)

    def step(self, written: str, symbol: str, low: int, high: int) -> str | None:
        text = written + self._character.get(symbol, "?")
        return text if self._can_become(text, low, high) else None

    def tick(self, written: str) -> int | None:
        whole, _, fraction = written.partition(".")
        return int(whole + fraction) if len(fraction) == self.decimals else None

    def _can_become(self, text: str, low: int, high: int) -> bool:
        whole, dot, fraction = text.partition(".")
        if not (whole + fraction).isdecimal() or not whole or len(fraction) > self.decimals:
            return False
        if self.whole is None and len(whole) > 1 and whole[0] == "0":
            return False
        if self.whole is not None and (len(whole) > self.whole or (dot and len(whole) < self.whole)):
            return False
        missing = self.decimals - len(fraction)
        if self.whole is not None:
            missing += self.whole - len(whole)
        while True:  # the numbers that start with these digits and have `missing` more
            first = int(whole + fraction) * 10**missing
            if first <= high and first + 10**missing - 1 >= low:
                return True
            if dot or self.whole is not None or whole == "0" or first > high:
                return False
            missing += 1


@dataclass(frozen=True)
class SpanGrammar:
    """Answers of one or several spans: `time between time after (join time between time after)*`.

    Every time lies in 0..last_tick and every span ends at least one tick after it starts. Each of between, endings and
    joins lists the texts that may stand there; codecs choose them so that the next symbol always tells which it is.

    max_spans: None for any number.

    Raises ValueError if no span fits in `last_tick`, or `max_spans` is below 1.
    """

    field: TimeField
    last_tick: int
    between: tuple[str, ...]
    endings: tuple[str, ...]
    joins: tuple[str, ...]
    max_spans: int | None = 1

    def __post_init__(self) -> None:
        if self.last_tick < 1:
            raise ValueError("the video is too short for a span: both of its ends would be written alike")
        if self.max_spans is not None and self.max_spans < 1:
            raise ValueError(f"max_spans must be at least 1, not {self.max_spans}")

    start = State()

    @cached_property
    def alphabet(self) -> frozenset[str]:
        """Every symbol that an answer may hold."""
        return self.field.symbols.union(*self.between, *self.endings, *self.joins)

    def step(self, state: State, symbol: str) -> State | None:
        """The state after `symbol`, or None where it may not come."""
        advanced = self.advance(state, symbol)
        return None if advanced is None else advanced[0]

    def is_final(self, state: State) -> bool:
        """Whether the answer may end here."""
        return state.part is Part.AFTER and state.written in self.endings

    def ticks(self, text: str) -> list[tuple[int, int]]:
        """(start, end) of every span of a whole answer; ValueError if it is not one of this grammar."""
        state, spans = self.start, []
        for symbol in cut(text, self.field):
            advanced = self.advance(state, symbol)
            if advanced is None:
                raise ValueError(f"{symbol!r} cannot be in {state.part.value}: {text[:80]!r}")
            state, span = advanced
            spans += [] if span is None else [span]
        if not self.is_final(state):
            raise ValueError(f"breaks off in {state.part.value}: {text[:80]!r}")
        return spans

    def advance(self, state: State, symbol: str) -> tuple[State, tuple[int, int] | None] | None:
        """`step`, with the (start, end) ticks of the span that `symbol` completes, None where it completes none."""
        if state.part in (Part.START, Part.END):
            return self._advance_time(state, symbol)
        texts = {Part.BETWEEN: self.between, Part.AFTER: self.endings, Part.JOIN: self.joins}[state.part]
        written = state.written + symbol
        if any(text.startswith(written) for text in texts):
            return state._replace(written=written), None
        if state.written not in texts or (state.part is Part.AFTER and state.spans == self.max_spans):
            return None
        following = {Part.BETWEEN: Part.END, Part.AFTER: Part.JOIN, Part.JOIN: Part.START}[state.part]
        return self.advance(state._replace(part=following, written=""), symbol)

    def _advance_time(self, state: State, symbol: str) -> tuple[State, tuple[int, int] | None] | None:
        starts = state.part is Part.START
        low, high = (0, self.last_tick - 1) if starts else (state.start + 1, self.last_tick)
        written = self.field.step(state.written, symbol, low, high)
        if written is None:
            return None
        tick = self.field.tick(written)
        if tick is None:
            return state._replace(written=written), None
        if starts:
            return state._replace(part=Part.BETWEEN, written="", start=tick), None
        told = state.spans if self.max_spans is None else state.spans + 1  # uncounted: fewer states to remember
        return State(Part.AFTER, spans=told), (state.start, tick)


def cut(text: str, field: TimeField) -> list[str]:
    """The symbols of `text`: time tokens of `field` whole, everything else character by character."""
    return _symbol(field.symbols).findall(text)


@cache
def _symbol(symbols: frozenset[str]) -> re.Pattern[str]:
    tokens = sorted((symbol for symbol in symbols if len(symbol) > 1), key=len, reverse=True)
    return re.compile("|".join([*map(re.escape, tokens), "."]), re.DOTALL)
