"""Values that carry time."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Span:
    """A half-open stretch of a video, `[start_seconds, end_seconds)`, counted from the start of the file.

    Raises ValueError unless both are finite and start < end.
    """

    start_seconds: float
    end_seconds: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start_seconds) and math.isfinite(self.end_seconds)):
            raise ValueError(f"a span needs finite seconds, not {self.start_seconds}..{self.end_seconds}")
        if self.end_seconds <= self.start_seconds:
            raise ValueError(f"a span must end after it starts, not {self.start_seconds}..{self.end_seconds}")

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.end_seconds - self.start_seconds

    def __contains__(self, seconds: float) -> bool:
        return self.start_seconds <= seconds < self.end_seconds
