"""Two seconds of drawn motion with what moves how, for training the motion network before anything has words."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from tvu.video_llm.training import shots
from tvu.video_llm.training.absence import CAMERA_WAYS
from tvu.video_llm.training.acts import ACTS, DIRECTIONS, ENTRANCES, EXITS, Actor
from tvu.video_llm.training.assets import Assets
from tvu.video_llm.training.composed import ASPECT_SHARES, ASPECTS, bank_of, footage_of, hold_by_hand
from tvu.video_llm.training.rendering import Footage, render_footage
from tvu.video_llm.training.scenes import Split
from tvu.video_llm.training.stage import CAMERA, FPS, Camera, Shot, Stage

FRAMES = 16
SIDE = 112

DEEDS = (*ACTS, *ENTRANCES, *EXITS)
CLASSES: dict[str, tuple[str, ...]] = {
    "act": ("nothing", *(act.name for act in DEEDS), *(meeting.__name__.strip("_") for meeting in shots.MEETINGS)),
    "direction": (*DIRECTIONS, "none"),
    "camera": ("still", *CAMERA_WAYS),
    "edit": ("none", "cut", "dissolve", "light"),
    "movers": ("none", "one", "two", "three", "four", "five"),
    "speed": ("still", "slow", "medium", "fast"),
    "times": ("none", "once", "twice", "three times", "four times"),
    "begins": tuple(f"frame {i}" for i in range(FRAMES)),
    "ends": tuple(f"frame {i}" for i in range(FRAMES)),
}
"""What every snippet is labelled with, and the names of the values; -1 stands for not applicable or outside."""

SORTS, SORT_SHARES = ("still", "act", "pair", "camera", "edit", "several"), (0.08, 0.46, 0.12, 0.16, 0.1, 0.08)


Labels = dict[str, int]


@dataclass(frozen=True, eq=False)
class SnippetBatchPlan:
    """N snippets: what their pixels are made of, and int64 `[N]` for each of `CLASSES`."""

    footages: tuple[Footage, ...]
    labels: Mapping[str, Tensor]
    assets: Assets


def draw_snippets(rng: Generator, count: int, assets: Assets, split: Split) -> SnippetBatchPlan:
    """Snippets of one split; the same generator state gives the same snippets."""
    sprites, photos = assets.sprites_of(split), assets.photos_of(split)
    footages: list[Footage] = []
    labels: list[Labels] = []
    while len(footages) < count:
        aspect = float(rng.choice(ASPECTS, p=ASPECT_SHARES))
        stage = Stage(rng, assets, sprites, photos, split == "held-out", FRAMES, aspect)
        made = _snippet(stage, str(rng.choice(SORTS, p=SORT_SHARES)))
        if made is not None:
            footages.append(footage_of(stage, made[0]))
            labels.append(made[1])
    table = {name: torch.tensor([row.get(name, -1) for row in labels]) for name in CLASSES}
    return SnippetBatchPlan(tuple(footages), table, assets)


def render_snippets(plan: SnippetBatchPlan, device: torch.device | str) -> tuple[Tensor, dict[str, Tensor]]:
    """uint8 `[N, 16, 3, 112, 112]` at 8 frames a second, and the labels on the same device."""
    pixels = render_footage(plan.footages, bank_of(plan.assets, str(device)), SIDE)
    return pixels, {name: values.to(device) for name, values in plan.labels.items()}


def _shot(stage: Stage, first: int = 0, last: int = FRAMES) -> Shot:
    n = last - first
    start, end = first / FPS, last / FPS
    return Shot(first, last, start, end, (start, end), np.ones(n), stage.aspect, Camera.still(n))


def _snippet(stage: Stage, sort: str) -> tuple[list[Shot], Labels] | None:
    if sort == "edit":
        return _edited(stage)
    shot = _shot(stage)
    hold_by_hand(stage, shot)
    labels: Labels = {"act": 0, "direction": 8, "camera": 0, "edit": 0, "movers": 0, "speed": 0, "times": 0}
    if sort == "camera":
        return ([shot], labels | found) if (found := _filmed(stage, shot)) else None
    if sort == "pair":
        return ([shot], labels | found) if (found := _meeting(stage, shot)) else None
    shots.backdrop(stage, shot)
    count = 1 if sort != "several" else int(stage.rng.integers(2, 6))
    moving = {"still": 0, "act": 1, "several": int(stage.rng.integers(1, count + 1))}[sort]
    found = _acted(stage, shot, count, moving)
    return ([shot], labels | found) if found is not None else None


def _acted(stage: Stage, shot: Shot, count: int, moving: int) -> Labels | None:
    """Things that stand there, some of which do the same at the same time."""
    rng = stage.rng
    act = DEEDS[int(rng.integers(len(DEEDS)))] if rng.random() < 0.7 else ACTS[int(rng.integers(len(DIRECTIONS)))]
    low, high = act.seconds
    length = float(rng.uniform(low, high))
    span = FRAMES / FPS
    hidden = max(0.0, min(0.4 * length, length - 1.0))  # of a long act one may see only a part
    start = float(rng.uniform(-hidden, max(span - length + hidden, -hidden + 0.05)))
    again = int(rng.integers(1, 4)) if act.repeats and length < 0.9 and start >= 0 else 1
    extra = int(rng.integers(0, 3)) if count == 1 else 0  # others that stand still
    labels: Labels = {}
    moved = 0
    for number, (x, y) in enumerate(shots.places(stage, count + extra)):
        member = shots.cast(stage, again=0.6 if number else 0.0)
        if member is None:
            return None
        size = float(rng.uniform(0.14, 0.6 if count + extra == 1 else 0.32))
        actor = shots.placed(shot, member, x, y, size)
        if number < moving:
            done = 0
            for i in range(again):
                begin = start + i * (length + 0.15)
                if i and begin + length > span + 0.1:
                    break
                if not act.does(actor, actor.progress(begin, begin + length), rng):
                    break
                done += 1
            if not done and number == 0:
                return None
            moved += bool(done)
            if number == 0:
                end = start + (done - 1) * (length + 0.15) + length
                labels = _labels(actor, act.name, start, end, done, stage.aspect)
        shot.thing(member.picture, actor)
    return labels | {"movers": moved}


def _labels(actor: Actor, name: str, start: float, end: float, times: int, aspect: float) -> Labels:
    begins, ends = round(start * FPS), round(end * FPS)
    dx, dy = (actor.x[-1] - actor.x[0]) / aspect, actor.y[-1] - actor.y[0]
    out = {
        "act": CLASSES["act"].index(name),
        "times": min(times, 4),
        "begins": begins if 0 <= begins < FRAMES else -1,
        "ends": ends if 0 <= ends < FRAMES else -1,
        "direction": 8,
        "speed": 0,
    }
    far = float(np.hypot(dx, dy))
    path = float(np.hypot(np.diff(actor.x) / aspect, np.diff(actor.y)).sum())
    if far > 0.08 and far > 0.7 * path:
        out["direction"] = round(float(np.arctan2(dy, dx)) / (np.pi / 4)) % 8
    elif far > 0.08:
        out["direction"] = -1  # it goes and comes: no direction would be right
    pace = path / max(min(end, FRAMES / FPS) - max(start, 0.0), 0.2)
    out["speed"] = int(np.searchsorted([0.05, 0.45, 1.1], pace))
    return out


def _meeting(stage: Stage, shot: Shot) -> Labels | None:
    before = len(stage.drafts)
    chosen = int(stage.rng.integers(len(shots.MEETINGS)))
    if not shots.pair(stage, shot, shots.MEETINGS[chosen]):
        return None
    draft = stage.drafts[before]
    begins, ends = round(draft.span.start_seconds * FPS), round(draft.span.end_seconds * FPS)
    name = shots.MEETINGS[chosen].__name__.strip("_")
    return {
        "act": CLASSES["act"].index(name),
        "movers": -1,
        "speed": -1,
        "direction": -1,
        "times": 1,
        "begins": min(begins, FRAMES - 1),
        "ends": ends if ends < FRAMES else -1,
    }


def _filmed(stage: Stage, shot: Shot) -> Labels | None:
    """A place that the camera moves over."""
    shots.move_camera(stage, shot)
    told = [draft for draft in stage.drafts if draft.subject is CAMERA]
    shots.backdrop(stage, shot, textured=0.2)
    for x, y in shots.places(stage, int(stage.rng.integers(0, 3))):
        member = shots.cast(stage, again=0.0)
        if member is not None:
            shot.thing(member.picture, shots.placed(shot, member, x, y, float(stage.rng.uniform(0.2, 0.4))))
    if len(told) != 1:
        return None
    return {"camera": CLASSES["camera"].index(told[0].name), "direction": -1, "speed": -1}


def _edited(stage: Stage) -> tuple[list[Shot], Labels] | None:
    """Two shots, one after the other, or a light that changes."""
    rng = stage.rng
    middle = int(rng.integers(3, FRAMES - 3))
    sort = str(rng.choice(["cut", "dissolve", "light"], p=[0.45, 0.35, 0.2]))
    if sort == "light":
        shot = _shot(stage)
        hold_by_hand(stage, shot)
        shots.backdrop(stage, shot)
        shots.lights(stage, shot)
        made = [shot]
    else:
        half = int(rng.integers(1, 4)) if sort == "dissolve" else 0
        made = [_shot(stage, 0, middle + half), _shot(stage, middle - half, FRAMES)]
        if half:
            made[1].fade[: 2 * half] = (np.arange(2 * half) + 1) / (2 * half + 1)
        for shot in made:
            hold_by_hand(stage, shot)
            shots.backdrop(stage, shot)
    for shot in made:
        for x, y in shots.places(stage, int(rng.integers(0, 3))):
            member = shots.cast(stage, again=0.3)
            if member is not None:
                shot.thing(member.picture, shots.placed(shot, member, x, y, float(rng.uniform(0.2, 0.45))))
    labels = {"act": 0, "camera": 0, "edit": CLASSES["edit"].index(sort), "movers": 0, "speed": -1, "direction": -1}
    return made, labels | {"times": -1}
