"""A part of a video as a file of its own, cut between frames by their true times and checked after it was written."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvu.temporal.types import Span
from tvu.video_llm.decode import clock_of, facts_of, open_video
from tvu.video_llm.errors import BackendError, OutputError, OutputExists, VideoError
from tvu.video_llm.export import written_beside
from tvu.video_llm.media.clock import MediaClock
from tvu.video_llm.media.ffmpeg import file_url, run_ffmpeg
from tvu.video_llm.types import VideoClip

TICKS = 90_000  # a second in the written file: whole numbers of ticks for milliseconds and for every usual frame rate
TOLERANCE_SECONDS = 1e-3  # Matroska and FLV keep milliseconds


@dataclass(frozen=True)
class CutReport:
    """What was really written.

    start_seconds: when the first frame of the cut appears in the source; end_seconds: when the last one ends there.
    """

    path: Path
    start_seconds: float
    end_seconds: float
    num_frames: int


def cut(clip: VideoClip, span: Span, out: Path, *, force: bool = False) -> CutReport:
    """Write the frames that appear within `span`, with their times and the sound between them, as H.264 and AAC in MP4.

    A span within which no frame appears (a picture that is held) gets the one that is on the screen then. The file is
    read back: its frames and their times are those of the source, or the cut fails.

    Raises OutputExists, OutputError, VideoError for a folder of pictures, and BackendError if ffmpeg cannot do it.
    """
    if out.exists() and not force:
        raise OutputExists(f"{out} exists already", hint="add --force to overwrite it")
    if out.exists() and not out.is_file():
        raise OutputError(f"{out} is not a regular file", hint="name a file to write")
    if clip.path.is_dir():
        raise VideoError(f"{clip.path} is a folder of pictures, which cannot be cut", hint="copy the pictures you want")
    clock = clock_of(clip)
    first, last = _frames_within(clock.pts_seconds, span)
    wanted = clock.pts_seconds[first:last] - clock.pts_seconds[first]
    with written_beside(out) as beside:
        beside.touch()  # a folder that is missing or closed to us is told as such, not in ffmpeg's words
        for from_start in (
            False,
            True,
        ):  # a seek can land late in files with a poor index: then decode all that precedes
            run_ffmpeg(_graph(clip, clock, span, first, last, beside, from_start))
            written = _read_back(beside)
            if written is not None and _same_times(written.pts_seconds, wanted):
                break
        else:
            raise BackendError(
                f"the cut of {clip.path} did not come out frame by frame",
                hint="another ffmpeg may do better: set FFMPEG to its path",
            )
    start = float(clock.pts_seconds[first])
    return CutReport(out, start, start + written.duration_seconds, last - first)


def _frames_within(pts_seconds: NDArray[np.float64], span: Span) -> tuple[int, int]:
    """Indices `[first, last)` of the frames that appear within `span`, never empty."""
    first = int(np.searchsorted(pts_seconds, span.start_seconds - 1e-6))
    last = int(np.searchsorted(pts_seconds, span.end_seconds - 1e-6))
    return (first, last) if first < last else (max(0, first - 1), max(1, first))


def _graph(clip: VideoClip, clock: MediaClock, span: Span, first: int, last: int, out: Path, from_start: bool) -> Any:
    import ffmpeg

    stored = clock.ticks * float(clock.tick_seconds)  # the container's own times, which ffmpeg's -copyts keeps
    seek = {}
    keys = np.flatnonzero(clock.is_key[: first + 1])
    if len(keys) > 2 and not from_start:  # one key frame further back than needed: MPEG-TS seeks land late
        seek = {"ss": _decimal(stored[keys[-2]]), "seek_timestamp": 1, "noaccurate_seek": None}
    source = ffmpeg.input(file_url(clip.path), protocol_whitelist="file", copyts=None, **seek)

    if clock.is_counted:
        picture = source["V:0"].filter("select", f"between(n,{first},{last - 1})")
        picture = picture.filter("setpts", f"N/({_decimal(clock.mean_fps)}*TB)")
    else:
        between = {}  # cut halfway between two frames, so that no rounding decides
        if first > 0:
            between["start"] = _decimal((stored[first - 1] + stored[first]) / 2)
        if last < len(stored):
            between["end"] = _decimal((stored[last - 1] + stored[last]) / 2)
        picture = source["V:0"].filter("trim", **between).filter("setpts", "PTS-STARTPTS")
    picture = picture.filter("pad", "ceil(iw/2)*2", "ceil(ih/2)*2").filter(
        "format", "yuv420p"
    )  # 4:2:0 needs even sides
    streams = [picture]

    start = float(clock.pts_seconds[first])
    end = float(clock.pts_seconds[last]) if last < len(stored) else clock.duration_seconds
    if span.end_seconds > clock.pts_seconds[last - 1]:  # a picture that is held may outlast the span
        end = min(end, span.end_seconds)
    if _is_heard(clip, start, end):
        window = {name: _decimal(seconds + clock.start_seconds) for name, seconds in (("start", start), ("end", end))}
        heard = source["a:0"].filter("atrim", **window).filter("asetpts", f"PTS-({window['start']})/TB")
        streams.append(heard.filter("aresample", **{"async": 1, "first_pts": 0}))  # a gap in the sound stays a gap
    return ffmpeg.output(
        *streams,
        file_url(out),
        format="mp4",
        vcodec="libx264",
        preset="veryfast",
        crf=18,
        acodec="aac",
        fps_mode="passthrough",
        enc_time_base=f"1/{TICKS}",
        video_track_timescale=TICKS,
        movflags="+faststart",
        map_metadata=-1,
        **_hold(last - first, end - float(clock.pts_seconds[last - 1]), np.diff(stored)),
    )


def _hold(num_frames: int, seconds: float, gaps: NDArray[np.float64]) -> dict[str, Any]:
    """Options that keep the last picture for `seconds` where that is longer than usual; ffmpeg would end at once."""
    if len(gaps) == 0 or seconds < 1.5 * np.median(gaps):
        return {}
    is_last = f"0^({num_frames - 1}-N)"  # 1 for the last packet, 0 for all before it
    duration = f"DURATION+({round(seconds * TICKS)}-DURATION)*{is_last}"
    return {"bf": 0, "bsf:v": f"setts=duration={duration}"}  # without B-frames the last packet is the last picture


def _is_heard(clip: VideoClip, start: float, end: float) -> bool:
    """Whether any sound lies in between; ffmpeg writes no file with a track that stays empty."""
    audio = facts_of(clip).audio
    return audio is not None and bool(((audio.starts < end) & (audio.ends > start)).any())


def _decimal(seconds: float) -> str:
    return f"{seconds:.6f}"


def _read_back(path: Path) -> MediaClock | None:
    try:
        return clock_of(open_video(path))
    except VideoError:
        return None


def _same_times(written: NDArray[np.float64], wanted: NDArray[np.float64]) -> bool:
    return len(written) == len(wanted) and bool((abs(written - wanted) <= TOLERANCE_SECONDS).all())
