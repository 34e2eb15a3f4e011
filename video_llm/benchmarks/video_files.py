"""Where the files of a benchmark lie in its folder."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath

from tvu.video_llm.errors import BenchmarkError

ENDINGS = (".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v", ".flv", ".gif")
PLACES = ("videos", ".")


def find_file(data: Path, names: Sequence[str]) -> Path:
    """The first of `names` in `data` or up to two folders below, gzipped or not, or `data` itself if it is a file.

    Raises BenchmarkError if there is none.
    """
    if data.is_file():
        return data
    for name in names:
        for below in ("", "*/", "*/*/"):
            for pattern in (f"{below}{name}", f"{below}{name}.gz"):
                if found := sorted(path for path in data.glob(pattern) if path.is_file()):
                    return found[0]
    raise BenchmarkError(f"{data} has no {' or '.join(names)}", hint="`tvu bench list` tells where to get the data")


def find_video(data: Path, name: str, places: Sequence[str] = PLACES) -> Path:
    """The video `name`, or the folder of its pictures, in the first of `places` below `data` that has it.

    Names are matched to the letter; one with another ending, or with one where `name` has none, will do. The file may
    be missing, and is then named as the first place would have it.
    """
    base = data.parent if data.is_file() else data
    within = PurePosixPath(name).parent
    for place in places:
        if found := _entries(base / place / within).get(stem_of(name)):
            return next((path for path in found if path.name == PurePosixPath(name).name), found[0])
    has_ending = PurePosixPath(name).suffix.lower() in ENDINGS
    return base / places[0] / (name if has_ending else f"{name}{ENDINGS[0]}")


def _entries(folder: Path) -> Mapping[str, Sequence[Path]]:
    """What is in a folder by name without ending, listed once as long as nothing comes or goes."""
    try:
        return _listed(folder, folder.stat().st_mtime_ns)
    except (OSError, ValueError):  # no folder; a name that no file can have
        return {}


@lru_cache(maxsize=64)
def _listed(folder: Path, changed: int) -> Mapping[str, Sequence[Path]]:
    entries: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir(), key=_rank):
        entries.setdefault(stem_of(path.name), []).append(path)
    return entries


def _rank(path: Path) -> tuple[int, str]:
    ending = path.suffix.lower()
    return (ENDINGS.index(ending) if ending in ENDINGS else len(ENDINGS), path.name)


def stem_of(name: str) -> str:
    """The name of a video without folder and ending; a YouTube clip, `_660.0_810.0`, has dots that begin no ending."""
    path = PurePosixPath(name)
    return path.stem if path.suffix.lower() in ENDINGS else path.name
