"""Videos of people as body landmarks, without a picture: who does what when is known exactly.

A plan is one person doing named things (`motions.py`) before one camera; rendering gives what the pose models of
`lite/pose.py` would have found in it, with their faults. The gap between animated and detected landmarks is far
smaller than between drawn and photographed things, which is why these videos teach what people do.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tvu.temporal.types import Span
from tvu.video_llm.lite.body import NUM_LANDMARKS, body_features, body_size
from tvu.video_llm.lite.hands import hand_features
from tvu.video_llm.lite.inputs import BODY_CHANNELS, HAND_CHANNELS, STEPS_PER_SECOND
from tvu.video_llm.training.conjugation import wording
from tvu.video_llm.training.hand_shapes import GRIPS, found, shape_of
from tvu.video_llm.training.kinematics import (
    NUM_PARAMETERS,
    SLICES,
    Array,
    Build,
    Track,
    drawn_build,
    landmarks_of,
    values_at,
)
from tvu.video_llm.training.motion_list import (
    BY_NAME,
    HANDS_AND_FEET,
    MOTIONS,
    ON_HANDS_AND_FEET,
    STATES,
    Motion,
    phrases_of,
)
from tvu.video_llm.training.motions import Animator, Side
from tvu.video_llm.training.scenes import Event, Scene, Split, Wording


@dataclass(frozen=True)
class Camera:
    """A camera that looks along -z at a point above the middle of the floor.

    distance: metres to that point; height: of that point, metres; pitch, roll: degrees, looking down and turned
    clockwise; picture_heights_per_metre: at that point; aspect: width of the picture over its height;
    shift: of that point from the middle of the picture, fractions of its width and height; drift, zoom: amplitudes
    of a hand-held camera's wandering (picture heights) and the factor by which it has zoomed in at the end.
    """

    distance: float
    height: float
    pitch: float
    roll: float
    picture_heights_per_metre: float
    aspect: float
    shift: tuple[float, float]
    drift: float
    zoom: float

    @property
    def half_width(self) -> float:
        """Metres from the middle to the border of the picture."""
        return self.aspect / 2 / self.picture_heights_per_metre


@dataclass(frozen=True)
class Cut:
    """From `seconds` on another camera shows the same person, `yaw` degrees further round."""

    seconds: float
    camera: Camera
    yaw: float


@dataclass(frozen=True)
class SkeletonPlan:
    """One video: what is true of it and all that rendering needs. Rendering the same plan gives the same numbers.

    cut: where the camera changes, if it does; legs_hidden: whether furniture covers the legs; sloppiness: of the
    detector, 1 usual.
    """

    scene: Scene
    tracks: Mapping[str, Track]
    build: Build
    camera: Camera
    cut: Cut | None
    seed: int
    legs_hidden: bool
    sloppiness: float

    @property
    def num_steps(self) -> int:
        return max(1, round(self.scene.seconds * STEPS_PER_SECOND))


# Who

_PEOPLE: Final[Sequence[tuple[str, str, Mapping[Split, tuple[str, ...]]]]] = [
    (
        "man",
        "his",
        {"train": ("a man", "the man", "a guy", "a young man"), "held-out": ("a gentleman", "the guy", "this man")},
    ),
    (
        "woman",
        "her",
        {"train": ("a woman", "the woman", "a lady", "a young woman"), "held-out": ("the lady", "this woman")},
    ),
    ("boy", "his", {"train": ("a boy", "the boy"), "held-out": ("a little boy", "this boy")}),
    ("girl", "her", {"train": ("a girl", "the girl"), "held-out": ("a little girl", "this girl")}),
    (
        "person",
        "their",
        {"train": ("a person", "the person", "someone", "somebody"), "held-out": ("a human", "this person")},
    ),
    ("person", "their", {"train": ("a person", "a child", "a player"), "held-out": ("a kid", "an athlete")}),
]
_ANYBODY: Final = ("a person", "someone", "the person", "somebody")

# What

_THEMES: Final[Mapping[str, frozenset[str]]] = {
    theme: frozenset(name.strip() for name in names.split(","))
    for theme, names in {
        "hands": (
            "stir, cut, knead, shuffle, type, write, wipe, hammer, wash hands, pour, drink, eat, phone, text, read, nod"
        ),
        "gestures": (
            "wave, wave both, raise an arm, raise both arms, clap, point, nod, shake head, shrug, salute, "
            "spread arms, drink, phone, look to the side"
        ),
        "sport": (
            "jump, kick, punch, squat, jumping jacks, throw, catch, lunge, run across, shoot a basketball, "
            "swing a racket, swing a club, box, march, jog in place"
        ),
        "floor": (
            "go into downward dog, come down to a plank, step into a low lunge, lower to the floor, push up to a plank,"
            " raise a leg on hands, "
            "downward dog, plank, lie down, get up, press-up, sit-up, go into a plank, go on all fours, all "
            "fours, warrior, tree, bend over, cobra, bridge, child's pose, lie on the belly, triangle, sit "
            "on the floor, kneel down"
        ),
        "coming": (
            "enter, leave, run in, run out, walk across, turn around, walk away, come closer, pick up, put "
            "down, sit down, stand up"
        ),
        "chair": ("sit down, stand up, drink, read, phone, raise an arm, wave, clap"),
    }.items()
}
"""Motions that go together."""

_TRAVELS: Final = {"enter": 1.25, "leave": 1.25, "run in": 3.0, "run out": 3.0, "walk across": 1.1, "run across": 2.6}
"""Metres a second."""

_OF_THE_PICTURE: Final = frozenset({"arrive", "go", "walk", "run", "turning"})
"""What another camera would show otherwise."""

_NOT_STANDING: Final = frozenset(
    {"on hands", "bending", "squat", "crouch down", "kneel down", "warrior", "sit down", "fall", "lie down", "jump"}
)
_NOT_SITTING: Final = frozenset({"sit down", "squat", "crouch down", "floor", "pedal", "row"})


@dataclass
class _Draft:
    """A video while its things are being drawn."""

    rng: np.random.Generator
    split: Split
    animator: Animator
    seconds: float
    upper_body: bool
    theme: frozenset[str]
    sided: dict[str, bool]
    done: list[tuple[Motion, Side, float, float]]
    posture: str
    stays: list[tuple[str, float, float]]

    def candidates(self) -> tuple[list[Motion], NDArray[np.float64]]:
        used = {motion.name for motion, *_ in self.done}
        looks = {look for motion, *_ in self.done for look in motion.looks}
        found, weights = [], []
        for motion in MOTIONS:
            if self.posture not in motion.from_ or (self.upper_body and motion.needs_legs):
                continue
            if motion.name not in used and motion.looks & looks:
                continue
            weight = motion.weight * (5 if motion.name in self.theme else 1)
            if self.done and motion.name == self.done[-1][0].opposite:
                weight *= 4
            elif motion.name in used:
                weight *= 2
            found.append(motion)
            weights.append(weight)
        total = np.array(weights)
        return found, total / max(total.sum(), 1e-9)

    def is_sided(self, motion: Motion) -> bool:
        if motion.name not in self.sided:
            has = any("{side}" in phrase for phrase in motion.phrases)
            self.sided[motion.name] = has and self.rng.random() < 0.5
        return self.sided[motion.name]


class SkeletonWorld:
    """Draws and renders videos of one person. What is held out: wordings of every motion, and names for people."""

    def __init__(self, split: Split) -> None:
        self.split: Split = split
        self._phrases = {
            (motion.name, sided): phrases_of([p for p in motion.phrases if ("{side}" in p) == sided], split)
            for motion in MOTIONS
            for sided in (False, True)
        }
        self._states = {posture: phrases_of(phrases, split) for posture, phrases in STATES.items()}

    def draw(self, rng: np.random.Generator) -> SkeletonPlan:
        """One video of 4 to 60 s."""
        build = drawn_build(rng)
        seconds = _drawn_seconds(rng)
        upper_body = bool(rng.random() < 0.3)
        theme_names = ("hands", "gestures") if upper_body else tuple(_THEMES)
        theme = _THEMES[theme_names[int(rng.integers(len(theme_names)))]] if rng.random() < 0.75 else frozenset[str]()
        on_floor = theme is _THEMES["floor"]
        camera = _drawn_camera(rng, build, upper_body, on_floor)
        posture = _first_posture(rng, theme, upper_body, on_floor)
        yaw = _first_yaw(rng, on_floor)
        roomy = max(0.0, camera.half_width - 0.6)
        animator = Animator(
            rng,
            "stand" if posture == "outside" else posture,
            rng.uniform(-0.6, 0.6) * roomy,
            rng.uniform(-0.3, 0.3),
            yaw,
        )
        animator.away = camera.half_width + 0.6
        if posture == "outside":
            side: Side = "left" if rng.random() < 0.5 else "right"
            sign = -1 if side == "left" else 1
            animator.keys["root"].clear()
            animator.key(0.0, root=(sign * animator.away, rng.uniform(-0.3, 0.3), -sign * 90, 0))
        draft = _Draft(rng, self.split, animator, seconds, upper_body, theme, {}, [], posture, [])
        self._fill(draft)
        if not draft.done:
            return self.draw(rng)
        scene = self._scene(draft)
        hidden = bool(not upper_body and theme is _THEMES["hands"] and rng.random() < 0.6)
        sloppiness = float(np.exp(rng.normal(0, 0.45)))
        cut = None
        looks = {look for motion, *_ in draft.done for look in motion.looks}
        if not (upper_body or looks & _OF_THE_PICTURE) and rng.random() < 0.2:
            other = replace(_drawn_camera(rng, build, False, on_floor), aspect=camera.aspect)
            cut = Cut(float(rng.uniform(0.2, 0.8) * seconds), other, float(rng.normal(0, 45)))
        return SkeletonPlan(scene, animator.tracks(), build, camera, cut, int(rng.integers(2**62)), hidden, sloppiness)

    def _fill(self, draft: _Draft) -> None:
        """Add things done, one after the other, until the video is over."""
        rng, a = draft.rng, draft.animator
        now = float(min(rng.exponential(1.2) + (0.0 if rng.random() < 0.15 else 0.25), 0.4 * draft.seconds))
        stay_since = 0.0
        wanted = int(rng.integers(1, 7)) if rng.random() < 0.9 else 9
        busy = rng.random() < 0.3  # hardly a pause between two things
        for _ in range(wanted):
            motions, weights = draft.candidates()
            if not motions:
                break
            motion = motions[int(rng.choice(len(motions), p=weights))]
            side: Side = "left" if rng.random() < 0.5 else "right"
            times = int(rng.integers(2, 7)) if motion.repeats and rng.random() < 0.4 else 1
            length = self._length(draft, motion)
            changes = motion.to is not None
            for _ in range(times):
                end = now + length
                if end > draft.seconds - 0.2:
                    break
                motion.move(a, now, end, side)
                draft.done.append((motion, side, now, end))
                if changes:
                    draft.stays.append((draft.posture, stay_since, now + 0.3 * length))
                    draft.posture = "outside" if motion.to == "outside" else a.posture
                    stay_since = now + 0.7 * length
                now = end + (rng.uniform(0.05, 0.5) if times > 1 else 0.0)
                length *= rng.uniform(0.85, 1.18) if times > 1 else 1.0
            pause = rng.uniform(0.05, 0.5) if busy else rng.exponential(1.3) + 0.3
            if motion.to == "outside":
                pause += rng.uniform(0.5, 3.0)
            now += float(pause)
        draft.stays.append((draft.posture, stay_since, draft.seconds))

    def _length(self, draft: _Draft, motion: Motion) -> float:
        rng = draft.rng
        if motion.name in _TRAVELS:
            metres = draft.animator.away * rng.uniform(0.8, 1.3)
            return float(np.clip(metres / (_TRAVELS[motion.name] * rng.uniform(0.75, 1.3)), 0.7, 9.0))
        low, high = motion.seconds
        longest = max(low, min(high, 0.5 * draft.seconds))
        return float(low * (longest / low) ** rng.random())

    def _scene(self, draft: _Draft) -> Scene:
        rng = draft.rng
        _, poss, subjects = _PEOPLE[int(rng.integers(len(_PEOPLE)))]
        names = subjects[self.split]
        generic = _ANYBODY if self.split == "train" else ("an individual", "this person")

        def told(phrase: str, side: str = "") -> Wording:
            if rng.random() < 0.2:
                return wording(generic[int(rng.integers(len(generic)))], "their", phrase, side)
            return wording(names[int(rng.integers(len(names)))], poss, phrase, side)

        def ways(phrases: Sequence[str], side: str = "") -> tuple[Wording, ...]:
            order = rng.permutation(len(phrases))[:6]
            return tuple(told(phrases[i], side) for i in order)

        events: list[Event] = []
        used: dict[str, set[Side]] = {}
        for motion, side, start, end in draft.done:
            sided = draft.is_sided(motion)
            facts = {"posture": motion.to} if motion.to and motion.to in STATES else {}
            if sided:
                facts["direction" if motion.sides == "picture" else "side"] = side
            margin = 0.45 / (2 * draft.animator.away) * (end - start)  # of the way, nothing is in the picture yet
            first = start + margin if "arrive" in motion.looks else start
            last = end - margin if motion.to == "outside" else end
            key = f"{motion.name} {side}" if sided else motion.name
            words = ways(self._phrases[motion.name, sided], side if sided else "")
            events.append(Event(Span(first, last), words, key, motion.name, facts))
            used.setdefault(motion.name, set()).add(side)
        events += self._stays(draft, ways)
        events.sort(key=lambda event: event.span.start_seconds)
        return Scene(draft.seconds, tuple(events), tuple(self._absent(draft, used, told)))

    def _stays(self, draft: _Draft, ways: Callable[[Sequence[str]], tuple[Wording, ...]]) -> list[Event]:
        """Postures that last, and being in the picture at all."""
        events = []
        looks = {look for motion, *_ in draft.done for look in motion.looks}
        whole = len(draft.stays) == 1
        is_told = draft.rng.random() < 0.6 and not (whole and draft.rng.random() < 0.7)
        if is_told and not draft.upper_body:  # whose legs are out of the picture may sit or stand
            for posture, start, end in draft.stays:
                end = min(end, draft.seconds)
                if posture not in STATES or end - start < 0.8 or (posture == "stand" and looks & _NOT_STANDING):
                    continue
                if posture != "stand" and any("on hands" in m.looks for m, *_ in draft.done):
                    continue  # what is held shortly is told as a motion
                facts = {"posture": posture}
                words = ways(self._states[posture])
                events.append(Event(Span(start, end), words, f"is {posture}", "posture", facts))
        events += self._on_hands_and_feet(draft, ways)
        outside = [(start, min(end, draft.seconds)) for posture, start, end in draft.stays if posture == "outside"]
        if outside and draft.rng.random() < 0.6:
            for start, end in outside:
                if end - start >= 0.8:
                    empty = tuple(
                        Wording(who, "be", "is", "being", where)
                        for who in ("nobody", "no one")
                        for where in ("in the picture", "in sight", "to be seen")
                    )
                    events.append(Event(Span(start, end), empty, "nobody", "absence", {}))
            edges = [0.0, *(edge for stay in outside for edge in stay), draft.seconds]
            for start, end in zip(edges[::2], edges[1::2], strict=True):
                if end - start >= 0.8:
                    phrases = ["be in the picture", "be visible", "be in sight", "be on screen"]
                    events.append(Event(Span(start, end), ways(phrases), "visible", "shown", {}))
        return events

    def _on_hands_and_feet(self, draft: _Draft, ways: Callable[[Sequence[str]], tuple[Wording, ...]]) -> list[Event]:
        """Several postures in a row of which the same is said."""
        spans: list[tuple[float, float]] = []
        last_was = False
        for posture, start, end in draft.stays:
            is_one = posture in ON_HANDS_AND_FEET
            if is_one and last_was:
                spans[-1] = (spans[-1][0], min(end, draft.seconds))
            elif is_one:
                spans.append((start, min(end, draft.seconds)))
            last_was = is_one
        words = phrases_of(HANDS_AND_FEET, self.split)
        return [
            Event(Span(start, end), ways(words), "hands and feet", "posture", {"posture": "hands and feet"})
            for start, end in spans
            if end - start >= 0.6
        ]

    def _absent(self, draft: _Draft, used: Mapping[str, set[Side]], told: Callable[..., Wording]) -> list[Wording]:
        """What surely does not happen, the nearest first."""
        rng = draft.rng
        looks = {look for name in used for look in BY_NAME[name].looks}
        near: list[Wording] = []
        for name, sides in used.items():
            motion = BY_NAME[name]
            if draft.is_sided(motion) and len(sides) == 1:
                other = "right" if "left" in sides else "left"
                phrases = self._phrases[name, True]
                near.append(told(phrases[int(rng.integers(len(phrases)))], other))
            if motion.opposite and not BY_NAME[motion.opposite].looks & looks:
                near.append(self._any(BY_NAME[motion.opposite], rng, told))
        far: list[Wording] = []
        for i in rng.permutation(len(MOTIONS)):
            if len(far) == 6:
                break
            if not MOTIONS[i].looks & looks:
                far.append(self._any(MOTIONS[i], rng, told))
        postures = {posture for posture, *_ in draft.stays}
        if not draft.upper_body and not postures & {"sit", "floor", "kneel", "crouch"} and not looks & _NOT_SITTING:
            far.insert(int(rng.integers(len(far))), told("sit" if rng.random() < 0.5 else "be seated"))
        return list({one.statement: one for one in (*near, *far)}.values())

    def _any(self, motion: Motion, rng: np.random.Generator, told: Callable[..., Wording]) -> Wording:
        sided = bool(self._phrases[motion.name, True]) and rng.random() < 0.4
        phrases = self._phrases[motion.name, sided]
        return told(phrases[int(rng.integers(len(phrases)))], "left" if rng.random() < 0.5 else "right")

    def render(self, plans: Sequence[SkeletonPlan]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """What `lite` would see: features float32 `[B, T, 104]` (`body_features`) and where there are any, `[B, T]`."""
        return self.render_with_hands(plans)[:2]

    def render_with_hands(
        self, plans: Sequence[SkeletonPlan]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float32], NDArray[np.bool_]]:
        """What `render` gives, and the same of the hands, float32 `[B, T, 92]` (`hand_features`) and `[B, T]`: they are
        found where they are large enough."""
        steps = max(plan.num_steps for plan in plans)
        body = np.zeros((len(plans), steps, BODY_CHANNELS), np.float32)
        hands = np.zeros((len(plans), steps, HAND_CHANNELS), np.float32)
        has_body, has_hands = np.zeros((2, len(plans), steps), bool)
        parameters = parameters_of(plans)
        which = np.repeat(np.arange(len(plans)), [plan.num_steps for plan in plans])
        points = landmarks_of(parameters, [plan.build for plan in plans], which)
        visibility, presence = np.empty(points.shape[:2]), np.empty(len(points))
        aspects = np.array([plan.camera.aspect for plan in plans])[which]
        pictures = np.empty((*points.shape[:2], 2))
        first = 0
        for number, plan in enumerate(plans):
            rows = slice(first, first + plan.num_steps)
            first += plan.num_steps
            hands[number, : plan.num_steps] = hands_of(points[rows], plan)
            picture, near = project(points[rows], plan.camera, plan.seed)
            if plan.cut:
                late = np.arange(plan.num_steps) >= plan.cut.seconds * STEPS_PER_SECOND
                other = project(_turned(points[rows], plan.cut.yaw), plan.cut.camera, plan.seed + 3)
                picture, near = (
                    np.where(late[:, None, None], other[0], picture),
                    np.where(late[:, None], other[1], near),
                )
            pictures[rows], visibility[rows], presence[rows] = detected(picture, near, plan)
        is_step = np.arange(steps) < np.array([[plan.num_steps] for plan in plans])
        body[is_step] = body_features(pictures, visibility, presence, aspects)
        has_body[is_step] = presence > 0
        has_hands[:] = (hands.reshape(len(plans), steps, 2, -1)[..., -1] > 0).any(-1)
        return body, has_body, hands, has_hands


def _drawn_seconds(rng: np.random.Generator) -> float:
    kind = rng.random()
    if kind < 0.1:
        return float(rng.uniform(4, 8))
    if kind < 0.9:
        return float(rng.uniform(8, 24))
    return float(rng.uniform(24, 60))


def _first_posture(rng: np.random.Generator, theme: frozenset[str], upper_body: bool, on_floor: bool) -> str:
    kind = rng.random()
    if theme is _THEMES["coming"] and kind < 0.6:
        return "outside"
    if upper_body or theme is _THEMES["chair"] or theme is _THEMES["hands"]:
        return "sit" if kind < 0.5 else "stand"
    if on_floor and kind < 0.35:
        return ("lie", "plank", "all fours", "prone", "floor", "kneel", "downward dog", "low lunge")[
            int(rng.integers(8))
        ]
    return "sit" if kind < 0.1 else "outside" if kind < 0.2 else "stand"


def _first_yaw(rng: np.random.Generator, on_floor: bool) -> float:
    if on_floor or rng.random() < 0.12:
        return float((90 if rng.random() < 0.5 else -90) + rng.normal(0, 25))
    if rng.random() < 0.12:
        return float(rng.uniform(-180, 180))
    return float(rng.normal(0, 32))


def _drawn_camera(rng: np.random.Generator, build: Build, upper_body: bool, on_floor: bool) -> Camera:
    """A camera that shows the whole person, or the upper body."""
    stature = build.stature
    if upper_body:
        share, height = rng.uniform(1.1, 2.0), rng.uniform(0.66, 0.8) * stature
    elif rng.random() < 0.2:
        share, height = rng.uniform(0.18, 0.4), rng.uniform(0.3, 0.6) * stature
    else:
        share, height = rng.uniform(0.4, 0.9), rng.uniform(0.4, 0.55) * stature
    if on_floor:
        share, height = share * 0.85, height * 0.8
    aspect = (4 / 3, 16 / 9, 1.0, 9 / 16)[int(rng.choice(4, p=[0.35, 0.45, 0.08, 0.12]))]
    return Camera(
        distance=float(rng.uniform(2.8, 9.0)),
        height=float(height),
        pitch=float(rng.normal(6, 9)),
        roll=float(rng.normal(0, 2.5)),
        picture_heights_per_metre=float(share / stature),
        aspect=aspect,
        shift=(float(rng.normal(0, 0.05)), float(rng.normal(0, 0.03))),
        drift=float(rng.exponential(0.01)),
        zoom=float(np.exp(rng.normal(0, 0.12))) if rng.random() < 0.3 else 1.0,
    )


def parameters_of(plans: Sequence[SkeletonPlan]) -> Array:
    """The bodies' 26 numbers at each step, one plan after the other, with the sway that nobody is free of."""
    seconds, sway = [], []
    usual = np.full(NUM_PARAMETERS, 0.02)
    usual[SLICES["trunk"]], usual[SLICES["head"]] = 1.5, 3.5
    usual[SLICES["root"]] = (0.012, 0.012, 2.0, 0.0)
    usual[SLICES["left_leg"]] = usual[SLICES["right_leg"]] = 0.004
    for plan in plans:
        rng = np.random.default_rng(plan.seed)
        seconds.append((np.arange(plan.num_steps) + rng.uniform(-0.1, 0.1)) / STEPS_PER_SECOND)
        rate, phase = rng.uniform(0.1, 0.7, NUM_PARAMETERS), rng.uniform(0, 2 * np.pi, NUM_PARAMETERS)
        sway.append(np.sin(2 * np.pi * seconds[-1][:, None] * rate + phase) * (usual * rng.uniform(0.2, 1.6)))
    numbers = np.concatenate(sway)
    for part, columns in SLICES.items():
        numbers[:, columns] += values_at([plan.tracks[part] for plan in plans], seconds)
    return numbers


def _turned(points: Array, degrees: float) -> Array:
    """Points in space turned about the upright axis in the middle of the floor."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    x, z = points[..., 0], points[..., 2]
    return np.stack([x * cos + z * sin, points[..., 1], z * cos - x * sin], -1)


def project(points: Array, camera: Camera, seed: int) -> tuple[Array, Array]:
    """Of points `[T, N, 3]` fractions of the picture `[T, N, 2]` and nearness to the camera, metres `[T, N]`."""
    rng = np.random.default_rng(seed + 1)
    steps = len(points)
    pitch, roll = np.radians(camera.pitch), np.radians(camera.roll)
    x, y, z = points[..., 0], points[..., 1] - camera.height, points[..., 2]
    up = y * np.cos(pitch) - z * np.sin(pitch)
    near = y * np.sin(pitch) + z * np.cos(pitch)
    zoom = np.linspace(1.0, camera.zoom, steps)[:, None]
    scale = camera.picture_heights_per_metre * camera.distance / np.maximum(camera.distance - near, 0.7) * zoom
    right, down = x * scale, -up * scale
    right, down = right * np.cos(roll) - down * np.sin(roll), right * np.sin(roll) + down * np.cos(roll)
    seconds = np.arange(steps) / STEPS_PER_SECOND
    rate, phase = rng.uniform(0.05, 0.6, 2), rng.uniform(0, 2 * np.pi, 2)
    wander = camera.drift * np.sin(2 * np.pi * seconds[:, None] * rate + phase)
    picture = np.empty((*x.shape, 2))
    picture[..., 0] = 0.5 + camera.shift[0] + (right + wander[:, :1]) / camera.aspect
    picture[..., 1] = 0.5 + camera.shift[1] + down + wander[:, 1:]
    return picture, near


_GRIPS_OF: Final[Mapping[str, str]] = {
    name: grip
    for grip, names in {
        "open": "wave; wave both; cover face; jumping jacks; circle arms; spread arms; stretch; catch; hug",
        "flat": "clap; salute; wipe; wash hands; plank; press-up; all fours; downward dog; cobra; shake hands",
        "fist": "punch; box; knead; curl; press overhead",
        "point": "point",
        "claw": "type; play the piano; shoot a basketball; dribble; scratch",
        "pen": "write; brush teeth",
        "pinch": "eat; tie shoes; pick up; put down; play the guitar",
        "hold": "drink; phone; text; photograph; shuffle; pour; read; throw; comb",
        "handle": "stir; cut; hammer; play the drums; play the violin; swing a club; swing a racket; sweep; dig; row",
    }.items()
    for name in names.split("; ")
}
"""How hands are held in what bodies do; relaxed otherwise."""

_HAND_POINTS: Final = np.array([(15, 17, 19), (16, 18, 20)])  # wrist, little finger and index of a body


def hands_of(points: Array, plan: SkeletonPlan) -> NDArray[np.float32]:
    """float32 `[T, 92]`, what would be found of the hands of a body `[T, 33, 3]`, where they are near enough."""
    rng = np.random.default_rng(plan.seed + 5)
    steps = len(points)
    usual = GRIPS["relaxed"]
    grips = np.tile(np.clip(np.array(usual) + rng.normal(0, 0.12, 7), 0, 1), (steps, 1))
    for event in plan.scene.events:
        grip = _GRIPS_OF.get(event.kind)
        if grip is not None:
            first, last = (round(at * STEPS_PER_SECOND) for at in (event.span.start_seconds, event.span.end_seconds))
            grips[first : last + 1] = GRIPS[grip]
    grips = np.clip(grips + rng.normal(0, 0.06, grips.shape), 0, 1)
    shape = shape_of(grips)
    pictures, there = [], np.empty((steps, 2))
    for hand, (wrist, little, index) in enumerate(_HAND_POINTS.tolist()):
        along = (points[:, little] + points[:, index]) / 2 - points[:, wrist]
        palm = np.sqrt((along * along).sum(-1, keepdims=True))
        along = along / np.maximum(palm, 1e-6)
        across = points[:, index] - points[:, little]
        across = across - along * (across * along).sum(-1, keepdims=True)
        across = across / np.maximum(np.sqrt((across * across).sum(-1, keepdims=True)), 1e-6)
        out = np.cross(across, along) * (1 if hand else -1)
        axes = np.stack([across, along, out], 1) * palm[..., None]
        picture, _ = project(points[:, wrist, None] + shape @ axes, plan.camera, plan.seed)
        inside = np.asarray(((picture > 0.0) & (picture < 1.0)).all(-1)).mean(-1)
        there[:, hand] = inside
        pictures.append(picture * (plan.camera.aspect, 1.0))
    if plan.cut is not None:  # where another camera begins: what it sees of hands is left out
        there[round(plan.cut.seconds * STEPS_PER_SECOND) :] = 0.0
    both, presence = found(pictures, there, rng, plan.sloppiness, float(rng.uniform(0.3, 1.0)))
    return hand_features(both / (plan.camera.aspect, 1.0), presence, plan.camera.aspect)


_LEGS_ROWS: Final = slice(25, 33)
_CORE: Final = np.array([0, 7, 8, 11, 12, 13, 14, 23, 24])  # what a person is recognised by
_PER_PART: Final = (11, 2, 2, 2, 6, 2, 2, 2, 4)  # face, shoulders, elbows, wrists, hands, hips, knees, ankles, feet
_SURENESS: Final = np.repeat((7.5, 7.5, 3.8, 3.6, 3.3, 7.5, 4.6, 4.6, 4.4), _PER_PART)  # usual logit of visibility
_HIDES: Final = np.repeat((0.3, 0.5, 5.0, 5.0, 5.0, 0.5, 2.0, 2.0, 2.0), _PER_PART)  # taken off it behind the trunk
_TREMBLE: Final = np.repeat((0.9, 0.8, 1.2, 1.5, 1.6, 0.5, 1.2, 1.4, 1.5), _PER_PART)[:, None]
"""As the models have them on real video."""


def detected(picture: Array, near: Array, plan: SkeletonPlan) -> tuple[Array, Array, Array]:
    """Landmarks as the pose models would have found them: points `[T, 33, 2]`, visibility `[T, 33]`, presence `[T]`.

    They jitter, the more the less of the landmark is seen; guess what is hidden or outside the picture; take left for
    right at times; miss people, and look at somebody else.
    """
    rng = np.random.default_rng(plan.seed + 2)
    steps = len(picture)
    inside = np.asarray(((picture > 0.0) & (picture < 1.0)).all(-1))
    middle = near[:, [11, 12, 23, 24]].mean(1, keepdims=True)
    behind = np.clip((middle - near - 0.18) / 0.3, 0, 1)  # hidden by the trunk, when seen from the side or behind
    logit = _SURENESS + rng.normal(0, 0.8) + rng.normal(0, 0.5, NUM_LANDMARKS) - _HIDES * behind
    logit = logit + rng.normal(0, 0.6, (steps, NUM_LANDMARKS)) - np.where(inside, 0.0, rng.uniform(6.0, 10.0))
    if plan.legs_hidden:
        logit[:, _LEGS_ROWS] -= rng.uniform(3.0, 6.5)
    visibility = 1 / (1 + np.exp(-logit))

    metric = np.array([plan.camera.aspect, 1.0])
    size = body_size(picture * metric)[:, None, None]
    unsure = 1 + 2.5 * (1 - visibility[..., None])
    noise = rng.standard_normal((2 * steps + 3, NUM_LANDMARKS, 2), np.float32)
    white, wandering, offset = noise[:steps], noise[steps:-1], noise[-1]
    slow = (wandering[:-2] + wandering[1:-1] + wandering[2:]) / 3  # over about a second
    error: Array = (plan.sloppiness * (0.013 * white + 0.035 * slow) + 0.02 * offset) * _TREMBLE * unsure
    bad = np.flatnonzero(rng.random(steps) < 0.015 * plan.sloppiness)
    error[bad] += rng.normal(0, 0.12, (len(bad), NUM_LANDMARKS, 2))
    points = picture + error * size / metric

    if rng.random() < 0.15:  # left taken for right
        for at in rng.integers(0, steps, int(rng.integers(1, 5))):
            points[at], visibility[at] = points[at][MIRRORED], visibility[at][MIRRORED]
    seen = inside[:, _CORE].mean(1)
    presence = 1 / (1 + np.exp(-(rng.normal(5.0, 1.0) + rng.normal(0, 0.5, steps) - 16 * np.clip(0.42 - seen, 0, 1))))
    missed = np.asarray(rng.random(steps) < 0.012 * plan.sloppiness)
    if rng.random() < 0.15:
        first = int(rng.integers(steps))
        missed[first : first + int(rng.integers(2, 7))] = True
    presence = np.where(missed | (seen < 0.3), 0.0, presence)
    if rng.random() < 0.1:  # somebody else, as far as this person can stand for one
        first, length = int(rng.integers(steps)), int(rng.integers(1, 7))
        other = picture[int(rng.integers(steps))]
        moved = (other - other.mean(0)) * rng.uniform(0.5, 1.1) + rng.uniform(0.15, 0.85, 2)
        rows = slice(first, first + length)
        points[rows] = moved + rng.normal(0, 0.004, points[rows].shape)
        presence[rows] = rng.uniform(0.6, 1.0)
    return points, visibility, presence


MIRRORED: Final = np.array(
    [0, 4, 5, 6, 1, 2, 3, 8, 7, 10, 9, *(i + 1 if i % 2 else i - 1 for i in range(11, NUM_LANDMARKS))]
)
"""Landmarks with left and right exchanged."""
