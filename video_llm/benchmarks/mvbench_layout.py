"""MVBench as it lies on disk: 20 JSON files, and the videos of two releases.

The branch `main` has raw videos, and the bounds of its questions are still to be applied. The branch `video` has clips
that are cut already, in folders of their own and with the bounds in their names; the numbers in its JSON must not be
applied again. Both may lie in one folder, as what `data0613.zip` unpacks may lie in a folder `data0613`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tvu.video_llm.benchmarks.json_files import is_number, read_json
from tvu.video_llm.benchmarks.types import Item, Json
from tvu.video_llm.errors import BenchmarkError

PICTURE_FPS = 3.0  # of TVQA's folders of pictures, whose bounds are seconds at this rate
HINT = "`tvu bench list` tells where MVBench is"


@dataclass(frozen=True)
class Task:
    """A task: the letters of the tables, the name of its JSON, its folder of raw videos, and that of cut ones."""

    abbreviation: str
    key: str
    folder: str
    cut_folder: str
    is_bounded: bool = False
    has_pictures: bool = False


def _task(abbreviation: str, key: str, folder: str, cut: str = "", *, bounded: bool = False) -> Task:
    return Task(abbreviation, key, folder, cut or folder, bounded, has_pictures="frames" in folder)


_STAR = ("star/Charades_v1_480", "star/Charades_segment")
_CLEVRER = "clevrer/video_validation"
_PERCEPTION = "perception/videos"
TASKS = (
    _task("AS", "action_sequence", *_STAR, bounded=True),
    _task("AP", "action_prediction", *_STAR, bounded=True),
    _task("AA", "action_antonym", "ssv2_video", "ssv2_video_mp4"),
    _task("FA", "fine_grained_action", "Moments_in_Time_Raw/videos"),
    _task("UA", "unexpected_action", "FunQA_test/test"),
    _task("OE", "object_existence", _CLEVRER),
    _task("OI", "object_interaction", *_STAR, bounded=True),
    _task("OS", "object_shuffle", _PERCEPTION),
    _task("MD", "moving_direction", _CLEVRER),
    _task("AL", "action_localization", "sta/sta_video", "sta/sta_video_segment", bounded=True),
    _task("ST", "scene_transition", "scene_qa/video"),
    _task("AC", "action_count", _PERCEPTION),
    _task("MC", "moving_count", _CLEVRER),
    _task("MA", "moving_attribute", _CLEVRER),
    _task("SC", "state_change", _PERCEPTION),
    _task("FP", "fine_grained_pose", "nturgbd", "nturgbd_convert"),
    _task("CO", "character_order", _PERCEPTION),
    _task("EN", "egocentric_navigation", "vlnqa"),
    _task("ER", "episodic_reasoning", "tvqa/frames_fps3_hq", "tvqa/video_fps3_hq_segment", bounded=True),
    _task("CI", "counterfactual_inference", _CLEVRER),
)
"""In the order of every published table."""


def read_items(data: Path) -> list[Item]:
    """The questions of every task that has a JSON file under `data`, in the order of the tables.

    Raises BenchmarkError where there is none, or one is not what it should be; it names the file and the question.
    """
    found = _questions(data)
    if not found:
        raise BenchmarkError(f"{data} holds no MVBench: neither json/*.json nor test.json is in it", hint=HINT)
    return [
        item
        for task in TASKS
        if task.key in found
        for number, told in enumerate(found[task.key][1])
        for item in [_item(data, task, number, told, found[task.key][0])]
    ]


def video_path(data: Path, video: str) -> Path:
    """Where a video of an item is, or where it should be."""
    places = [root / video for root in _roots(data)]
    return next((place for place in places if place.exists()), places[0])


def _questions(data: Path) -> dict[str, tuple[Path, list[Json]]]:
    """The file and the questions of each task. Files of their own win over `test.json`."""
    found: dict[str, tuple[Path, list[Json]]] = {}
    whole = data / "test.json"
    if whole.is_file():
        meta = read_json(whole)
        meta = meta.get("meta") if isinstance(meta, dict) else None
        if not isinstance(meta, dict):
            raise BenchmarkError(f"{whole} has no object `meta` that gives each task its questions", hint=HINT)
        found = {str(key).lower().replace(" ", "_").replace("-", "_"): (whole, told) for key, told in meta.items()}
    for task in TASKS:
        for path in (data / "json" / f"{task.key}.json", data / f"{task.key}.json"):
            if path.is_file():
                found[task.key] = path, read_json(path)
                break
    for key, (path, told) in found.items():
        if not isinstance(told, list):
            raise BenchmarkError(f"{path} has no array of questions for {key}", hint=HINT)
    return {task.key: found[task.key] for task in TASKS if task.key in found}


def _item(data: Path, task: Task, number: int, told: Json, path: Path) -> Item:
    name = f"{task.key}/{number}"
    if not isinstance(told, Mapping):
        raise _wrong(path, name, "is not an object")
    for key in ("video", "question", "answer"):
        if not isinstance(told.get(key), str):
            raise _wrong(path, name, f"has no text {key!r}")
    options = told.get("candidates")
    if not isinstance(options, list) or not 1 <= len(options) <= 26 or not all(isinstance(o, str) for o in options):
        raise _wrong(path, name, "has no list of 1 to 26 candidates")
    if options.count(told["answer"]) != 1:
        raise _wrong(path, name, f"has an answer that is not one candidate: {told['answer'][:60]!r}")
    video = PurePosixPath(told["video"])
    if video.is_absolute() or ".." in video.parts or not video.parts or "\0" in told["video"]:
        raise _wrong(path, name, f"names a video outside its folder: {told['video'][:60]!r}")
    bounds = _bounds(told, path, name) if task.is_bounded else None
    is_cut = _is_cut(data, task, video, bounds, path.name == "test.json")
    is_pictures = task.has_pictures and not is_cut
    return Item(
        id=name,
        video=str(PurePosixPath(task.cut_folder if is_cut else task.folder) / video),
        question=told["question"],
        truth=options.index(told["answer"]),
        group=task.abbreviation,
        bounds=None if is_cut else bounds,
        options=tuple(options),
        facts={"answer": told["answer"], "type": "frames" if is_pictures else "video"}
        | ({"fps": PICTURE_FPS} if is_pictures else {}),
    )


def _bounds(told: Mapping[str, Json], path: Path, name: str) -> tuple[float, float] | None:
    start: Json = told.get("start")
    end: Json = told.get("end")
    if start is None and end is None:
        return None
    if not (is_number(start) and is_number(end)):
        raise _wrong(path, name, "has a start and an end that are not seconds")
    return float(start), float(end)


def _is_cut(data: Path, task: Task, video: PurePosixPath, bounds: tuple[float, float] | None, is_likely: bool) -> bool:
    """Whether the video is of the release `video`: by its bounds in its name, by where it lies, else as is likely."""
    if task.cut_folder == task.folder:
        return False
    if bounds is not None and video.stem.endswith(tuple(_names_of(bounds))):
        return True
    if any((root / task.folder / video).exists() for root in _roots(data)):
        return False
    if any((root / task.cut_folder / video).exists() for root in _roots(data)):
        return True
    has_raw = any((root / task.folder).is_dir() for root in _roots(data))
    return not has_raw and (is_likely or any((root / task.cut_folder).is_dir() for root in _roots(data)))


def _names_of(bounds: tuple[float, float]) -> Iterator[str]:
    start, end = bounds
    yield f"_{start}_{end}"
    yield f"_{start:g}_{end:g}"


def _roots(data: Path) -> tuple[Path, ...]:
    return data / "video", data, data / "data0613", data / "video" / "data0613"


def _wrong(path: Path, name: str, what: str) -> BenchmarkError:
    return BenchmarkError(f"{path}: question {name} {what}", hint="was the file changed? fetch it again")
