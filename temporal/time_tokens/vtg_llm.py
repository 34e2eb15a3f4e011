"""Time as VTG-LLM writes it: six tokens of its own for every time (Guo et al. 2024, arXiv 2405.13382, section 3.2)."""

import re
from dataclasses import dataclass
from functools import cached_property

from tvu.temporal.time_tokens.codec import TickCodec, check_duration, clamp, last_decimal_tick
from tvu.temporal.time_tokens.grammar import DigitField

DIGITS = ("ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE")
TIME_TOKENS = (*(f"<TIME_{digit}>" for digit in DIGITS), "<TIME_DOT>")
CHARACTERS = tuple(zip(TIME_TOKENS, "0123456789.", strict=True))
LENGTH = 6
_LAST_TICK = 99_999  # 9999.9 s, the largest number that six tokens can say


@dataclass(frozen=True)
class VtgLlmTimeTokens(TickCodec):
    """`0024.3` in tokens: four digits, a dot, one digit; a span is `0024.3 - 0030.4 seconds`.

    Times are rounded to the nearest tenth and clamped to the video and to 9999.9 s. The published code cuts the
    decimals of a text off instead: see `official_time_tokens`.
    """

    @property
    def added_tokens(self) -> tuple[str, ...]:
        return TIME_TOKENS

    @cached_property
    def field(self) -> DigitField:
        return DigitField(CHARACTERS, decimals=1, whole=4)

    @property
    def separators(self) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        return (" - ", "-"), (" seconds", " seconds."), (", ", " ")

    def resolution(self, duration: float) -> float:
        check_duration(duration)
        return 0.1

    def last_tick(self, duration: float) -> int:
        return min(last_decimal_tick(duration, 1), _LAST_TICK)

    def tick(self, seconds: float, duration: float) -> int:
        return min(round(clamp(seconds, duration) * 10), self.last_tick(duration))

    def seconds(self, tick: int, duration: float) -> float:
        return tick / 10

    def write(self, tick: int) -> str:
        return official_time_tokens(f"{tick // 10:04d}.{tick % 10}")

    def tidy(self, text: str) -> str:
        return re.sub(r"(?<=>)\s+(?=<TIME_)", "", text)  # detokenizing puts a blank between added tokens


def official_time_tokens(number: str) -> str:
    """A number as time tokens, by the rule that the published evaluation follows, cut to six tokens.

    `120.5` is 0120.5, `9.87` 0009.8, `5` 0005.0; `12345.6` loses its decimal: 12345. .
    Raises ValueError for anything but digits and dots.
    """
    tokens = _tokens(number)
    zeros = TIME_TOKENS[:1] * (LENGTH - len(tokens))
    return "".join([*zeros, *tokens][:LENGTH])


def official_training_time_tokens(number: str) -> str:
    """The same by the rule of the published training data, which leaves a number without a dot short: `5` is 5.0."""
    return "".join(_tokens(number)[:LENGTH])


def _tokens(number: str) -> list[str]:
    tokens = [TIME_TOKENS[10] if character == "." else TIME_TOKENS[int(character)] for character in number]
    for place, character in enumerate(number):
        if character == "." and place < 4:
            tokens = [TIME_TOKENS[0]] * (4 - place) + tokens
    return tokens if "." in number else [*tokens, TIME_TOKENS[10], TIME_TOKENS[0]]


def numbers_to_time_tokens(message: str) -> str:
    """The numbers of a frame-time message, from its first `at` to its second or its end, as time tokens.

    Raises ValueError if there is no `at`.
    """
    before, found, after = message.partition("at")
    if not found:
        raise ValueError(f"no 'at' before the times: {message[:80]!r}")
    times, *rest = after.split("at")
    times = re.sub(r"[0-9]+\.?[0-9]*", lambda number: official_time_tokens(number[0]), times)
    return "at".join([before, times, *rest])


def time_tokens_to_digits(text: str) -> str:
    """`text` with time tokens as digits, as the published demo shows an answer and the published scores read it.

    Blanks inside and after a run of digits are deleted, wherever it stands: two numbers with only blanks between them
    fuse, and `on 2 couches` becomes `on 2couches`.
    """
    for token, character in CHARACTERS:
        text = text.replace(token, character)
    return re.sub(r"\d[\d\s]*(\.[\s\d]*\d)*", lambda run: run[0].replace(" ", ""), text)


def whole_second(seconds: float) -> int:
    """The row of the per-second embedding for a frame at `seconds`: rounded, a half to the even second."""
    return round(seconds)
