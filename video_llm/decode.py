"""Decode: from a path to a `VideoClip`, and from a clip and times to frames.

What is decoded runs in a process of its own (`media/child.py`), so every failure of a file ends as a `VideoError`.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tvu.temporal.timecode import format_timecode
from tvu.temporal.types import Span
from tvu.video_llm.errors import VideoError
from tvu.video_llm.media.address import parse_address
from tvu.video_llm.media.child import run_reader
from tvu.video_llm.media.clock import MediaClock
from tvu.video_llm.media.facts import MediaFacts
from tvu.video_llm.media.survey import open_file, shown_name, survey
from tvu.video_llm.media.wire import Message
from tvu.video_llm.types import Decoder, FrameBatch, VideoClip

_FRAMES: dict[Decoder, str] = {"pyav": "frames", "decord": "frames by decord"}


def open_video(
    address: str | Path, *, decoder: Decoder = "pyav", start: float | None = None, end: float | None = None
) -> VideoClip:
    """Open a video file, a picture or a folder of pictures, or the part of it that `address` or `start` and `end` name.

    start, end: file seconds; where given they win over those in the address. An end after the file's own is cut to it.
    Raises VideoError where it cannot be read, or the part lies outside it.
    """
    part = parse_address(address)
    facts = survey(part.path)
    start = start if start is not None else part.start_seconds
    end = end if end is not None else part.end_seconds
    return VideoClip(
        path=part.path,
        span=_span(facts, start, end),
        duration_seconds=facts.clock.duration_seconds,
        fps=facts.clock.mean_fps,
        num_frames=len(facts.clock.ticks),
        height=facts.geometry.height,
        width=facts.geometry.width,
        has_audio=facts.audio is not None,
        decoder=decoder,
    )


def _span(facts: MediaFacts, start: float | None, end: float | None) -> Span:
    duration = facts.clock.duration_seconds
    first = max(0.0, start or 0.0)
    last = duration if end is None else min(end, duration)
    if first >= duration:
        hint = f"it lasts {format_timecode(duration)}"
        raise VideoError(f"{shown_name(facts.path)} ends before {format_timecode(first)}", hint=hint)
    if last <= first:
        hint = "give an end after the start"
        raise VideoError(f"no part of {shown_name(facts.path)} is from {first:g} to {last:g} seconds", hint=hint)
    return Span(first, last)


def clock_of(clip: VideoClip) -> MediaClock:
    """The clock of the clip's file."""
    return survey(clip.path).clock


def facts_of(clip: VideoClip) -> MediaFacts:
    """Everything that is known of the clip's file without decoding it."""
    return survey(clip.path)


def read_frames(
    clip: VideoClip, times: NDArray[np.float64], *, max_side: int | None, batch_frames: int = 32
) -> Iterator[FrameBatch]:
    """The frame on the screen at each of `times`, in batches `[1, T, 3, H, W]` of at most `batch_frames`.

    times: float64 `[T]` file seconds, not decreasing; they may lie outside the clip's span.
    max_side: the longer side in pixels at most, None for the stored size; pictures are never enlarged.
    `pts_seconds` holds when each frame appeared, so two times may give the same frame twice. The pixels are views,
    laid out as `[T, H, W, 3]`. Raises VideoError where the file cannot be decoded.
    """
    facts = survey(clip.path)
    wanted_ticks = facts.clock.ticks[facts.clock.indices_at(times)]
    if (np.diff(wanted_ticks) < 0).any():
        raise ValueError("times must not decrease")
    done = 0
    for message in frame_messages(clip, np.unique(wanted_ticks), max_side=max_side, batch_frames=batch_frames):
        ticks, shown, pixels = (message.arrays[name] for name in ("wanted", "shown", "pixels"))
        if not len(ticks):
            continue
        end = int(np.searchsorted(wanted_ticks, ticks[-1], side="right"))
        rows = np.searchsorted(ticks, wanted_ticks[done:end])
        done = end
        pts_seconds = facts.clock.seconds_of(shown)
        for some in np.split(rows, range(batch_frames, len(rows), batch_frames)):
            yield frame_batch(
                pixels[some] if len(rows) != len(ticks) else pixels[some[0] : some[-1] + 1], pts_seconds[some]
            )


def frame_batch(pixels: NDArray[np.uint8], pts_seconds: NDArray[np.float64]) -> FrameBatch:
    """A batch of one clip from `[T, H, W, 3]` pixels, without copying them."""
    return FrameBatch(pixels.transpose(0, 3, 1, 2)[None], pts_seconds[None])


def frame_messages(
    clip: VideoClip,
    wanted_ticks: NDArray[np.int64],
    *,
    max_side: int | None,
    batch_frames: int,
    thumbnails: bool = False,
    may_seek: bool = True,
) -> Iterator[Message]:
    """The reader's `batch` messages for increasing ticks of the clip's clock; see `media/batches.py`."""
    facts = survey(clip.path)
    fields = {
        "geometry": vars(facts.geometry.fitted(max_side)),
        "batch_frames": batch_frames,
        "thumbnails": thumbnails,
        "may_seek": may_seek,
        "is_counted": facts.clock.is_counted,
    }
    if facts.pictures:
        fields["paths"] = [str(path) for path in facts.pictures]
        yield from run_reader(shown_name(clip.path), Message("picture frames", fields, {"wanted": wanted_ticks}))
        return
    arrays = {
        "wanted": wanted_ticks,
        "ticks": facts.clock.ticks,
        "decode_ticks": facts.clock.decode_ticks,
        "is_key": facts.clock.is_key,
    }
    fields["tick_seconds"] = facts.clock.tick_seconds.as_integer_ratio()
    fd = open_file(clip.path)
    try:
        request = Message(_FRAMES[clip.decoder], fields | {"fd": fd}, arrays)
        yield from run_reader(shown_name(clip.path), request, fd, scans=clip.decoder == "decord")
    except VideoError as error:
        if clip.decoder == "pyav":
            raise
        raise VideoError(error.message, hint="try the default reader, pyav") from error
    finally:
        os.close(fd)
