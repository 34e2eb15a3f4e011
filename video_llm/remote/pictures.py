"""What of a video is sent to a server: its frames with their times, the file itself, or its name."""

import base64
import io
import mimetypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from tvu.video_llm.errors import BackendError
from tvu.video_llm.remote.address import RemoteConfig
from tvu.video_llm.sample import SamplingConfig, sample_frames
from tvu.video_llm.types import VideoClip

QUALITY = 85  # of the JPEGs


def frame_parts(clip: VideoClip, sampling: SamplingConfig) -> tuple[list[dict[str, Any]], tuple[float, ...]]:
    """The frames of a clip as parts of a message, each after a text that tells its time, and these times.

    The time is when the frame appears by the file's clock; one that stays on the screen is sent once.
    """
    from PIL import Image

    parts: list[dict[str, Any]] = []
    seconds: list[float] = []
    for batch in sample_frames(clip, sampling):
        for pixels, shown in zip(batch.pixels[0], batch.pts_seconds[0].tolist(), strict=True):
            if seconds and shown == seconds[-1]:
                continue
            seconds.append(shown)
            jpeg = io.BytesIO()
            Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0))).save(jpeg, "JPEG", quality=QUALITY)
            url = f"data:image/jpeg;base64,{base64.b64encode(jpeg.getvalue()).decode()}"
            parts.append({"type": "text", "text": f"{shown:.2f} s:"})
            parts.append({"type": "image_url", "image_url": {"url": url}})
    return parts, tuple(seconds)


def file_url(clip: VideoClip, most_bytes: int | None = None) -> str:
    """The file as a data: URL. Raises BackendError for a folder, and for a file larger than the server takes."""
    if clip.path.is_dir():
        raise BackendError(f"{clip.path.name} is a folder, which cannot be sent", hint="add ?send=path before the #")
    size = clip.path.stat().st_size
    if most_bytes is not None and size > most_bytes:
        raise BackendError(
            f"{clip.path.name} has {size} bytes, and the server takes {most_bytes}",
            hint="add ?send=path before the # where it reads the same disk, or have it take more: --max-video",
        )
    kind = mimetypes.guess_type(clip.path.name)[0] or "video/mp4"
    return f"data:{kind};base64,{base64.b64encode(clip.path.read_bytes()).decode()}"


def path_url(clip: VideoClip) -> str:
    """The file's own name, for a server that reads the same disk."""
    return str(clip.path.resolve())


def part_of(clip: VideoClip) -> str:
    """`#t=a,b` where the clip is less than the whole file."""
    span = clip.span
    if span.start_seconds <= 0 and span.end_seconds >= clip.duration_seconds - 1e-6:
        return ""
    return f"#t={span.start_seconds:.6f},{span.end_seconds:.6f}"


def sampling_of(config: RemoteConfig) -> SamplingConfig:
    """How densely a server that takes frames is shown a clip."""
    return SamplingConfig(fps=config.fps, max_side=config.side, max_frames=config.frames)


def preamble(clip: VideoClip, times: Sequence[float]) -> str:
    """What the model is told before the frames; without any of these, before the file."""
    part = f"the part from {clip.span.start_seconds:.2f} s to {clip.span.end_seconds:.2f} s"
    whole = f"of a video of {clip.duration_seconds:.2f} s"
    if times:
        return f"These are {len(times)} frames from {part} {whole}, each after the time at which it appears."
    return f"Look at {part} {whole}."
