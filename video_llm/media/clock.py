"""When each picture of a file is shown: read from its packets, never computed from an index and a frame rate."""

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tvu.temporal.types import Span

# A time that another program rounded to microseconds, or computed from a frame rate, still names the frame it meant.
TOLERANCE_SECONDS = 1e-6


@dataclass(frozen=True)
class MediaClock:
    """The presentation times of a file's pictures, in file seconds.

    File seconds count from the start of the file's own timeline: the container's start time where that is positive (a
    broadcast that starts at 8.7 s starts at 0 here), else 0, so that sound which starts a little early does not move
    the pictures. The frame shown at time t is the last one that starts at or before t; before the first frame, the
    first.

    ticks: int64 `[N]`, strictly increasing, the presentation time stamps as stored, one per displayable picture:
        packets that an edit list or the codec hides are left out, and of several at one instant one is kept.
    decode_ticks: int64 `[N]`, the decode time stamp of the same packet (equal to `ticks` where the file stores none).
    is_key: bool `[N]`, whether decoding can start at this picture.
    tick_seconds: length of one tick.
    zero_tick: the (possibly fractional) tick at which file seconds start.
    start_seconds: where the container says that its timeline starts; file seconds of other tracks start there too.
    last_seconds: how long the last picture stays.
    num_hidden: packets that are decoded but never shown.
    is_counted: the file stores no time stamps (a raw stream), so pictures are counted at the header's frame rate.
    """

    ticks: NDArray[np.int64]
    decode_ticks: NDArray[np.int64]
    is_key: NDArray[np.bool_]
    tick_seconds: Fraction
    zero_tick: float
    start_seconds: float
    last_seconds: float
    num_hidden: int = 0
    is_counted: bool = False

    def __post_init__(self) -> None:
        if not (self.ticks.shape == self.decode_ticks.shape == self.is_key.shape) or self.ticks.ndim != 1:
            raise ValueError("a clock needs one decode time and one key flag for each picture")
        if len(self.ticks) == 0 or (np.diff(self.ticks) <= 0).any():
            raise ValueError("a clock needs at least one picture, and increasing times")
        if self.tick_seconds <= 0 or self.last_seconds <= 0:
            raise ValueError(f"a clock needs positive durations, not {self.tick_seconds}, {self.last_seconds}")

    @cached_property
    def pts_seconds(self) -> NDArray[np.float64]:
        """float64 `[N]`, when each picture appears."""
        return self.seconds_of(self.ticks)

    @property
    def duration_seconds(self) -> float:
        """When the last picture ends."""
        return float(self.pts_seconds[-1]) + self.last_seconds

    @property
    def span(self) -> Span:
        """The whole file."""
        return Span(0.0, self.duration_seconds)

    @property
    def mean_fps(self) -> float:
        """Pictures a second on average, for people to read; no time is ever computed from it."""
        return len(self.ticks) / (self.duration_seconds - float(self.pts_seconds[0]))

    def seconds_of(self, ticks: NDArray[np.int64]) -> NDArray[np.float64]:
        """File seconds of stored time stamps, float64, shape of `ticks`."""
        return (ticks - self.zero_tick) * self.tick_seconds.numerator / self.tick_seconds.denominator

    def indices_at(self, times: NDArray[np.float64]) -> NDArray[np.int64]:
        """int64, shape of `times`: which picture is on the screen at each time."""
        indices = np.searchsorted(self.pts_seconds, np.asarray(times) + TOLERANCE_SECONDS, side="right") - 1
        return np.maximum(indices, 0).astype(np.int64)

    def index_at(self, seconds: float) -> int:
        """Which picture is on the screen at `seconds`."""
        return int(self.indices_at(np.array(seconds)))

    def shown_at(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64, shape of `times`: when the picture on the screen at each time appeared."""
        return self.pts_seconds[self.indices_at(times)]


NO_TICK = np.iinfo(np.int64).min  # a packet without this time stamp
MAX_SECONDS = 7 * 24 * 3600.0  # a time stamp further than this from the others is damage


@dataclass(frozen=True)
class PacketTable:
    """What demuxing tells of a track, in file order: int64 `[P]` ticks, NO_TICK where the file has none, and bool
    `[P]` flags.

    is_hidden: decoded but never shown (before an edit list's start, an alternate reference frame), or empty.
    """

    pts: NDArray[np.int64]
    dts: NDArray[np.int64]
    duration: NDArray[np.int64]
    is_key: NDArray[np.bool_]
    is_hidden: NDArray[np.bool_]


def clock_from_packets(
    packets: PacketTable,
    tick_seconds: Fraction,
    container_start_seconds: float,
    nominal_fps: float,
    shift_ticks: int = 0,
) -> MediaClock:
    """The clock of a track from its packets.

    container_start_seconds: as the container says, 0 where it does not.
    shift_ticks: what has to be taken from every time stamp, apart from the start, to get the true time.
    nominal_fps: used where nothing better is known: for files without any time stamps, and for how long an only
    picture stays. Raises ValueError if no packet is shown.
    """
    shown = ~packets.is_hidden
    if not shown.any():
        raise ValueError("a clock needs a packet that is shown")
    dated = shown & (packets.pts != NO_TICK)
    if dated.sum() * 2 < shown.sum():
        return _counted_clock(int(shown.sum()), int(packets.is_hidden.sum()), nominal_fps)
    middle = np.median(packets.pts[dated])
    dated &= np.abs(packets.pts.astype(np.float64) - middle) * float(tick_seconds) <= MAX_SECONDS

    start_seconds = max(0.0, container_start_seconds)
    zero_tick = start_seconds / float(tick_seconds) + shift_ticks
    first = packets.pts[dated].min()
    if abs(first - zero_tick) * float(tick_seconds) <= 2e-6:
        zero_tick = float(first)  # the container rounds its start to microseconds
    if (packets.pts[dated] >= zero_tick).any():
        dated &= packets.pts >= zero_tick
    else:
        zero_tick = float(first)  # everything before the start: then that is where it starts

    ticks, rows = np.unique(packets.pts[dated], return_index=True)
    dts = packets.dts[dated][rows]
    duration = int(packets.duration[dated][rows][-1])
    if not 0 < duration * float(tick_seconds) <= MAX_SECONDS:
        duration = int(np.median(np.diff(ticks))) if len(ticks) > 1 else 0
    return MediaClock(
        ticks=ticks,
        decode_ticks=np.where(dts == NO_TICK, ticks, dts),
        is_key=packets.is_key[dated][rows],
        tick_seconds=tick_seconds,
        zero_tick=zero_tick,
        start_seconds=start_seconds,
        last_seconds=duration * float(tick_seconds) if duration else 1.0 / nominal_fps,
        num_hidden=len(dated) - int(dated.sum()),
    )


def _counted_clock(num_frames: int, num_hidden: int, fps: float) -> MediaClock:
    counted = np.arange(num_frames, dtype=np.int64)
    tick_seconds = 1 / Fraction(fps).limit_denominator(1_000_000)
    is_key = counted == 0  # without time stamps there is nothing to seek by
    return MediaClock(counted, counted, is_key, tick_seconds, 0.0, 0.0, 1.0 / fps, num_hidden, is_counted=True)
