"""What is heard in a clip: mono samples at one rate, each at its true time."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tvu.temporal.types import Span
from tvu.video_llm.media.child import run_reader
from tvu.video_llm.media.survey import open_file, shown_name, survey
from tvu.video_llm.media.wire import Message
from tvu.video_llm.types import VideoClip


@dataclass(frozen=True)
class Sound:
    """Mono sound.

    samples: float32 `[S]` in [-1, 1]; sample i is heard at `start_seconds + i / rate`, file seconds.
    """

    samples: NDArray[np.float32]
    rate: int
    start_seconds: float

    def __post_init__(self) -> None:
        if self.samples.ndim != 1 or self.samples.dtype != np.float32 or self.rate < 1:
            raise ValueError(f"sound needs float32 [S] at a rate, not {self.samples.dtype} {self.samples.shape}")


def read_sound(clip: VideoClip, rate: int = 16_000) -> Sound | None:
    """All the sound of the clip's span, 64 kB a second at 16 kHz; None where the file has no sound track.

    Damaged packets are passed over. Gaps are silent and of overlapping packets the first is heard, so times stay true.
    Raises VideoError where the file cannot be opened.
    """
    facts = survey(clip.path)
    if facts.audio is None:
        return None
    start, end = clip.span.start_seconds, clip.span.end_seconds
    samples = np.zeros(max(1, round(clip.span.seconds * rate)), np.float32)
    heard_until = 0
    fd = open_file(clip.path)
    fields = {"fd": fd, "rate": rate, "start": start, "end": end, "zero": facts.clock.start_seconds}
    try:
        for message in run_reader(shown_name(clip.path), Message("sound", fields), fd):
            at, chunk = message.fields["at"], message.arrays["samples"]
            first, last = max(at, heard_until), min(at + len(chunk), len(samples))
            if first < last:
                samples[first:last] = chunk[first - at : last - at]
                heard_until = last
    finally:
        os.close(fd)
    return Sound(samples, rate, start)


def sound_windows(clip: VideoClip, window_seconds: float = 600.0, rate: int = 16_000) -> Iterator[Sound]:
    """The sound of the clip's span in windows that follow each other, for hours of it; nothing where there is none."""
    count = max(1, int(np.ceil(clip.span.seconds / window_seconds)))
    edges = np.append(clip.span.start_seconds + window_seconds * np.arange(count), clip.span.end_seconds)
    for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        sound = read_sound(replace(clip, span=Span(first, last)), rate)
        if sound is None:
            return
        yield sound
