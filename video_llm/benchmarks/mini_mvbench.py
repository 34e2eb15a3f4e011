"""A small set in the layout of MVBench's main release, drawn: all 20 tasks, 5 to 8 questions each."""

import json
import zlib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tvu.video_llm.benchmarks import mini_counts, mini_journeys, mini_scenes, mini_shapes
from tvu.video_llm.benchmarks.mini_drawing import write_film, write_pictures
from tvu.video_llm.benchmarks.mini_riddles import Riddle
from tvu.video_llm.benchmarks.mvbench_layout import PICTURE_FPS, TASKS, Task

RIDDLES: Mapping[str, Callable[[], list[Riddle]]] = {
    "action_sequence": mini_shapes.action_sequence,
    "action_prediction": mini_shapes.action_prediction,
    "action_antonym": mini_shapes.action_antonym,
    "fine_grained_action": mini_shapes.fine_grained_action,
    "unexpected_action": mini_shapes.unexpected_action,
    "object_existence": mini_counts.object_existence,
    "object_interaction": mini_scenes.object_interaction,
    "object_shuffle": mini_scenes.object_shuffle,
    "moving_direction": mini_shapes.moving_direction,
    "action_localization": mini_shapes.action_localization,
    "scene_transition": mini_scenes.scene_transition,
    "action_count": mini_counts.action_count,
    "moving_count": mini_counts.moving_count,
    "moving_attribute": mini_counts.moving_attribute,
    "state_change": mini_scenes.state_change,
    "fine_grained_pose": mini_scenes.fine_grained_pose,
    "character_order": mini_counts.character_order,
    "egocentric_navigation": mini_journeys.egocentric_navigation,
    "episodic_reasoning": mini_journeys.episodic_reasoning,
    "counterfactual_inference": mini_shapes.counterfactual_inference,
}
"""What draws the questions of each task, by its key."""

SUFFIXES = {"action_antonym": ".webm", "fine_grained_pose": ".avi"}  # as of the files of MVBench; the others are .mp4


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
    riddles = RIDDLES[task.key]()
    suffix = "" if task.has_pictures else SUFFIXES.get(task.key, ".mp4")
    order = np.random.default_rng([seed, own])
    wanted = [(riddle, answer) for riddle in range(len(riddles)) for answer in range(len(riddles[riddle].options))]
    candidates = [[riddle.options[i] for i in order.permutation(len(riddle.options))] for riddle in riddles]
    first = 100 * sum(other.folder == task.folder for other in TASKS[: TASKS.index(task)])
    items = []
    for number, place in enumerate(order.permutation(len(wanted)).tolist(), start=first):
        which, answer = wanted[place]
        riddle = riddles[which]
        film = riddle.film(answer, np.random.default_rng([seed, own, which, answer]))
        name = f"video_{number}{suffix}"
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
        if suffix:
            write_film(film, videos / name)
        else:
            item |= {"subtitle": "", "show_name": "The drawn house", "fps": PICTURE_FPS}
            write_pictures(film, videos / name, PICTURE_FPS)
        items.append(item)
    return items
