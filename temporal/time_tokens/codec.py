"""One way in and out for every way in which a published model writes time."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from tvu.temporal.time_tokens.grammar import SpanGrammar, TimeField, cut
from tvu.temporal.types import Span


@runtime_checkable
class TimeCodec(Protocol):
    """Seconds as a model writes them, and back. `duration` is the length of the video in seconds, always above 0.

    Times are clamped to [0, duration] before they are written. What was written comes back within
    `resolution(duration)`, and written again it is the same text. ValueError for a duration that is not finite and
    above 0, for seconds that are not finite, and for text that is not as this codec writes.
    """

    @property
    def added_tokens(self) -> tuple[str, ...]:
        """What the vocabulary of the language model must have in addition, in the order of their ids."""

    def resolution(self, duration: float) -> float:
        """Seconds between two neighbouring times that can be written."""

    def encode(self, seconds: float, duration: float) -> str:
        """One time."""

    def decode(self, text: str, duration: float) -> float:
        """Seconds of one time."""

    def seconds(self, tick: int, duration: float) -> float:
        """When a tick of `grammar` is."""

    def encode_spans(self, spans: Sequence[Span], duration: float) -> str:
        """One or more spans, in the order given; a span narrower than the resolution is widened to it."""

    def decode_spans(self, text: str, duration: float) -> list[Span]:
        """The spans of a whole answer with nothing else in it."""

    def grammar(self, duration: float, max_spans: int | None = 1) -> SpanGrammar:
        """The automaton of all answers that `decode_spans` accepts, of at most `max_spans` spans (None: any number)."""


@dataclass(frozen=True)
class TickCodec(ABC):
    """A codec whose times are whole numbers of ticks: it says what a tick is, the rest is here."""

    @abstractmethod
    def last_tick(self, duration: float) -> int:
        """The last time inside the video."""

    @abstractmethod
    def tick(self, seconds: float, duration: float) -> int:
        """The tick nearest to `seconds`, a tie going to the even one, in 0..last_tick."""

    @abstractmethod
    def seconds(self, tick: int, duration: float) -> float:
        """When a tick is."""

    @abstractmethod
    def write(self, tick: int) -> str:
        """The text of a tick."""

    @property
    @abstractmethod
    def field(self) -> TimeField:
        """How a tick is written, symbol by symbol."""

    @property
    @abstractmethod
    def separators(self) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        """What may stand between two times, after a span, and between two spans; what is written comes first."""

    def tidy(self, text: str) -> str:
        """`text` of a whole answer without what detokenizing put into it."""
        return text

    def encode(self, seconds: float, duration: float) -> str:
        return self.write(self.tick(seconds, check_duration(duration)))

    def decode(self, text: str, duration: float) -> float:
        tick = self._read(cut(self.tidy(text), self.field), self.last_tick(check_duration(duration)))
        if tick is None:
            raise ValueError(f"not a time in {duration} s as {type(self).__name__} writes it: {text[:80]!r}")
        return self.seconds(tick, duration)

    def encode_spans(self, spans: Sequence[Span], duration: float) -> str:
        if not spans:
            raise ValueError("an answer has at least one span")
        between, after, join = (texts[0] for texts in self.separators)
        pairs = [self._ticks(span, check_duration(duration)) for span in spans]
        return join.join(f"{self.write(start)}{between}{self.write(end)}{after}" for start, end in pairs)

    def decode_spans(self, text: str, duration: float) -> list[Span]:
        ticks = self.grammar(duration, max_spans=None).ticks(self.tidy(text).strip())
        return [Span(self.seconds(start, duration), self.seconds(end, duration)) for start, end in ticks]

    def grammar(self, duration: float, max_spans: int | None = 1) -> SpanGrammar:
        between, after, join = self.separators
        return SpanGrammar(self.field, self.last_tick(check_duration(duration)), between, after, join, max_spans)

    def _read(self, symbols: Sequence[str], last_tick: int) -> int | None:
        written = ""
        for symbol in symbols:
            following = self.field.step(written, symbol, 0, last_tick)
            if following is None:
                return None
            written = following
        return self.field.tick(written)

    def _ticks(self, span: Span, duration: float) -> tuple[int, int]:
        start, end = (self.tick(seconds, duration) for seconds in (span.start_seconds, span.end_seconds))
        last = self.last_tick(duration)
        if last < 1:
            raise ValueError(f"a video of {duration} s is too short for a span of {type(self).__name__}")
        if end > start:
            return start, end
        after = (span.start_seconds + span.end_seconds) / 2 >= self.seconds(start, duration)
        return (start, start + 1) if (after and start < last) or start == 0 else (start - 1, start)


def check_duration(duration: float) -> float:
    """`duration`, or ValueError if a video cannot last that long."""
    if not (math.isfinite(duration) and duration > 0):
        raise ValueError(f"a video lasts a finite number of seconds above 0, not {duration}")
    return duration


def clamp(seconds: float, duration: float) -> float:
    """`seconds` moved into the video, or ValueError if they are not finite."""
    if not math.isfinite(seconds):
        raise ValueError(f"a time is a finite number of seconds, not {seconds}")
    return min(max(seconds, 0.0), duration)


def last_decimal_tick(duration: float, decimals: int) -> int:
    """The last multiple of 10 ** -decimals seconds that is not after `duration`, in those units."""
    tick = int(duration * 10**decimals)
    return tick + 1 if (tick + 1) / 10**decimals <= duration else tick  # 4.35 * 100 is 434.99999999999994
