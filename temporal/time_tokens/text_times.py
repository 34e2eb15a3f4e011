"""Time as VideoChat-T writes it: decimal seconds in plain text (Zeng et al. 2024, arXiv 2410.19702, section 3.2)."""

from dataclasses import dataclass
from functools import cached_property

from tvu.temporal.time_tokens.codec import TickCodec, check_duration, clamp, last_decimal_tick
from tvu.temporal.time_tokens.grammar import DigitField


@dataclass(frozen=True)
class TextTimes(TickCodec):
    """`24.3`, nothing added to the vocabulary; a span is `24.3 - 30.4 seconds`.

    Times are rounded to the nearest step, a tie going to the even one, and clamped to the video.

    decimals: digits after the dot, 1 to 3; 1 in the published model.
    """

    decimals: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.decimals <= 3:
            raise ValueError(f"decimals must be 1, 2 or 3, not {self.decimals}")

    @property
    def added_tokens(self) -> tuple[str, ...]:
        return ()

    @cached_property
    def field(self) -> DigitField:
        return DigitField(tuple((character, character) for character in "0123456789."), self.decimals)

    @property
    def separators(self) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        return (" - ", "-"), (" seconds", " seconds."), (", ", " ")

    def resolution(self, duration: float) -> float:
        check_duration(duration)
        return 10.0**-self.decimals

    def last_tick(self, duration: float) -> int:
        return last_decimal_tick(duration, self.decimals)

    def tick(self, seconds: float, duration: float) -> int:
        return min(round(clamp(seconds, duration) * 10**self.decimals), self.last_tick(duration))

    def seconds(self, tick: int, duration: float) -> float:
        return tick / 10**self.decimals

    def write(self, tick: int) -> str:
        return f"{tick // 10**self.decimals}.{tick % 10**self.decimals:0{self.decimals}d}"
