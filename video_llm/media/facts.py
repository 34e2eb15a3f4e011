"""What is known of a media file once it has been surveyed: the clock, the shape of its pictures, and what its header
claims."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tvu.temporal.types import Span
from tvu.video_llm.media.clock import MediaClock
from tvu.video_llm.media.hdr import is_hdr
from tvu.video_llm.media.pixels import Geometry

GAP_SECONDS = 0.1  # a shorter pause between audio packets is rounding


@dataclass(frozen=True)
class AudioFacts:
    """The sound track that would be listened to.

    rate: samples a second as stored; starts, ends: float64 `[P]`, file seconds of its packets, sorted by start.
    """

    codec: str
    rate: int
    channels: int
    starts: NDArray[np.float64] = field(repr=False)
    ends: NDArray[np.float64] = field(repr=False)

    @property
    def gaps(self) -> tuple[Span, ...]:
        """Stretches between the first and last packet that no packet covers, longer than GAP_SECONDS."""
        if len(self.starts) < 2:
            return ()
        covered = np.maximum.accumulate(self.ends)[:-1]
        return tuple(
            Span(float(covered[i]), float(self.starts[i + 1]))
            for i in np.flatnonzero(self.starts[1:] - covered > GAP_SECONDS)
        )


@dataclass(frozen=True)
class MediaFacts:
    """A surveyed file. Everything `_from_header` is taken on trust, and None where the header is silent.

    num_video_tracks counts the num_covers still pictures, such as album art, that FFmpeg takes for video.
    pictures: the files of a folder of pictures, or the one file of a single picture; empty for a video.
    """

    path: Path
    clock: MediaClock
    geometry: Geometry
    container: str
    codec: str
    pixel_format: str
    bit_depth: int
    stored_width: int
    stored_height: int
    sample_aspect: float
    color_transfer: int
    color_primaries: int
    is_interlaced: bool
    num_video_tracks: int
    num_covers: int
    num_frames_from_header: int | None
    duration_seconds_from_header: float | None
    fps_from_header: float | None
    audio: AudioFacts | None
    pictures: tuple[Path, ...] = ()

    @property
    def is_hdr(self) -> bool:
        """Whether brightness is coded by the PQ or HLG curve (ITU-R BT.2100)."""
        return is_hdr(self.color_transfer)
