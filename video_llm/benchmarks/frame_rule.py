"""Which frames of a clip a protocol looks at.

The published rules count frames: they multiply seconds by the mean frame rate. Their indices are reproduced with the
mean rate of the file's clock, and the time of each index is then read from the clock, never computed.
"""

from dataclasses import replace

import numpy as np

from tvu.temporal.sampling import times_evenly
from tvu.temporal.types import Span
from tvu.video_llm.decode import clock_of, facts_of
from tvu.video_llm.types import VideoClip

FRAMES = {"official": 16, "vlmevalkit": 8}  # of the reference runs; the other protocols leave it to the model
GIF_FPS = 25.0  # MVBench's reader counts a gif so, whatever the file says
NO_BOUNDS = (-100_000.0, 100_000.0)


def official_indices(
    count: int, first: int, last: int, fps: float, bounds: tuple[float, float] = NO_BOUNDS
) -> list[int]:
    """`count` frame numbers, not decreasing, as MVBench's notebook picks them: near the middles of equal segments.

    first, last: of all that there are; 0 and n - 1 of a video, 1 and n of a folder of pictures. bounds: seconds.
    Numbers repeat where there are fewer frames. VLMEvalKit's rule for a number of frames is this one without bounds.
    """
    start = max(first, round(bounds[0] * fps))
    end = min(round(bounds[1] * fps), last)
    segment = (end - start) / count
    return [int(start + segment / 2 + round(segment * number)) for number in range(count)]


def vlmevalkit_indices_at_fps(num_frames: int, video_fps: float, fps: float) -> list[int]:
    """The frames that VLMEvalKit looks at `fps` times a second, from the first one on."""
    return [int(number * video_fps / fps) for number in range(int(num_frames / video_fps * fps))]


def lmms_eval_indices(count: int, first: int, last: int) -> list[int]:
    """From the first frame to the last, evenly and cut to whole ones, as most models in lmms-eval spread them."""
    return [int(index) for index in np.linspace(first, last, count)]


def seconds_to_look_at(clip: VideoClip, protocol: str, frames: int | None) -> tuple[float, ...] | None:
    """When the frames appear that `protocol` looks at in the clip's span, file seconds, not decreasing.

    frames: how many; None: as many as its reference run (`FRAMES`). None is given back where the model is to look as it
    does on its own.
    """
    frames = frames or FRAMES.get(protocol)
    if frames is None:
        return None
    if protocol == "tvu":
        return tuple(times_evenly(clip.span, frames).tolist())
    pictures = facts_of(clip).pictures
    clock = clock_of(clip)
    first = 1 if pictures else 0
    last = first + clip.num_frames - 1
    fps = GIF_FPS if clip.path.suffix.lower() == ".gif" else clock.mean_fps
    bounds = (clip.span.start_seconds, clip.span.end_seconds)
    if protocol == "lmms-eval":
        start, end = (min(max(round(second * fps), first), last) for second in bounds)
        indices = lmms_eval_indices(frames, start, end)
    else:
        indices = official_indices(frames, first, last, fps, bounds)
    rows = {int(path.stem): row for row, path in enumerate(pictures) if path.stem.isdecimal()}
    shown = [rows.get(index, index - first) for index in indices]
    return tuple(sorted(clock.pts_seconds[np.clip(shown, 0, clip.num_frames - 1)].tolist()))


def holding(clip: VideoClip, seconds: tuple[float, ...]) -> VideoClip:
    """The clip with a span in which every one of `seconds` lies: a rule may pick the frame just outside the bounds."""
    start, end = min(clip.span.start_seconds, seconds[0]), clip.span.end_seconds
    if seconds[-1] >= end:
        later = clock_of(clip).pts_seconds
        later = later[later > seconds[-1]]
        end = float(later[0]) if len(later) else clip.duration_seconds
    return replace(clip, span=Span(max(0.0, start), end))
