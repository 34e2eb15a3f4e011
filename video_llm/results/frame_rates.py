"""Frames and time codes of editing programs: seconds to frames at the rates they know, and SMPTE's way to count them.

Editing programs count frames at a fixed rate from the start of a file. A file of variable rate has none: its `Row.fps`
is a mean, and the moments are put on the grid of the nearest rate that programs know. That grid stands for seconds, so
a marker is right to half a frame of it wherever the program plays the file by its own times; one that first makes the
rate constant by repeating or dropping pictures does so too, and one that lays picture after picture (a few do) drifts.
"""

import math
import re
from dataclasses import dataclass
from fractions import Fraction

from tvu.temporal.types import Span

_CODE = re.compile(r"(\d{2}):(\d{2}):(\d{2})([:;])(\d{2})", re.ASCII)


@dataclass(frozen=True)
class FrameRate:
    """A rate that editing programs know.

    exact: frames a second; 29.97 is 30000/1001.
    """

    exact: Fraction

    @property
    def timebase(self) -> int:
        """Frames that a second of the time code counts: 30 for 29.97."""
        return math.ceil(self.exact)

    @property
    def is_ntsc(self) -> bool:
        """Whether it is a thousandth slower than its time code says."""
        return self.exact.denominator == 1001

    @property
    def dropped_each_minute(self) -> int:
        """Labels that drop-frame time code leaves out at each minute but every tenth; 0 where there is no such code."""
        return {30: 2, 60: 4}.get(self.timebase, 0) if self.is_ntsc else 0

    def frame_at(self, seconds: float) -> int:
        """The nearest frame border to `seconds` (of the file's start), halves upwards; of whole microseconds."""
        decimal = Fraction(round(seconds * 1_000_000), 1_000_000)  # 10.01 is half a frame at 50, its float is less
        return math.floor(decimal * self.exact + Fraction(1, 2))

    def seconds_of(self, frame: int) -> float:
        """When a frame begins."""
        return float(frame / self.exact)

    def frames_of(self, span: Span, num_frames: int | None = None) -> tuple[int, int]:
        """`[start, end)` in frames, at least one; of a file of `num_frames` frames where that is known."""
        start, end = max(0, self.frame_at(span.start_seconds)), self.frame_at(span.end_seconds)
        if num_frames is not None:
            start, end = min(start, num_frames - 1), min(end, num_frames)
        return start, max(start + 1, end)


STANDARD_RATES = tuple(
    FrameRate(Fraction(*fraction))
    for fraction in ((24000, 1001), (24,), (25,), (30000, 1001), (30,), (50,), (60000, 1001), (60,))
)
_ALMOST = 3e-4  # 29.97 and 30 are a thousandth apart, and the mean of a steady file is off by less than a third of it


def rate_for(fps: float) -> FrameRate:
    """The rate to count a file of `fps` frames a second in: its own, else the slowest that is a whole number of times
    as fast (30 for 15), else the fastest that is as many times as slow (60 for 120), else, as for a variable rate, the
    nearest.

    Raises ValueError unless `fps` is positive and finite.
    """
    if not (math.isfinite(fps) and fps > 0):
        raise ValueError(f"a frame rate is positive, not {fps}")
    nearest = min(STANDARD_RATES, key=lambda rate: abs(float(rate.exact) - fps))
    faster = [rate for rate in STANDARD_RATES if rate.exact > fps and _is_whole(float(rate.exact) / fps)]
    slower = [rate for rate in STANDARD_RATES if rate.exact < fps and _is_whole(fps / float(rate.exact))]
    own = [nearest] if _is_whole(max(float(nearest.exact) / fps, fps / float(nearest.exact))) else []
    return [*own, *faster, *reversed(slower), nearest][0]


def _is_whole(ratio: float) -> bool:
    return abs(ratio / round(ratio) - 1) < _ALMOST


def timecode(frame: int, rate: FrameRate, *, drop: bool) -> str:
    """`01:02:03:04`, frames last; `01:02:03;04` in drop-frame code (SMPTE 12M). The day begins anew after 24 hours.

    drop: leave out the labels of frames 0 and 1 (0 to 3 at 59.94) of each minute but every tenth, so that the code
    keeps up with the clock: at 29.97 frame 1800 is 00:01:00;02 and frame 17982 is 00:10:00;00.
    Raises ValueError for a negative frame, and for `drop` at a rate that has no such code.
    """
    skipped = rate.dropped_each_minute if drop else 0
    if frame < 0 or (drop and not skipped):
        raise ValueError(f"no time code of frame {frame} at {float(rate.exact):.3f}, drop={drop}")
    each_ten_minutes = rate.timebase * 600 - 9 * skipped
    tens, rest = divmod(frame % (144 * each_ten_minutes), each_ten_minutes)
    minutes = max(0, rest - skipped) // (rate.timebase * 60 - skipped)  # the first of ten minutes drops nothing
    labels = tens * rate.timebase * 600 + rest + skipped * minutes
    seconds, frames = divmod(labels, rate.timebase)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{';' if drop else ':'}{frames:02d}"


def frame_of_timecode(text: str, rate: FrameRate) -> int:
    """The frame that `timecode` wrote as `text`. Raises ValueError for anything else, a dropped label included."""
    match = _CODE.fullmatch(text)
    if match is None:
        raise ValueError(f"not a time code: {text!r}")
    hours, minutes, seconds, frames = (int(match[group]) for group in (1, 2, 3, 5))
    skipped = rate.dropped_each_minute if match[4] == ";" else 0
    whole_minutes = hours * 60 + minutes
    frame = (whole_minutes * 60 + seconds) * rate.timebase + frames - skipped * (whole_minutes - whole_minutes // 10)
    if frame < 0 or timecode(frame, rate, drop=match[4] == ";") != text:
        raise ValueError(f"no frame at {float(rate.exact):.3f} a second has the time code {text}")
    return frame
