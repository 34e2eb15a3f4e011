"""Which videos a batch is about: files, parts of files, folders, patterns and lists, in a stable order."""

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tvu.video_llm.errors import VideoError
from tvu.video_llm.media.address import parse_address

_VIDEOS = (
    "3g2 3gp asf avi divx dv f4v flv gif h264 h265 hevc ivf m2ts m2v m4v mkv mov mp4 mpeg mpg mts mxf nut ogm ogv qt "
    "rm rmvb ts vob webm wmv y4m"
)
_PICTURES = "bmp jpeg jpg png tif tiff webp"
VIDEO_ENDINGS = frozenset(f".{ending}" for ending in _VIDEOS.split())
PICTURE_ENDINGS = frozenset(f".{ending}" for ending in _PICTURES.split())
LIST_ENDING = ".txt"


@dataclass(frozen=True)
class Sources:
    """What was found.

    addresses: `path` or `path#t=a,b`, each once. ignored: files in folders that have no ending of a video.
    """

    addresses: tuple[str, ...]
    ignored: int = 0


def videos_in(paths: Iterable[str]) -> Sources:
    """The videos that `paths` name, in their order, those of a folder sorted by name.

    - a file, or a part of one as `path#t=12.5,40`, is itself, whatever its ending and whether it is there or not: what
      is wrong with it is told when it is read;
    - a folder is all videos in it and in the folders below, hidden ones left out; a folder that holds pictures and no
      video is a video of its own, its pictures one a second;
    - a name that is not there and has `*`, `?` or `[` in it is a pattern, `**` any folders between; what it matches may
      be files and folders;
    - a file that ends in `.txt` is a list, one of the above a line, relative to the list; lines that begin with # and
      empty ones are skipped.

    Raises VideoError for a folder or list that cannot be read, a pattern that matches nothing, and where there is
    nothing at all.
    """
    found: dict[str, None] = {}
    ignored = 0
    for path in paths:
        for address, skipped in _expanded(path):
            ignored += skipped
            if address:
                found.setdefault(address)
    if not found:
        told = " ".join(paths) or "nothing"
        hint = f"{ignored} files in it have no ending of a video" if ignored else "name a video or a folder of videos"
        raise VideoError(f"there is no video in {told}", hint=hint)
    return Sources(tuple(found), ignored)


def _expanded(path: str, base: Path | None = None) -> Iterator[tuple[str, int]]:
    """Addresses, and beside each how many files were passed over since the last."""
    name = path if base is None else str(base / path)
    place = parse_address(name).path
    if not os.path.lexists(place) and glob.has_magic(name):
        matches = sorted(glob.glob(name, recursive=True))  # noqa: PTH207  the pattern may be absolute
        if not matches:
            raise VideoError(f"nothing matches {path}", hint="is the pattern right, and was the shell kept from it?")
        for match in matches:
            yield from _of_folder(Path(match)) if Path(match).is_dir() else [_of_file(Path(match))]
    elif place.is_dir() and str(place) == name.rstrip("/"):
        yield from _of_folder(place)
    elif place.suffix.lower() == LIST_ENDING and place.is_file():
        for line in _lines(place):
            yield from _expanded(line, place.parent)
    else:
        yield name, 0


def _of_folder(folder: Path) -> Iterator[tuple[str, int]]:
    """The videos below, depth first; links to folders are not followed, so there is no circle."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise VideoError(f"{folder} cannot be read: {error.strerror}", hint="check its permissions") from error
    shown = [entry for entry in entries if not entry.name.startswith(".")]
    files = [Path(entry.path) for entry in shown if entry.is_file()]
    videos = [file for file in files if file.suffix.lower() in VIDEO_ENDINGS]
    pictures = [file for file in files if file.suffix.lower() in PICTURE_ENDINGS]
    if pictures and not videos:
        yield str(folder), len(files) - len(pictures)
    else:
        yield "", len(files) - len(videos)
        yield from ((str(file), 0) for file in videos)
    for entry in shown:
        if entry.is_dir(follow_symlinks=False):
            yield from _of_folder(Path(entry.path))


def _of_file(file: Path) -> tuple[str, int]:
    return (str(file), 0) if file.suffix.lower() in VIDEO_ENDINGS | PICTURE_ENDINGS else ("", 1)


def _lines(path: Path) -> Sequence[str]:
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise VideoError(
            f"{path} cannot be read as a list of videos: {error}", hint="one path a line, UTF-8"
        ) from error
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
