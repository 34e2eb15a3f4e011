"""Videos composed of pictures: things that come, go, move, change and meet, before photographs, in shots.

`ComposedWorld.draw` decides everything about a video with numpy; `render` makes pixels of many at once on a device.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from tvu.video_llm.training import props, shots
from tvu.video_llm.training.absence import absent_from
from tvu.video_llm.training.acts import Form
from tvu.video_llm.training.assets import Assets
from tvu.video_llm.training.puppets import plan_puppet, puppet
from tvu.video_llm.training.rendering import SIDE, Footage, PictureBank, render_footage
from tvu.video_llm.training.scenes import Scene, Split
from tvu.video_llm.training.skeletons import SkeletonPlan, SkeletonWorld
from tvu.video_llm.training.stage import FPS, PICTURE, Camera, Shot, Stage, events_of

ASPECTS, ASPECT_SHARES = (16 / 9, 4 / 3, 1.0, 9 / 16), (0.45, 0.35, 0.12, 0.08)
LEAST_SHOT_SECONDS = 1.25

ShotMaker = Callable[[Stage, Shot], bool]

SHOTS: tuple[tuple[ShotMaker, float], ...] = (
    (shots.acting, 5.0),
    (shots.photograph, 2.2),
    (shots.pair, 1.6),
    (shots.crowd, 1.0),
    (shots.some_move, 0.8),
    (shots.wandering_camera, 1.0),
    (props.hands_on, 0.9),
    (props.to_a_wall, 0.5),
    (props.in_pieces, 0.4),
    (props.lamp, 0.4),
    (props.glass, 0.4),
    (props.shuffled_cups, 0.3),
)
"""What a shot may show and how often it does; a maker that finds no room gives False, and another one is tried."""

LONG_SHOTS: tuple[tuple[ShotMaker, float], ...] = (
    (shots.acting, 5.0),
    (shots.pair, 1.6),
    (shots.crowd, 1.2),
    (shots.some_move, 1.2),
    (shots.wandering_camera, 1.0),
    (props.hands_on, 1.2),
    (props.to_a_wall, 0.5),
    (props.in_pieces, 0.3),
    (props.lamp, 0.5),
    (props.glass, 0.5),
    (props.shuffled_cups, 0.8),
)
"""The same where one shot is the whole video."""


PUPPET_SHARE = 0.14  # of the videos are about a drawn person


@dataclass(frozen=True, eq=False)
class Plan:
    """A composed video: what is true of it, and what its pixels are made of.

    skeleton: of the one drawn person that it is about, if it is: `skeletons.render` has its landmarks.
    """

    scene: Scene
    footage: Footage
    assets: Assets = field(repr=False)
    skeleton: SkeletonPlan | None = None


@dataclass(frozen=True, eq=False)
class ComposedWorld:
    """Draws composed videos of one split: the other's pictures, and its pairs of shape and colour, never occur."""

    assets: Assets
    split: Split

    def draw(self, rng: Generator) -> Plan:
        """One video; the same generator state gives the same video."""
        if rng.random() < PUPPET_SHARE:
            return self._draw_person(rng)
        stage = self._stage(rng, _frames(rng), float(rng.choice(ASPECTS, p=ASPECT_SHARES)))
        made = [_made(stage, shot) for shot in _cut(stage)]
        _light(stage, made)
        events = events_of(stage)
        told = {wording.statement for event in events for wording in event.wordings}
        absent = tuple(wording for wording in absent_from(stage) if wording.statement not in told)
        scene = Scene(stage.seconds, events, absent)
        return Plan(scene, footage_of(stage, made), self.assets)

    def _draw_person(self, rng: Generator) -> Plan:
        """A drawn person who does what the landmarks of `skeletons` do, in one shot."""
        person = plan_puppet(_people(self.split), rng)
        stage = self._stage(rng, int(np.ceil(person.scene.seconds * FPS)), person.camera.aspect)
        shot = Shot(
            0,
            stage.frames,
            0.0,
            stage.seconds,
            (0.0, stage.seconds),
            np.ones(stage.frames),
            stage.aspect,
            Camera.still(stage.frames),
        )
        puppet(stage, shot, person)
        _expose(stage, [shot])
        return Plan(person.scene, footage_of(stage, [shot]), self.assets, person)

    def _stage(self, rng: Generator, frames: int, aspect: float) -> Stage:
        sprites, photos = self.assets.sprites_of(self.split), self.assets.photos_of(self.split)
        return Stage(rng, self.assets, sprites, photos, self.split == "held-out", frames, aspect)


@lru_cache(maxsize=2)
def _people(split: Split) -> SkeletonWorld:
    return SkeletonWorld(split)


def render(plans: Sequence[Plan], device: torch.device | str, side: int = SIDE) -> Tensor:
    """uint8 `[B, F, 3, side, side]` at 8 frames a second, F the longest; what a shorter one lacks is black."""
    return render_footage([plan.footage for plan in plans], bank_of(plans[0].assets, str(device)), side)


@lru_cache(maxsize=2)
def bank_of(assets: Assets, device: str) -> PictureBank:
    return PictureBank(assets, device)


def _frames(rng: Generator) -> int:
    share = rng.random()
    if share < 0.15:
        seconds = rng.uniform(4, 8)
    elif share < 0.87:
        seconds = rng.uniform(8, 24)
    else:
        seconds = rng.uniform(24, 60)
    return round(seconds * FPS)


def _cut(stage: Stage) -> list[Shot]:
    """The frames of the video dealt out to shots, and how one becomes the next."""
    rng = stage.rng
    most = int(min(8, stage.seconds / (2 * LEAST_SHOT_SECONDS)))
    count = 1 if most < 2 or rng.random() < 0.38 else int(rng.integers(2, most + 1))
    least = LEAST_SHOT_SECONDS
    spare = rng.dirichlet(np.full(count, 1.6)) * (stage.seconds - count * least)
    ends = np.round(np.cumsum(spare + least) * FPS).astype(int)
    ends[-1] = stage.frames
    starts = [0, *ends[:-1].tolist()]
    style = rng.random()
    dissolves = rng.random(count) < (0.0 if style < 0.6 else 0.7)
    out: list[Shot] = []
    for number, (first, last) in enumerate(zip(starts, ends.tolist(), strict=True)):
        before = int(rng.integers(1, 4)) if number and dissolves[number] else 0
        after = int(rng.integers(1, 4)) if number < count - 1 and dissolves[number + 1] else 0
        if out and before:  # the one before stays as long as this one comes
            before = out[-1].last - first
        a, b = max(first - before, 0), min(last + after, stage.frames)
        n = b - a
        fade = np.ones(n)
        if before:
            fade[: 2 * before] = (np.arange(2 * before) + 1) / (2 * before + 1)
        start, end = first / FPS, last / FPS
        out.append(
            Shot(a, b, start, end, (start + before / FPS, end - after / FPS), fade, stage.aspect, Camera.still(n))
        )
        if number:
            _tell_cut(stage, start, before)
    return out


def _tell_cut(stage: Stage, when: float, before: int) -> None:
    """A cut is an event of its own now and then: it is what other questions are about all the time."""
    if stage.rng.random() > 0.25:
        return
    if before:
        ways = (Form("change", "slowly to another one"), Form("dissolve", "into the next one"))
        stage.tell(
            when - before / FPS, when + before / FPS, PICTURE, ways=ways, name="dissolve", tags=frozenset({"cut"})
        )
    else:
        ways = (Form("change", "at once to another one"), Form("cut", "to another shot"))
        stage.tell(when - 0.15, when + 0.15, PICTURE, ways=ways, name="cut", tags=frozenset({"cut"}))


def _made(stage: Stage, shot: Shot) -> Shot:
    rng = stage.rng
    hold_by_hand(stage, shot)
    makers = LONG_SHOTS if shot.first == 0 and shot.last == stage.frames else SHOTS
    weights = np.array([weight for _, weight in makers])
    for _ in range(6):
        maker = makers[int(rng.choice(len(makers), p=weights / weights.sum()))][0]
        if maker(stage, shot):
            return shot
    shots.photograph(stage, shot)
    return shot


def hold_by_hand(stage: Stage, shot: Shot) -> None:
    """Most cameras are not quite still."""
    rng = stage.rng
    if rng.random() < 0.35:
        return
    n = shot.last - shot.first
    strength = rng.choice([0.006, 0.015, 0.035])
    for values, scale in ((shot.camera.x, 1.0), (shot.camera.y, 1.0), (shot.camera.roll, 0.5)):
        steps = rng.standard_normal(n + 8)
        smooth = np.convolve(steps, np.hanning(9) / np.hanning(9).sum(), mode="valid")[:n]
        values += strength * scale * smooth * 3
    shot.camera.zoom *= 1 + rng.normal(0, 0.02) * np.linspace(0, 1, n)


def _expose(stage: Stage, made: Sequence[Shot]) -> None:
    """Exposure and its slow drift."""
    rng = stage.rng
    time = np.arange(stage.frames) / stage.frames
    drift = 0.05 * np.sin(2 * np.pi * (time * rng.uniform(0.3, 2) + rng.random()))
    stage.gain *= ((1 + drift) * rng.normal(1.0, 0.1)).astype(np.float32)
    stage.offset += np.float32(rng.normal(0, 0.02))
    for shot in made:
        stage.gain[shot.first : shot.last] *= np.float32(rng.normal(1.0, 0.06))


def _light(stage: Stage, made: Sequence[Shot]) -> None:
    """Exposure, and now and then lights that go out, or a fade at the end."""
    rng = stage.rng
    _expose(stage, made)
    if rng.random() < 0.12:
        shots.lights(stage, made[int(rng.integers(len(made)))])
    if rng.random() < 0.06 and "dark" not in stage.used_tags(PICTURE):
        seconds = float(rng.uniform(0.4, 1.2))
        left = stage.seconds - np.arange(stage.frames) / FPS
        stage.gain *= np.clip(left / seconds, 0, 1).astype(np.float32)
        ways = (Form("fade", "to black"), Form("turn", "black"))
        tags = frozenset({"dark"})
        stage.tell(stage.seconds - seconds, stage.seconds, PICTURE, ways=ways, name="fade to black", tags=tags)


def footage_of(stage: Stage, made: Sequence[Shot]) -> Footage:
    rng = stage.rng
    layers = [layer for shot in made for layer in shot.layers]
    blur = stage.blur + np.float32(rng.choice([0.0, 0.15, 0.4, 0.7], p=[0.5, 0.25, 0.15, 0.1]))
    noise = float(rng.choice([0.0, 0.01, 0.025, 0.05], p=[0.35, 0.35, 0.2, 0.1]))
    blocks = float(rng.uniform(0.1, 1.0)) if rng.random() < 0.45 else 0.0
    return Footage(
        stage.frames,
        tuple(layers),
        stage.gain,
        stage.offset,
        np.clip(blur, 0, 1).astype(np.float32),
        noise,
        blocks,
        int(rng.integers(1 << 30)),
    )
