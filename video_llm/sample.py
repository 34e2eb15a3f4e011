"""Sample: which frames of a clip to look at, and their pixels."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tvu.temporal.sampling import times_at_fps, times_evenly
from tvu.video_llm.decode import clock_of, frame_batch, frame_messages, read_frames
from tvu.video_llm.types import FrameBatch, VideoClip


@dataclass(frozen=True)
class SamplingConfig:
    """How densely to look at a clip.

    fps: looks a second; a look at a picture that is still on the screen gives it again.
    max_side: longer side of the pictures in pixels, None for their stored size.
    max_frames: at most so many looks, spread evenly over the clip; None for no limit.
    keyframes_only: look at the pictures that decode without others, and at no other times: many times cheaper, and
        spaced as the encoder chose.
    batch_frames: frames in a batch at most.
    at_seconds: the times to look at, file seconds that do not decrease; then the fields above say nothing of when.
    """

    fps: float = 4.0
    max_side: int | None = 400
    max_frames: int | None = None
    keyframes_only: bool = False
    batch_frames: int = 32
    at_seconds: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if not self.fps > 0:
            raise ValueError(f"fps must be positive, not {self.fps}")
        for name in ("max_side", "max_frames", "batch_frames"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
        if self.at_seconds is not None and (not self.at_seconds or list(self.at_seconds) != sorted(self.at_seconds)):
            raise ValueError(f"at_seconds are times that do not decrease, not {self.at_seconds}")


@dataclass(frozen=True)
class Watch:
    """One step of watching a clip: the sampled frames, and a tiny picture of every frame that was decoded on the way.

    frames: `[1, T, 3, H, W]`, where T may be 0.
    thumbnails: uint8 `[K, h, w, 3]` BGR, about 64 pixels wide, in the order of their times.
    thumbnail_seconds: float64 `[K]`, when each of them appears.
    """

    frames: FrameBatch
    thumbnails: NDArray[np.uint8]
    thumbnail_seconds: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.thumbnails.ndim != 4 or self.thumbnail_seconds.shape != self.thumbnails.shape[:1]:
            raise ValueError(f"{self.thumbnail_seconds.shape} times for thumbnails {self.thumbnails.shape}")


def sampling_times(clip: VideoClip, config: SamplingConfig) -> NDArray[np.float64]:
    """float64 `[T]` file seconds, increasing and inside the clip's span unless the config names them; never empty."""
    if config.at_seconds is not None:
        return np.array(config.at_seconds)
    if config.keyframes_only:
        clock = clock_of(clip)
        keys = clock.pts_seconds[clock.is_key]
        times = keys[(keys >= clip.span.start_seconds) & (keys < clip.span.end_seconds)]
        if len(times) == 0:
            times = times_evenly(clip.span, 1)
    else:
        times = times_at_fps(clip.span, config.fps)
    if config.max_frames is None or len(times) <= config.max_frames:
        return times
    if config.keyframes_only:
        return times[np.linspace(0, len(times) - 1, config.max_frames).round().astype(int)]
    return times_evenly(clip.span, config.max_frames)


def sample_frames(clip: VideoClip, config: SamplingConfig) -> Iterator[FrameBatch]:
    """The frames on the screen at the config's times, in batches `[1, T, 3, H, W]`, T at most `config.batch_frames`.

    Raises VideoError where the file cannot be decoded.
    """
    times = sampling_times(clip, config)
    yield from read_frames(clip, times, max_side=config.max_side, batch_frames=config.batch_frames)


def watch(clip: VideoClip, config: SamplingConfig) -> Iterator[Watch]:
    """One pass over the clip that gives the sampled frames and thumbnails of nearly all others, for finding the shots.

    The pass decodes straight through the span, except with `keyframes_only`, where the thumbnails are of key pictures.
    In H.264 and MPEG-2 the frames that no other frame refers to are not decoded unless they are sampled, so they have
    no thumbnail; encoders put the first picture of a shot where others refer to it, so cuts are still found to the
    frame. Decoding a part starts at the key picture before it, so the first thumbnails may be from before the span.
    Unlike `sample_frames`, a frame that is on the screen at several of the times is given once.
    Raises VideoError where the file cannot be decoded.
    """
    clock = clock_of(clip)
    ticks = np.unique(clock.ticks[clock.indices_at(sampling_times(clip, config))])
    for message in frame_messages(
        clip,
        ticks,
        max_side=config.max_side,
        batch_frames=config.batch_frames,
        thumbnails=True,
        may_seek=config.keyframes_only,
    ):
        arrays = message.arrays
        yield Watch(
            frame_batch(arrays["pixels"], clock.seconds_of(arrays["shown"])),
            arrays["thumbnails"],
            clock.seconds_of(arrays["thumbnail_ticks"]),
        )
