"""Where somebody speaks: silero's probability of speech over a whole sound track, on one clock."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tvu.video_llm.cache import CacheEntry, FeatureCache
from tvu.video_llm.errors import BackendError
from tvu.video_llm.pipeline import Report, be_silent
from tvu.video_llm.types import VideoClip

if TYPE_CHECKING:
    from tvu.video_llm.media.sound import Sound

RATE = 16_000
FRAME_SECONDS = 0.01
CHUNK = 512  # samples that silero looks at, 32 ms; its probabilities are interpolated between their middles
LEAD_SECONDS = 2.0  # of sound before a window, heard again so that the detector is warm when the window begins
WINDOW_SECONDS = 600.0
LAYOUT = 1  # of what is kept in the cache; raised when it, or how it is made, changes


@dataclass(frozen=True)
class Activity:
    """Speech over time.

    speech: probability that somebody speaks, float32 `[F]` in [0, 1]; frame i is heard around
        `start_seconds + (i + 0.5) * FRAME_SECONDS`, file seconds.
    """

    speech: NDArray[np.float32]
    start_seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.speech.ndim != 1 or self.speech.dtype != np.float32:
            raise ValueError(f"activity is float32 [F], not {self.speech.dtype} {self.speech.shape}")

    @property
    def seconds(self) -> float:
        """How long the sound is."""
        return len(self.speech) * FRAME_SECONDS

    @property
    def share(self) -> float:
        """How much of the time somebody speaks, in [0, 1]."""
        return float((self.speech > 0.5).mean()) if len(self.speech) else 0.0

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """For the cache: `speech` uint8 `[F]`, in steps of 1/255; `start` float64 `[1]`."""
        return {
            "speech": np.rint(self.speech * 255).astype(np.uint8),
            "start": np.array([self.start_seconds]),
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> "Activity":
        """The inverse of `to_arrays`. Raises KeyError and ValueError for what another version wrote."""
        return cls(np.asarray(arrays["speech"], np.float32) / np.float32(255), float(arrays["start"][0]))

    @classmethod
    def of_spans(cls, spans: Iterable[tuple[float, float]], seconds: float) -> "Activity":
        """Speech that is there for sure in `spans` (seconds) of a sound track of that length, and nowhere else."""
        speech = np.zeros(round(seconds / FRAME_SECONDS), np.float32)
        for start, end in spans:
            speech[max(0, round(start / FRAME_SECONDS)) : max(0, round(end / FRAME_SECONDS))] = 1.0
        return cls(speech)


def clip_activity(clip: VideoClip, cache: FeatureCache | None = None, report: Report = be_silent) -> Activity | None:
    """Speech in the clip's sound, from the cache where it is kept; None where the file has no sound.

    Heard in windows of ten minutes: three hours are never held at once, only their 4 MB of probabilities.
    Raises VideoError where the file cannot be read, BackendError where the detector cannot be loaded or run.
    """
    key = ""
    if cache is not None:
        span = f"{clip.span.start_seconds:.3f}-{clip.span.end_seconds:.3f}"
        key = f"{cache.content_of(clip.path)} {span} speech activity {LAYOUT}"
        entry = cache.load(key)
        if entry is not None:
            try:
                return Activity.from_arrays(dict(entry.arrays))
            except (KeyError, ValueError):  # an entry that another version wrote
                pass
    from tvu.video_llm.media.sound import sound_windows

    activity = windows_activity(_reported(sound_windows(clip, WINDOW_SECONDS, RATE), clip, report))
    if cache is not None and activity is not None:
        cache.store(key, CacheEntry(activity.to_arrays(), {}))
    return activity


def windows_activity(windows: Iterable["Sound"]) -> Activity | None:
    """Speech in sound that comes in windows which follow each other; None where there are none.

    Raises ValueError unless the sound is at 16 kHz, BackendError where the detector fails.
    """
    parts: list[NDArray[np.float32]] = []
    lead = np.zeros(0, np.float32)
    first_seconds: float | None = None
    heard = 0  # samples; frames are cut by the count of all, so that rounding does not add up
    for sound in windows:
        if sound.rate != RATE:
            raise ValueError(f"speech is looked for at {RATE} Hz, not {sound.rate}")
        first_seconds = sound.start_seconds if first_seconds is None else first_seconds
        step = round(FRAME_SECONDS * RATE)
        frames = (heard + len(sound.samples)) // step - heard // step
        offset = len(lead) + heard // step * step - heard  # of the first frame, in what the detector hears
        parts.append(_frames(np.concatenate([lead, sound.samples]), offset, frames, step))
        heard += len(sound.samples)
        lead = sound.samples[-round(LEAD_SECONDS * RATE) // CHUNK * CHUNK :].copy()
    if first_seconds is None:
        return None
    return Activity(np.concatenate(parts), first_seconds)


def _frames(samples: NDArray[np.float32], offset: int, frames: int, step: int) -> NDArray[np.float32]:
    """Probabilities at `frames` frames of `step` samples, the first at `offset`, between silero's own."""
    if not frames:
        return np.zeros(0, np.float32)
    padded = np.pad(samples, (0, -len(samples) % CHUNK))
    try:
        chunks = np.asarray(_silero()(padded), np.float32).reshape(-1)
    except (RuntimeError, ValueError) as error:
        raise BackendError(f"speech detection failed: {error}") from error
    middles = (np.arange(len(chunks)) + 0.5) * CHUNK
    at = offset + (np.arange(frames) + 0.5) * step
    return np.interp(at, middles, chunks).clip(0.0, 1.0).astype(np.float32)


@cache
def _silero() -> Any:
    from tvu.video_llm.runtime import quiet_threads

    quiet_threads()
    try:
        from faster_whisper.vad import get_vad_model

        return get_vad_model()
    except (ImportError, RuntimeError, OSError) as error:
        raise BackendError(
            f"the detector of speech cannot be loaded: {error}", hint="reinstall faster-whisper"
        ) from error


def _reported(windows: Iterable["Sound"], clip: VideoClip, report: Report) -> Iterable["Sound"]:
    for sound in windows:
        yield sound
        heard = sound.start_seconds + len(sound.samples) / sound.rate - clip.span.start_seconds
        report("looking for speech", min(1.0, heard / clip.span.seconds))
