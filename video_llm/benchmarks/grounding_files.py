"""Which files hold the items of each grounding benchmark, under the names that they are published with."""

from collections.abc import Callable, Iterable
from pathlib import Path

from tvu.video_llm.benchmarks.grounding_data import (
    clamped,
    lasting,
    read_activitynet,
    read_activitynet_rtl,
    read_charades_sta,
    read_durations,
    read_moments,
    read_nextgqa,
    read_timelens,
)
from tvu.video_llm.benchmarks.types import Item
from tvu.video_llm.benchmarks.video_files import find_file, find_video
from tvu.video_llm.decode import open_video
from tvu.video_llm.errors import BenchmarkError, VideoError

ReadItems = Callable[[Path], list[Item]]

CHARADES_PLACES = ("videos", "Charades_v1_480", "Charades_v1", ".")
NEXTGQA_PLACES = ("videos", "NExTVideo", ".")
TIMELENS_PLACES = ("videos", "videos/charades", "videos/activitynet", "videos/qvhighlights", ".")
"""Where in a folder of data the videos are looked for."""

_CHARADES = ("charades_sta_test.txt", "test.caption_coco_format.json", "tvg_example_gt_file.json")
_LIGHTHOUSE_CHARADES = "charades_test_release.jsonl"
_DURATIONS = (_LIGHTHOUSE_CHARADES, "Charades_v1_test.csv")
_TIMELENS = ("charades-timelens.json", "activitynet-timelens.json", "qvhighlights-timelens.json")


def charades_items(data: Path) -> list[Item]:
    """Charades-STA in its text form or TimeChat's JSON; durations, where a file that tells them is beside it."""
    return lasting(read_charades_sta(find_file(data, _CHARADES)), _charades_durations(data))


def clamped_charades_items(data: Path) -> list[Item]:
    """Lighthouse's file, else Charades-STA cut at durations: from a file beside it, else by the clocks of the videos.

    The spans of a video that is not there stay as they are.
    """
    path = data if data.is_file() else _found(data, _LIGHTHOUSE_CHARADES)
    if path is not None and ".jsonl" in path.suffixes:
        return read_moments(path)
    items = charades_items(data)
    unknown = {item.video for item in items if "duration" not in item.facts}
    return clamped(lasting(items, _measured(data, unknown)))


def activitynet_items(*names: str) -> ReadItems:
    """ActivityNet Captions in its own form, or in that of QVHighlights where the name ends in `.jsonl`."""

    def read(data: Path) -> list[Item]:
        path = find_file(data, names)
        return read_moments(path) if ".jsonl" in path.suffixes else read_activitynet(path)

    return read


def moments_items(*names: str) -> ReadItems:
    """A file in the form of QVHighlights."""
    return lambda data: read_moments(find_file(data, names))


def any_moments(data: Path) -> list[Item]:
    """The only JSON Lines file in a folder, whatever its name, or `data` itself. Raises BenchmarkError for several."""
    if data.is_file():
        return read_moments(data)
    found = sorted([*data.glob("*.jsonl"), *data.glob("*.jsonl.gz")])
    if len(found) != 1:
        told = f"has {len(found)} files *.jsonl" if found else "has no *.jsonl"
        raise BenchmarkError(f"{data} {told}", hint="name the file itself as the data, with `videos/` beside it")
    return read_moments(found[0])


def rtl_items(data: Path) -> list[Item]:
    """ActivityNet-RTL."""
    return read_activitynet_rtl(find_file(data, ("annot_val_1_q229.json",)))


def nextgqa_items(data: Path) -> list[Item]:
    """NExT-GQA from a folder with `test.csv`, `gsub_test.json` and, for the names of the files, its map of videos."""
    folder = data.parent if data.is_file() else data
    names = _found(folder, "map_vid_vidorID.json")
    return read_nextgqa(find_file(folder, ("test.csv",)), find_file(folder, ("gsub_test.json",)), names)


def timelens_items(data: Path) -> list[Item]:
    """The sets of TimeLens-Bench that are there, one after the other."""
    if data.is_file():
        return read_timelens(data)
    found = [path for name in _TIMELENS if (path := _found(data, name))]
    if not found:
        raise BenchmarkError(f"{data} has no {' or '.join(_TIMELENS)}", hint="see `tvu bench list timelens`")
    return [item for path in found for item in read_timelens(path)]


def _charades_durations(data: Path) -> dict[str, float]:
    found = (_found(data, name) for name in _DURATIONS)
    return next((read_durations(path) for path in found if path), {})


def _measured(data: Path, videos: Iterable[str]) -> dict[str, float]:
    """Seconds of the videos that are there and can be read."""
    durations = {}
    for video in videos:
        try:
            durations[video.removesuffix(".mp4")] = open_video(
                find_video(data, video, CHARADES_PLACES)
            ).duration_seconds
        except VideoError:  # is told when the item is asked
            continue
    return durations


def _found(data: Path, name: str) -> Path | None:
    """The file in the folder of data, where it is there."""
    try:
        return find_file(data.parent if data.is_file() else data, (name,))
    except BenchmarkError:
        return None
