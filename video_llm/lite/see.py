"""What `lite` sees of a real clip: one decoding pass to the three paths, on a clock of quarter seconds."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from tvu.temporal.squeezetime.network import SqueezeTime
from tvu.temporal.types import Span
from tvu.video_llm.encode import squashed
from tvu.video_llm.lite.inputs import BODY_CHANNELS, MOTION_FPS, STEPS_PER_SECOND, LiteInputs
from tvu.video_llm.lite.motion import FRAMES_PER_STEP, SIDE, snippet_features
from tvu.video_llm.lite.pose import BodyFollower
from tvu.video_llm.sample import SamplingConfig, sample_frames
from tvu.video_llm.types import VideoClip

SAMPLING = SamplingConfig(fps=MOTION_FPS, max_side=400)
LAYOUT = 1  # of what is kept in the cache; raised when it, or how it is made, changes

Pixels = NDArray[np.uint8]
Progress = Callable[[float], None]


class Cells(Protocol):
    """An encoder of frames that keeps where in the picture something is: `Lite0Encoder`, `Lite0Torch`."""

    name: str

    def cells(self, pixels: Pixels) -> NDArray[np.float16]:
        """uint8 `[T, 3, H, W]` to float16 `[T, 4, 1280]`."""
        ...


@dataclass(frozen=True)
class LiteSeen:
    """What one clip looks like to `lite`.

    slow float16 `[T, 4, 1280]`, motion float16 `[T, M]`, body float32 `[T, 104]`, has_body bool `[T]`; spans float64
    `[T, 2]` file seconds of the steps. decode_s, encode_s: seconds that it took.
    """

    slow: NDArray[np.float16]
    motion: NDArray[np.float16]
    body: NDArray[np.float32]
    has_body: NDArray[np.bool_]
    spans: NDArray[np.float64]
    decode_s: float = 0.0
    encode_s: float = 0.0

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """For the cache."""
        return {name: getattr(self, name) for name in ("slow", "motion", "body", "has_body", "spans")}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> "LiteSeen":
        """The inverse of `to_arrays`."""
        return cls(**{name: arrays[name] for name in ("slow", "motion", "body", "has_body", "spans")})

    def between(self, first: int, last: int) -> "LiteSeen":
        """The steps `first` .. `last - 1` alone."""
        return LiteSeen(*(getattr(self, name)[first:last] for name in ("slow", "motion", "body", "has_body", "spans")))

    def inputs(self, device: torch.device) -> tuple[LiteInputs, torch.Tensor]:
        """As the model takes them, a batch of one, and the spans of its steps."""
        on = {"device": device, "dtype": torch.float32}
        there = torch.ones(1, len(self.slow), dtype=torch.bool, device=device)
        inputs = LiteInputs(
            slow=torch.as_tensor(np.array(self.slow), **on)[None],
            motion=torch.as_tensor(np.array(self.motion), **on)[None],
            body=torch.as_tensor(np.array(self.body), **on)[None],
            has_slow=there,
            has_motion=there,
            has_body=torch.as_tensor(np.array(self.has_body), device=device)[None],
            lengths=torch.tensor([len(self.slow)], device=device),
        )
        return inputs, torch.as_tensor(np.array(self.spans), device=device)[None]


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
    progress: Progress = lambda done: None,
) -> LiteSeen:
    """One pass over a clip. Raises VideoError where it cannot be decoded.

    The frame of a step is the one on the screen when the step begins, as in training; motion is told by the 2 s around
    each half second.
    """
    steps = steps_of(clip)
    spans = step_spans(clip.span, steps)
    times = clip.span.start_seconds + np.arange(steps * FRAMES_PER_STEP) / MOTION_FPS
    slow, body, there, small = [], [], [], []
    started = time.perf_counter()
    decode_s = 0.0
    done = 0
    for pixels, waited in _timed(clip, times):
        decode_s += waited
        first = -done % FRAMES_PER_STEP
        of_steps = pixels[first::FRAMES_PER_STEP]
        done += len(pixels)
        small.append(squashed(pixels, SIDE))
        if len(of_steps):
            slow.append(cells.cells(of_steps))
            if bodies is not None:
                found = bodies.follow(of_steps)
                body.append(found.features)
                there.append(found.has_body)
        progress(done / len(times))
    weight = motion.conv1.weight
    with torch.inference_mode():
        (moved,) = snippet_features([torch.from_numpy(np.concatenate(small)).to(weight.device)], motion)
    took = time.perf_counter() - started
    return LiteSeen(
        np.concatenate(slow),
        moved.half().cpu().numpy(),
        np.concatenate(body) if body else np.zeros((steps, BODY_CHANNELS), np.float32),
        np.concatenate(there) if there else np.zeros(steps, np.bool_),
        spans,
        decode_s,
        took - decode_s,
    )


def _timed(clip: VideoClip, times: NDArray[np.float64]) -> Iterator[tuple[Pixels, float]]:
    """Frames `[T, 3, H, W]` batch by batch, and how long each was waited for."""
    batches = sample_frames(clip, SamplingConfig(max_side=SAMPLING.max_side, at_seconds=tuple(times.tolist())))
    while True:
        asked = time.perf_counter()
        batch = next(batches, None)
        if batch is None:
            return
        yield np.ascontiguousarray(batch.pixels[0]), time.perf_counter() - asked


def seen_key(clip: VideoClip, content: str, makers: tuple[str, ...]) -> str:
    """The key in the cache: content, part, decoder, and everything that looked."""
    span = f"{clip.span.start_seconds:.3f}-{clip.span.end_seconds:.3f}"
    return f"{content} {span} {clip.decoder} {SAMPLING} {' '.join(makers)} {LAYOUT}"


def folder_digest(folder: Path) -> str:
    """Twelve hex digits of the weights of a folder, for keys."""
    import hashlib

    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.safetensors")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
