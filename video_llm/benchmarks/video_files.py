"""Where the files of a benchmark lie in its folder."""

from collections.abc import Sequence
from pathlib import Path

from tvu.video_llm.errors import BenchmarkError

ENDINGS = (".mp4", ".mkv", ".webm", ".avi", ".mov")


def find_file(data: Path, names: Sequence[str]) -> Path:
    """The first of `names` in `data`, gzipped or not, or `data` itself if it is a file.

    Raises BenchmarkError if there is none.
    """
    if data.is_file():
        return data
    for name in names:
        for path in (data / name, data / f"{name}.gz"):
            if path.is_file():
                return path
    raise BenchmarkError(f"{data} has no {' or '.join(names)}", hint="`tvu bench list` tells where to get the data")


def find_video(data: Path, name: str) -> Path:
    """`videos/NAME` beside the truth, with the ending that is there if `NAME` has none; the file may be missing."""
    folder = (data.parent if data.is_file() else data) / "videos"
    path = folder / name
    if path.exists() or path.suffix.lower() in ENDINGS:
        return path
    found = (folder / f"{name}{ending}" for ending in ENDINGS)
    return next((path for path in found if path.is_file()), folder / f"{name}{ENDINGS[0]}")
