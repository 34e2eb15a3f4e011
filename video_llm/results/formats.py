"""Rows as files: the one list of formats, and the one function that writes any of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tvu.video_llm.decode import open_video
from tvu.video_llm.errors import OutputError, OutputExists, UnknownFormat, VideoError
from tvu.video_llm.export import written_beside
from tvu.video_llm.results.chapters import youtube_chapters
from tvu.video_llm.results.edl import edl, edl_non_drop
from tvu.video_llm.results.fcp7 import fcp7_xml
from tvu.video_llm.results.fcpxml import fcpxml
from tvu.video_llm.results.one_video import ASSUMED_FPS, Content, OneVideo, by_video, path_of
from tvu.video_llm.results.otio import otio
from tvu.video_llm.results.rows import Row
from tvu.video_llm.results.submissions import charades, qvhighlights
from tvu.video_llm.results.subtitles import srt, vtt
from tvu.video_llm.results.tables import csv_table, jsonl, parquet


@dataclass(frozen=True)
class Format:
    """A format of results.

    suffixes: the first names files; any chooses the format where none was named, the first format that has it winning.
    title:    what it is, for people.
    writer:   all rows to the content of one file; None where `video_writer` is there.
    video_writer: the rows about one video to the content of one file, for formats that are about one.
    counts_frames: whether it needs to know the frame rate. looks: whether it tells the size and sound of the file, too.
    """

    suffixes: tuple[str, ...]
    title: str
    writer: Callable[[Sequence[Row]], Content] | None = None
    video_writer: Callable[[OneVideo], Content] | None = None
    counts_frames: bool = False
    looks: bool = False


FORMATS: dict[str, Format] = {
    "jsonl": Format((".jsonl",), "JSON Lines, a row a line with everything that is known of it", jsonl),
    "csv": Format((".csv",), "a table, a line a moment, with a column for your verdict", csv_table),
    "parquet": Format((".parquet",), "the same table with types; needs pip install 'tvu[parquet]'", parquet),
    "srt": Format((".srt",), "subtitles (SubRip)", None, srt),
    "vtt": Format((".vtt",), "subtitles (WebVTT)", None, vtt),
    "edl": Format((".edl",), "timeline markers for DaVinci Resolve (CMX 3600)", None, edl, counts_frames=True),
    "edl-ndf": Format((".edl",), "the same, never in drop-frame time code", None, edl_non_drop, counts_frames=True),
    "fcp7": Format((".xml",), "Final Cut Pro 7 XML, for Premiere, Resolve", None, fcp7_xml, True, True),
    "fcpxml": Format((".fcpxml",), "Final Cut Pro XML 1.10", None, fcpxml, True, True),
    "otio": Format((".otio",), "OpenTimelineIO, a marker a moment", None, otio, counts_frames=True),
    "chapters": Format((".chapters.txt", ".txt"), "chapters for a YouTube description", None, youtube_chapters),
    "qvhighlights": Format((), "a submission to QVHighlights (JSON Lines)", qvhighlights),
    "charades": Format((), "predictions for Charades-STA in TimeChat's form (JSON)", charades),
}


@dataclass(frozen=True)
class Written:
    """What `write_results` did.

    files:       as written, in the order in which videos first come. num_moments: spans in all rows.
    num_errors:  rows that have no answer because something failed; they are in no subtitle or time line.
    notes:       what a user should be told: which file is whose, what failed, what was merged or assumed.
    """

    files: tuple[Path, ...]
    num_moments: int
    num_errors: int
    notes: tuple[str, ...] = ()


def format_of(out: Path, name: str | None = None) -> str:
    """The format called `name`, or that of the suffix of `out`. Raises UnknownFormat."""
    if name is not None:
        if name not in FORMATS:
            raise UnknownFormat(f"unknown format {name!r}", hint=f"choose from {', '.join(FORMATS)}")
        return name
    for known, each in FORMATS.items():
        if out.name.lower().endswith(each.suffixes):
            return known
    hint = f"name one: {', '.join(FORMATS)}"
    raise UnknownFormat(f"the name {out.name!r} does not tell a format", hint=hint)


def files_for(videos: Sequence[str], out: Path, format: str | None = None) -> dict[Path, Path]:
    """Which file results go to, for each file that `videos` (as rows name them) are about: to check before the work.

    All go to `out` where the format is about many videos, or there is one and `out` is no folder. Else `out`, without
    the format's suffix, is a folder with a file for each, named after the video; names that are the same but for their
    case get a number, in order: `a.srt`, `a-2.srt`. Raises UnknownFormat.
    """
    chosen = FORMATS[format_of(out, format)]
    paths = list(dict.fromkeys(map(path_of, videos)))
    if chosen.video_writer is None or (len(paths) <= 1 and not out.is_dir()):
        return dict.fromkeys(paths, out)
    suffix = chosen.suffixes[0]
    folder = out
    if not out.is_dir():
        ending = next((each for each in chosen.suffixes if out.name.lower().endswith(each)), "")
        folder = out.with_name(out.name[: len(out.name) - len(ending)] or "results")
    names = numbered_names([path.stem or "video" for path in paths])
    return {path: folder / f"{name}{suffix}" for path, name in zip(paths, names, strict=True)}


def numbered_names(names: Sequence[str]) -> list[str]:
    """`names` told apart by `-2`, `-3`, … where they are the same but for case, as some disks do not tell case."""
    given = {name.casefold() for name in names}
    taken: set[str] = set()
    told = []
    for name in names:
        unique, number = name, 1
        while unique.casefold() in taken or (number > 1 and unique.casefold() in given):
            number += 1
            unique = f"{name}-{number}"
        taken.add(unique.casefold())
        told.append(unique)
    return told


def write_results(rows: Sequence[Row], out: Path, format: str | None = None, *, force: bool = False) -> Written:
    """Write `rows` in one of FORMATS, by the suffix of `out` where none is named; `files_for` says to which files.

    Each file appears whole or not at all, and none is written where one exists already and `force` is not given. Where
    a format counts frames and no row knows the rate, the file is asked, and 25 is taken, with a note, if it cannot be.
    Raises UnknownFormat, OutputExists, OutputError, and BackendError for a missing library.
    """
    chosen = FORMATS[format_of(out, format)]
    files = files_for([row.video for row in rows], out, format)
    for file in dict.fromkeys(files.values()) if files else [out]:
        if file.exists() and not force:
            raise OutputExists(f"{file} exists already", hint="add --force to overwrite it")
    num_errors = sum(bool(row.error) for row in rows)
    notes: list[str] = []
    contents: list[tuple[Path, Content]] = []
    if chosen.writer is not None:
        contents = [(out, chosen.writer(rows))]
    elif chosen.video_writer is not None:
        videos = by_video(rows) or [OneVideo(Path("none"), "", ())]  # no rows: an empty file of the format
        for video in videos:
            if chosen.counts_frames:
                video, told = _known_rate(video, chosen.looks)
                notes += told
            contents.append((files.get(video.path, out), chosen.video_writer(video)))
        if len(files) > 1:
            notes += [
                f"{file.name}: {path}"
                for path, file in files.items()
                if file.name != f"{path.stem}{chosen.suffixes[0]}"
            ]
    for file, content in contents:
        if file != out:
            _make_folder(file.parent)
        with written_beside(file) as beside:
            beside.write_bytes(content.data)
        notes += [f"{file.name}: {note}" if len(contents) > 1 else note for note in content.notes]
    num_moments = sum(len(row.groundings) for row in rows)
    return Written(tuple(file for file, _ in contents), num_moments, num_errors, tuple(notes))


def _known_rate(video: OneVideo, looks: bool) -> tuple[OneVideo, list[str]]:
    """The video with what its file tells, where that is needed; and a note where nothing tells its rate."""
    if looks or video.fps is None:
        try:
            clip = open_video(video.path)
        except (VideoError, OSError):
            clip = None
        if clip is not None:
            duration = video.duration_seconds or clip.duration_seconds
            video = replace(video, clip=clip, fps=video.fps or clip.fps, duration_seconds=duration)
    if video.fps is None:
        return video, [f"the frame rate of {video.path} is not known: {ASSUMED_FPS:g} is taken"]
    return video, []


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be made: {error.strerror or error}") from error
