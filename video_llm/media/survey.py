"""Asks a reader process what a file holds."""

import functools
import os
import stat
from fractions import Fraction
from pathlib import Path

import numpy as np

from tvu.video_llm.errors import VideoError
from tvu.video_llm.media.child import run_reader
from tvu.video_llm.media.clock import MediaClock, PacketTable, clock_from_packets
from tvu.video_llm.media.facts import AudioFacts, MediaFacts
from tvu.video_llm.media.limits import PICTURES_PER_SECOND
from tvu.video_llm.media.pixels import Geometry
from tvu.video_llm.media.wire import Message

_PLAYLISTS = (b"#EXTM3U", b"ffconcat", b"<?xml", b"<MPD")


def survey(path: Path) -> MediaFacts:
    """Demuxes the whole file once and decodes its first picture; remembered as long as the file does not change.

    Raises VideoError where it is not a video or a folder of pictures that we can read.
    """
    status = file_status(path)
    return _survey(path, status.st_ino, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _survey(path: Path, *identity: int) -> MediaFacts:
    name = shown_name(path)
    if path.is_dir():
        return _survey_folder(path)
    fd = open_file(path)
    try:
        answer = next(run_reader(name, Message("survey", {"fd": fd}), fd))
    finally:
        os.close(fd)
    if answer.fields["container"].endswith("_pipe"):  # FFmpeg's name for a single picture
        return _survey_pictures(path, (path,))
    return _facts(path, answer)


def _survey_folder(path: Path) -> MediaFacts:
    # Imported here: Pillow is slow to load, and needed for pictures only.
    from tvu.video_llm.media.pictures import pictures_in

    try:
        paths = pictures_in(path)
    except OSError as error:
        raise VideoError(f"{shown_name(path)} may not be read", hint="look at its permissions") from error
    if not paths:
        raise VideoError(f"{shown_name(path)} is a folder without pictures", hint="name a video file in it")
    return _survey_pictures(path, paths)


def _survey_pictures(path: Path, paths: tuple[Path, ...]) -> MediaFacts:
    """Facts of pictures that are shown one after the other."""
    request = Message("picture survey", {"paths": [str(p) for p in paths]})
    size = next(run_reader(shown_name(path), request)).fields
    rows = np.arange(len(paths), dtype=np.int64)
    seconds = 1.0 / PICTURES_PER_SECOND
    clock = MediaClock(
        ticks=rows,
        decode_ticks=rows,
        is_key=np.ones(len(paths), np.bool_),
        tick_seconds=Fraction(seconds).limit_denominator(1000),
        zero_tick=0.0,
        start_seconds=0.0,
        last_seconds=seconds,
    )
    return MediaFacts(
        path=path,
        clock=clock,
        geometry=Geometry(size["height"], size["width"]),
        container="pictures",
        codec=paths[0].suffix.lower().lstrip("."),
        pixel_format="rgb24",
        bit_depth=8,
        stored_width=size["width"],
        stored_height=size["height"],
        sample_aspect=1.0,
        color_transfer=2,
        color_primaries=2,
        is_interlaced=False,
        num_video_tracks=1,
        num_covers=0,
        num_frames_from_header=None,
        duration_seconds_from_header=None,
        fps_from_header=None,
        audio=None,
        pictures=paths,
    )


def _facts(path: Path, answer: Message) -> MediaFacts:
    fields, arrays = answer.fields, answer.arrays
    picture = fields["picture"]
    table = PacketTable(**{column: arrays[column] for column in ("pts", "dts", "duration", "is_key", "is_hidden")})
    if not (~table.is_hidden).any():
        raise VideoError(
            f"{shown_name(path)} has a video stream without pictures", hint="its edit list hides all of them"
        )
    clock = clock_from_packets(
        table,
        Fraction(*fields["tick_seconds"]),
        container_start_seconds=fields["start_seconds"],
        nominal_fps=_sane_fps(fields["fps"]),
        shift_ticks=fields["shift_ticks"],
    )
    audio = None
    if fields["audio"] is not None and arrays["audio"].size:
        tick = Fraction(*fields["audio"]["tick_seconds"])
        starts = arrays["audio"][0] * float(tick) - clock.start_seconds
        order = np.argsort(starts, kind="stable")
        ends = starts + arrays["audio"][1] * float(tick)
        audio = AudioFacts(
            fields["audio"]["codec"], fields["audio"]["rate"], fields["audio"]["channels"], starts[order], ends[order]
        )
    return MediaFacts(
        path=path,
        clock=clock,
        geometry=Geometry(**picture["geometry"]),
        container=fields["container"],
        codec=fields["codec"],
        pixel_format=picture["pixel_format"],
        bit_depth=picture["bit_depth"],
        stored_width=picture["width"],
        stored_height=picture["height"],
        sample_aspect=picture["sample_aspect"],
        color_transfer=picture["color_transfer"],
        color_primaries=picture["color_primaries"],
        is_interlaced=picture["is_interlaced"],
        num_video_tracks=fields["num_video_tracks"],
        num_covers=fields["num_covers"],
        num_frames_from_header=fields["num_frames"],
        duration_seconds_from_header=fields["duration_seconds"],
        fps_from_header=fields["fps"],
        audio=audio,
    )


def _sane_fps(fps: float | None) -> float:
    return fps if fps is not None and 0.01 <= fps <= 1000 else 25.0


def file_status(path: Path) -> os.stat_result:
    """The file's status, following links. Raises VideoError where there is nothing to read at `path`."""
    try:
        status = path.stat()
    except PermissionError as error:
        raise VideoError(f"{shown_name(path)} may not be read", hint="look at its permissions") from error
    except (OSError, ValueError) as error:
        raise VideoError(f"{shown_name(path)} does not exist", hint="is the path right?") from error
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        raise VideoError(f"{shown_name(path)} is not a regular file", hint="write the stream to a file first")
    if stat.S_ISREG(status.st_mode) and status.st_size == 0:
        raise VideoError(f"{shown_name(path)} is empty", hint="was its download or recording interrupted?")
    return status


def open_file(path: Path) -> int:
    """A descriptor of the regular file at `path`, for a reader process. The caller closes it. Raises VideoError."""
    file_status(path)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe put there meanwhile does not block us
    except OSError as error:
        raise VideoError(f"{shown_name(path)} may not be read", hint="look at its permissions") from error
    if os.pread(fd, 16, 0).lstrip(b"\xef\xbb\xbf \r\n").startswith(_PLAYLISTS):
        os.close(fd)
        raise VideoError(f"{shown_name(path)} is a playlist", hint="give the video files that it names")
    return fd


def shown_name(path: Path) -> str:
    """The path on one line, with whatever a terminal cannot show escaped."""
    text = os.fsencode(path).decode(errors="backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
