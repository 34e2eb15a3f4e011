"""Drawn people in composed videos: the bodies of `skeletons.py`, with limbs, clothes and a face."""

from dataclasses import replace

import numpy as np
from numpy.random import Generator

from tvu.video_llm.lite.inputs import STEPS_PER_SECOND
from tvu.video_llm.training import shots
from tvu.video_llm.training.acts import Times
from tvu.video_llm.training.drawing import COLORS
from tvu.video_llm.training.kinematics import landmarks_of
from tvu.video_llm.training.skeletons import SkeletonPlan, SkeletonWorld, parameters_of, project
from tvu.video_llm.training.stage import SAME, Shot, Stage, Subject

SKINS = ((0.96, 0.80, 0.69), (0.89, 0.68, 0.54), (0.76, 0.55, 0.40), (0.56, 0.38, 0.26), (0.38, 0.25, 0.17))
HAIRS = (
    (0.12, 0.09, 0.07),
    (0.3, 0.2, 0.12),
    (0.55, 0.4, 0.2),
    (0.75, 0.65, 0.45),
    (0.5, 0.5, 0.5),
    (0.45, 0.16, 0.08),
)
PERSON = Subject("a person", words=frozenset(set().union(*(group for group in SAME if "person" in group)) | {"hand"}))
BAR_SHARE = 0.16  # of the height of its square that the drawn bar takes

LIMBS = (
    # ends (landmarks), half thickness in metres, what covers it
    (24, 26, 0.085, "legs"),
    (26, 28, 0.06, "legs"),
    (28, 32, 0.04, "shoes"),
    (23, 25, 0.085, "legs"),
    (25, 27, 0.06, "legs"),
    (27, 31, 0.04, "shoes"),
    ("trunk", "trunk", 0.0, "shirt"),
    ("head", "head", 0.0, "skin"),
    (12, 14, 0.052, "shirt"),
    (14, 16, 0.042, "skin"),
    (16, 20, 0.042, "skin"),
    (11, 13, 0.052, "shirt"),
    (13, 15, 0.042, "skin"),
    (15, 19, 0.042, "skin"),
)


def plan_puppet(world: SkeletonWorld, rng: Generator) -> SkeletonPlan:
    """What a person does; the camera does not change."""
    return replace(world.draw(rng), cut=None)


def puppet(stage: Stage, shot: Shot, plan: SkeletonPlan) -> None:
    """Draw the person of a plan into a shot as long as the plan, before a backdrop."""
    rng = stage.rng
    stage.present.append(PERSON)
    shots.backdrop(stage, shot)
    points = landmarks_of(parameters_of([plan]), [plan.build], np.zeros(plan.num_steps, np.int64))
    picture, near = project(points, plan.camera, plan.seed)
    when, steps = np.arange(shot.last - shot.first) / 8, np.arange(plan.num_steps) / STEPS_PER_SECOND
    seen = _between(np.concatenate([picture * 2 - 1, near[..., None]], axis=2), when, steps)
    at, depth = seen[..., :2] * (stage.aspect, 1.0), seen[..., 2]  # places [n, 33, 2] and nearness [n, 33]
    metre = 2 * plan.camera.picture_heights_per_metre
    colors = {
        "skin": np.array(SKINS[int(rng.integers(len(SKINS)))]),
        "hair": np.array(HAIRS[int(rng.integers(len(HAIRS)))]),
        "shirt": _cloth(stage),
        "legs": _cloth(stage),
        "shoes": _cloth(stage) * 0.6,
    }
    if rng.random() < 0.3:
        colors["arms"] = colors["skin"]
    for start, end, thick, cover in LIMBS:
        color = colors.get("arms", colors[cover]) if start in (11, 12) and cover == "shirt" else colors[cover]
        if start == "trunk":
            _trunk(stage, shot, at, metre, color)
        elif start == "head":
            _head(stage, shot, at, depth, metre, colors)
        else:
            _limb(stage, shot, at[:, int(start)], at[:, int(end)], thick * metre, color)
    if plan.legs_hidden:
        n = len(at)
        table = np.full(n, float(at[:, 23:25, 1].mean()) + 0.05 * metre)
        half = (np.full(n, 2.0 * stage.aspect), np.full(n, 1.0))
        wood = np.tile(_cloth(stage), (n, 1))
        shot.box(stage.part("block"), np.zeros(n), table + 1.0, half, np.zeros(n), wood, np.ones(n))


def _between(values: np.ndarray, when: Times, steps: Times) -> np.ndarray:
    """Values of the steps at other times, straight in between; who leaves on one side and comes on another jumps."""
    place = np.clip(np.searchsorted(steps, when, side="right") - 1, 0, len(steps) - 1)
    after = np.minimum(place + 1, len(steps) - 1)
    share = np.clip((when - steps[place]) * STEPS_PER_SECOND, 0, 1)
    share *= np.abs(values[after, :, 0] - values[place, :, 0]).max(axis=1) < 1.2
    return values[place] + (values[after] - values[place]) * share[:, None, None]


def _cloth(stage: Stage) -> np.ndarray:
    base = np.array(list(COLORS.values())[int(stage.rng.integers(len(COLORS)))])
    return np.clip(base * stage.rng.uniform(0.5, 1.1) + stage.rng.uniform(0, 0.15), 0.03, 1)


def _limb(stage: Stage, shot: Shot, a: Times, b: Times, thick: float, color: np.ndarray) -> None:
    n = len(a)
    way = b - a
    half = np.hypot(way[:, 0], way[:, 1]) / 2 + thick
    angle = np.arctan2(way[:, 1], way[:, 0])
    middle = (a + b) / 2
    shape = (half, np.full(n, thick / BAR_SHARE))
    shot.box(stage.part("bar"), middle[:, 0], middle[:, 1], shape, angle, np.tile(color, (n, 1)), np.ones(n))


def _trunk(stage: Stage, shot: Shot, at: np.ndarray, metre: float, color: np.ndarray) -> None:
    n = len(at)
    top, low = at[:, 11:13].mean(axis=1), at[:, 23:25].mean(axis=1)
    way = low - top
    half = np.hypot(way[:, 0], way[:, 1]) / 2 + 0.07 * metre
    wide = np.maximum(np.abs(at[:, 11, 0] - at[:, 12, 0]) / 2, 0.11 * metre) + 0.04 * metre
    angle = np.arctan2(way[:, 1], way[:, 0])
    middle = (top + low) / 2
    shape = (half / 0.9, wide / 0.9)
    shot.box(stage.part("ring part"), middle[:, 0], middle[:, 1], shape, angle, np.tile(color, (n, 1)), np.ones(n))


def _head(
    stage: Stage, shot: Shot, at: np.ndarray, depth: np.ndarray, metre: float, colors: dict[str, np.ndarray]
) -> None:
    n = len(at)
    middle, ball = at[:, 7:9].mean(axis=1), stage.part("ball")
    neck = at[:, 11:13].mean(axis=1)
    up = middle - neck
    up /= np.maximum(np.hypot(up[:, 0], up[:, 1]), 1e-6)[:, None]
    skin, hair = np.tile(colors["skin"], (n, 1)), np.tile(colors["hair"], (n, 1))
    high, wide = np.full(n, 0.135 * metre), np.full(n, 0.105 * metre)
    _limb(stage, shot, neck, middle, 0.05 * metre, colors["skin"])
    crown = middle + 0.045 * metre * up
    shot.box(ball, crown[:, 0], crown[:, 1], (wide * 1.12, high), np.zeros(n), hair, np.ones(n))
    facing = depth[:, 0] - depth[:, 7:9].mean(axis=1)  # metres that the nose is nearer than the ears
    is_seen = np.clip(facing / 0.05 + 0.5, 0, 1)
    face = middle + (at[:, 0] - middle) * 0.35
    shot.box(ball, face[:, 0], face[:, 1], (wide * 0.92, high * 0.85), np.zeros(n), skin, is_seen)
    dark = np.full((n, 3), 0.08)
    for eye in (2, 5):
        size = np.full(n, 0.013 * metre)
        shot.box(ball, at[:, eye, 0], at[:, eye, 1], (size, size), np.zeros(n), dark, (facing > 0.04).astype(float))
    mouth = at[:, 9:11].mean(axis=1)
    lips = np.tile(np.array([0.6, 0.2, 0.2]), (n, 1))
    flat = (np.full(n, 0.026 * metre), np.full(n, 0.008 * metre))
    shot.box(ball, mouth[:, 0], mouth[:, 1], flat, np.zeros(n), lips, (facing > 0.04).astype(float))
