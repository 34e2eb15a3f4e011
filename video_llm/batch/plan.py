"""What a batch will take, told before the work: videos, seconds, frames, bytes."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tvu.temporal.errors import TvuError
from tvu.video_llm.batch.work import Item
from tvu.video_llm.decode import open_video

SCOUT_FPS = 4.0
SCOUT_BYTES = 20_700  # of features a second: two looks' 1,280 halves four times a second, and what stands beside them
SCOUT_CORE_SECONDS = 0.4  # for a second of 720p with sound and text, on a core: the README's first question
LEAST_FREE = 1 << 30  # bytes that features must leave on their disk


@dataclass(frozen=True)
class Plan:
    """videos, of which `unreadable` will be told as errors and `known` are done already; queries about all of them.

    seconds, frames: to look at; frames None where that is the model's own affair. bytes_of_videos: of the files.
    bytes_of_features: that will be kept at most; None where the model knows. bytes_free: on the disk they are kept on.
    core_seconds: an estimate of the time on one core; None where nobody knows.
    """

    videos: int
    unreadable: int
    known: int
    queries: int
    seconds: float
    frames: int | None
    bytes_of_videos: int
    bytes_of_features: int | None
    bytes_free: int
    core_seconds: float | None

    @property
    def fits(self) -> bool:
        """Whether the features leave room on their disk."""
        return self.bytes_of_features is None or self.bytes_of_features + LEAST_FREE <= self.bytes_free


def plan_of(
    items: Sequence[Item],
    model: str,
    cache: Path,
    *,
    known: int = 0,
    use_cache: bool = True,
    watch: Callable[[int], None] = lambda done: None,
) -> Plan:
    """Survey every video, without decoding it. items: what is still to do. cache: the folder of features."""
    seconds, size, unreadable = 0.0, 0, 0
    for place, item in enumerate(items, start=1):
        try:
            clip = open_video(item.address)
            seconds += clip.span.seconds
            size += sum(file.stat().st_size for file in _files(clip.path))
        except (TvuError, OSError):
            unreadable += 1
        watch(place)
    is_scout = model == "scout"
    disk = next(folder for folder in (cache, *cache.absolute().parents) if folder.exists())
    return Plan(
        videos=len(items) + known,
        unreadable=unreadable,
        known=known,
        queries=sum(len(item.queries) for item in items),
        seconds=seconds,
        frames=round(seconds * SCOUT_FPS) if is_scout else None,
        bytes_of_videos=size,
        bytes_of_features=(round(seconds * SCOUT_BYTES) if is_scout else None) if use_cache else 0,
        bytes_free=shutil.disk_usage(disk).free,
        core_seconds=seconds * SCOUT_CORE_SECONDS if is_scout else None,
    )


def _files(path: Path) -> list[Path]:
    return [each for each in path.iterdir() if each.is_file()] if path.is_dir() else [path]
