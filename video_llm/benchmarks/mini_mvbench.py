"""A small set in the layout of MVBench's main release, drawn: all 20 tasks, 5 to 8 questions each."""

import json
import zlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tvu.video_llm.benchmarks import mini_scenes, mini_shapes
from tvu.video_llm.benchmarks.mini_drawing import write_film, write_pictures
from tvu.video_llm.benchmarks.mini_riddles import Riddle

PICTURES_FPS = 3.0  # of folders of pictures, as in MVBench


@dataclass(frozen=True)
class Task:
    """One of MVBench's tasks.

    key: of its JSON file. folder: of its videos. suffix: of its videos; empty for folders of pictures.
    riddles: gives the questions.
    """

    key: str
    folder: str
    suffix: str
    riddles: Callable[[], list[Riddle]]


TASKS = (
    Task("action_sequence", "star/Charades_v1_480", ".mp4", mini_shapes.action_sequence),
    Task("action_prediction", "star/Charades_v1_480", ".mp4", mini_shapes.action_prediction),
    Task("action_antonym", "ssv2_video", ".webm", mini_shapes.action_antonym),
    Task("fine_grained_action", "Moments_in_Time_Raw/videos", ".mp4", mini_shapes.fine_grained_action),
    Task("unexpected_action", "FunQA_test/test", ".mp4", mini_shapes.unexpected_action),
    Task("object_existence", "clevrer/video_validation", ".mp4", mini_shapes.object_existence),
    Task("object_interaction", "star/Charades_v1_480", ".mp4", mini_scenes.object_interaction),
    Task("object_shuffle", "perception/videos", ".mp4", mini_scenes.object_shuffle),
    Task("moving_direction", "clevrer/video_validation", ".mp4", mini_shapes.moving_direction),
    Task("action_localization", "sta/sta_video", ".mp4", mini_shapes.action_localization),
    Task("scene_transition", "scene_qa/video", ".mp4", mini_scenes.scene_transition),
    Task("action_count", "perception/videos", ".mp4", mini_shapes.action_count),
    Task("moving_count", "clevrer/video_validation", ".mp4", mini_shapes.moving_count),
    Task("moving_attribute", "clevrer/video_validation", ".mp4", mini_shapes.moving_attribute),
    Task("state_change", "perception/videos", ".mp4", mini_scenes.state_change),
    Task("fine_grained_pose", "nturgbd", ".avi", mini_scenes.fine_grained_pose),
    Task("character_order", "perception/videos", ".mp4", mini_shapes.character_order),
    Task("egocentric_navigation", "vlnqa", ".mp4", mini_scenes.egocentric_navigation),
    Task("episodic_reasoning", "tvqa/frames_fps3_hq", "", mini_scenes.episodic_reasoning),
    Task("counterfactual_inference", "clevrer/video_validation", ".mp4", mini_shapes.counterfactual_inference),
)


def write_mvbench(folder: Path, seed: int = 0, tasks: Collection[str] | None = None) -> None:
    """Write `json/<task>.json` and the videos under `video/`; tasks: keys of those to write, all where None.

    The same seed gives the same set, and a task is the same whichever others are written with it. As in MVBench, names
    of videos are unique within a folder only. Raises ValueError for a task that there is not.
    """
    unknown = set(tasks or ()) - {task.key for task in TASKS}
    if unknown:
        raise ValueError(f"no task of MVBench: {', '.join(sorted(unknown))}")
    (folder / "json").mkdir(parents=True)
    for task in TASKS:
        if tasks is None or task.key in tasks:
            items = _write_task(folder / "video" / task.folder, task, seed)
            (folder / "json" / f"{task.key}.json").write_text(json.dumps(items, indent=1) + "\n", "utf-8")


def _write_task(videos: Path, task: Task, seed: int) -> list[dict[str, Any]]:
    videos.mkdir(parents=True, exist_ok=True)
    own = zlib.crc32(task.key.encode())
    riddles = task.riddles()
    order = np.random.default_rng([seed, own])
    wanted = [(riddle, answer) for riddle in range(len(riddles)) for answer in range(len(riddles[riddle].options))]
    candidates = [[riddle.options[i] for i in order.permutation(len(riddle.options))] for riddle in riddles]
    first = 100 * sum(other.folder == task.folder for other in TASKS[: TASKS.index(task)])
    items = []
    for number, place in enumerate(order.permutation(len(wanted)).tolist(), start=first):
        which, answer = wanted[place]
        riddle = riddles[which]
        film = riddle.film(answer, np.random.default_rng([seed, own, which, answer]))
        name = f"video_{number}{task.suffix}"
        item: dict[str, Any] = {
            "video": name,
            "question": riddle.question,
            "candidates": candidates[which],
            "answer": riddle.options[answer],
        }
        if film.bounds is not None:
            item["start"], item["end"] = film.bounds
        if task.key in ("object_interaction", "action_localization"):
            item["accurate_start"], item["accurate_end"] = item["start"], item["end"]
        if task.suffix:
            write_film(film, videos / name)
        else:
            item |= {"subtitle": "", "show_name": "The drawn house", "fps": PICTURES_FPS}
            write_pictures(film, videos / name, PICTURES_FPS)
        items.append(item)
    return items
