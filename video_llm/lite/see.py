"""What `lite` sees of a real clip: one decoding pass to the three paths, on a clock of quarter seconds."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from tvu.temporal.squeezetime.network import SqueezeTime
from tvu.temporal.types import Span
from tvu.video_llm.encode import CELLS
from tvu.video_llm.lite.inputs import (
    BODY_CHANNELS,
    HAND_CHANNELS,
    MOTION_FPS,
    SLOW_CHANNELS,
    STEPS_PER_SECOND,
    LiteInputs,
)
from tvu.video_llm.lite.motion import FRAMES_PER_STEP, SIDE, SnippetStream
from tvu.video_llm.lite.palms import HandFollower
from tvu.video_llm.lite.pose import BodyFollower
from tvu.video_llm.sample import SamplingConfig, sample_frames
from tvu.video_llm.types import VideoClip

SAMPLING = SamplingConfig(fps=MOTION_FPS, max_side=400)
LAYOUT = 3  # of what is kept in the cache; raised when it, or how it is made, changes

Pixels = NDArray[np.uint8]
Progress = Callable[[float], None]


class Cells(Protocol):
    """An encoder of frames that keeps where in the picture something is: `Lite0Encoder`, `Lite0Torch`."""

    name: str

    def cells(self, pixels: Pixels) -> NDArray[np.float16]:
        """uint8 `[T, 3, H, W]` to float16 `[T, 4, 1280]`."""
        ...


_ARRAYS = ("slow", "motion", "body", "hands", "has_body", "has_hands", "spans")


@dataclass(frozen=True)
class LiteSeen:
    """What one clip looks like to `lite`.

    slow float16 `[T, 4, 1280]`, motion float16 `[T, M]`, body float32 `[T, 104]`, hands float32 `[T, 92]`, has_body and
    has_hands bool `[T]`; spans float64 `[T, 2]` file seconds of the steps. decode_s, encode_s: seconds that it took.
    """

    slow: NDArray[np.float16]
    motion: NDArray[np.float16]
    body: NDArray[np.float32]
    hands: NDArray[np.float32]
    has_body: NDArray[np.bool_]
    has_hands: NDArray[np.bool_]
    spans: NDArray[np.float64]
    decode_s: float = 0.0
    encode_s: float = 0.0

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """For the cache."""
        return {name: getattr(self, name) for name in _ARRAYS}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> "LiteSeen":
        """The inverse of `to_arrays`."""
        slow, motion, body, hands, has_body, has_hands, spans = (arrays[name] for name in _ARRAYS)
        return cls(slow, motion, body, hands, has_body, has_hands, spans)

    def between(self, first: int, last: int) -> "LiteSeen":
        """The steps `first` .. `last - 1` alone."""
        return LiteSeen.from_arrays({name: array[first:last] for name, array in self.to_arrays().items()})

    def inputs(self, device: torch.device) -> tuple[LiteInputs, torch.Tensor]:
        """As the model takes them, a batch of one, and the spans of its steps."""
        there = torch.ones(1, len(self.slow), dtype=torch.bool, device=device)
        inputs = LiteInputs(
            slow=_wide(self.slow, device),
            motion=_wide(self.motion, device),
            body=_wide(self.body, device),
            hands=_wide(self.hands, device),
            has_slow=there,
            has_motion=there,
            has_body=torch.as_tensor(np.array(self.has_body), device=device)[None],
            has_hands=torch.as_tensor(np.array(self.has_hands), device=device)[None],
            lengths=torch.tensor([len(self.slow)], device=device),
        )
        return inputs, torch.as_tensor(np.array(self.spans), device=device)[None]


def _wide(features: NDArray[Any], device: torch.device) -> torch.Tensor:
    """A batch of one in float32, which the array may be mapped from a file without."""
    return torch.from_numpy(features.astype(np.float32)).to(device)[None]


def steps_of(clip: VideoClip) -> int:
    """Quarter seconds in a clip, at least 1; what is left of the last is part of it."""
    return max(1, int(clip.span.seconds * STEPS_PER_SECOND))


def step_spans(span: Span, steps: int) -> NDArray[np.float64]:
    """float64 `[T, 2]` file seconds of each step; the last ends with the clip."""
    starts = span.start_seconds + np.arange(steps) / STEPS_PER_SECOND
    ends = np.append(starts[1:], span.end_seconds)
    return np.stack([starts, ends], axis=1)


def see(
    clip: VideoClip,
    cells: Cells,
    motion: SqueezeTime,
    bodies: BodyFollower | None,
    hands: HandFollower | None = None,
    progress: Progress = lambda done: None,
) -> LiteSeen:
    """One pass over a clip. Raises VideoError where it cannot be decoded.

    The frame of a step is the one on the screen when the step begins, as in training; motion is told by the 2 s around
    each half second. Frames of a few seconds are in memory at once, however long the clip is.

    bodies: None where nobody can look for people, who are then seen as pictures only; hands: None where nobody is to
    look for theirs.
    """
    steps = steps_of(clip)
    seen = LiteSeen(
        np.zeros((steps, CELLS, SLOW_CHANNELS), np.float16),
        np.zeros((steps, motion.config.num_channels), np.float16),
        np.zeros((steps, BODY_CHANNELS), np.float32),
        np.zeros((steps, HAND_CHANNELS), np.float32),
        np.zeros(steps, np.bool_),
        np.zeros(steps, np.bool_),
        step_spans(clip.span, steps),
    )
    times = clip.span.start_seconds + np.arange(steps * FRAMES_PER_STEP) / MOTION_FPS
    started = time.perf_counter()
    decode_s, done = 0.0, 0
    with _Paths(seen, cells, motion, bodies, hands) as paths:
        for pixels, waited in _timed(clip, times):
            decode_s += waited
            paths.take(done, pixels)
            done += len(pixels)
            progress(done / len(times))
    return replace(seen, decode_s=decode_s, encode_s=time.perf_counter() - started - decode_s)


class _Paths:
    """The three paths, each a thread of its own: their networks leave Python, and none of them fills two cores alone.

    What they find is written into the arrays of `seen`, in order of time. Leaving waits for them.
    """

    AHEAD = 2  # batches of frames that wait for the slowest path

    def __init__(
        self,
        seen: LiteSeen,
        cells: Cells,
        motion: SqueezeTime,
        bodies: BodyFollower | None,
        hands: HandFollower | None,
    ) -> None:
        self._seen, self._cells, self._bodies, self._hands = seen, cells, bodies, hands
        self._stream, self._moved = SnippetStream(motion, len(seen.slow)), 0
        self._threads = [ThreadPoolExecutor(1, f"lite-{name}") for name in ("slow", "motion", "body")]
        self._waiting: deque[list[Future[None]]] = deque()

    def __enter__(self) -> "_Paths":
        return self

    def take(self, first: int, pixels: Pixels) -> None:
        """Frames from number `first` on. Raises what a path raised about earlier ones."""
        step = -(-first // FRAMES_PER_STEP)
        of_steps = pixels[step * FRAMES_PER_STEP - first :: FRAMES_PER_STEP]
        slow, motion, body = self._threads
        jobs = [motion.submit(self._look_at_motion, pixels)]
        if len(of_steps):
            jobs += [slow.submit(self._look, step, of_steps), body.submit(self._look_for_people, step, of_steps)]
        self._waiting.append(jobs)
        while len(self._waiting) > self.AHEAD:
            self._wait()

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        try:
            while self._waiting and error is None:
                self._wait()
        finally:
            for thread in self._threads:
                thread.shutdown(wait=False, cancel_futures=True)

    def _wait(self) -> None:
        for job in self._waiting.popleft():
            job.result()

    def _look(self, step: int, pixels: Pixels) -> None:
        self._seen.slow[step : step + len(pixels)] = cells_of(pixels, self._cells)

    def _look_at_motion(self, pixels: Pixels) -> None:
        found = self._stream.take(torch.from_numpy(_small(pixels)))
        self._seen.motion[self._moved : self._moved + len(found)] = found.half().cpu().numpy()
        self._moved += len(found)

    def _look_for_people(self, step: int, pixels: Pixels) -> None:
        if self._bodies is None:
            return
        steps = slice(step, step + len(pixels))
        found = self._bodies.follow(pixels)
        self._seen.body[steps], self._seen.has_body[steps] = found.features, found.has_body
        if self._hands is not None:
            hands = self._hands.follow(pixels, found)
            self._seen.hands[steps], self._seen.has_hands[steps] = hands.features, hands.has_hands


def cells_of(pixels: Pixels, encoder: Cells) -> NDArray[np.float16]:
    """`encoder.cells`, where a picture that is still the one before it, as slides are, is not encoded again."""
    is_new = np.array([True, *(not np.array_equal(*two) for two in pairwise(pixels))])
    found = encoder.cells(pixels if is_new.all() else pixels[is_new])
    return found[is_new.cumsum() - 1]


def _small(pixels: Pixels) -> Pixels:
    """What `lite.motion.smaller` does, in half the time: uint8 `[T, 3, H, W]` to `[T, 3, 112, 112]`."""
    small = np.empty((len(pixels), 3, SIDE, SIDE), np.uint8)
    for frame, out in zip(pixels, small, strict=True):
        picture = Image.fromarray(np.ascontiguousarray(frame.transpose(1, 2, 0)))
        out[:] = np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX)).transpose(2, 0, 1)
    return small


def _timed(clip: VideoClip, times: NDArray[np.float64]) -> Iterator[tuple[Pixels, float]]:
    """Frames `[T, 3, H, W]` batch by batch, and how long each was waited for."""
    batches = sample_frames(clip, SamplingConfig(max_side=SAMPLING.max_side, at_seconds=tuple(times.tolist())))
    while True:
        asked = time.perf_counter()
        batch = next(batches, None)
        if batch is None:
            return
        yield batch.pixels[0], time.perf_counter() - asked


def seen_key(clip: VideoClip, content: str, makers: tuple[str, ...]) -> str:
    """The key in the cache: content, part, decoder, and everything that looked."""
    span = f"{clip.span.start_seconds:.3f}-{clip.span.end_seconds:.3f}"
    return f"{content} {span} {clip.decoder} {SAMPLING} {' '.join(makers)} {LAYOUT}"
