"""Things that people do, as keyframes of a body."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Final, Literal

import numpy as np

from tvu.video_llm.training.kinematics import PARTS, Array, Track

Side = Literal["left", "right"]
Vector = Sequence[float] | Array
Pose = Mapping[str, Vector]

ARMS: Final = ("left_arm", "right_arm")
LEGS: Final = ("left_leg", "right_leg")
BODY: Final = ("trunk", "head", *ARMS, *LEGS)


def both(arm: Vector) -> Pose:
    return {"left_arm": arm, "right_arm": arm}


def legs(leg: Vector) -> Pose:
    return {"left_leg": leg, "right_leg": leg}


_LOOK_AHEAD = (0.0, 0.0, 0.0)
_HANGING = (0.12, -0.97, 0.08, 0.0)

POSTURES: Final[Mapping[str, Pose]] = {
    "stand": {"trunk": (0, 0, 4, 0, 0), "head": _LOOK_AHEAD, **both(_HANGING), **legs((0.05, -0.995, 0.0))},
    "sit": {"trunk": (-4, 0, 8, 0, 0), "head": _LOOK_AHEAD, **both((0.0, -0.62, 0.45, 10)), **legs((0.1, -0.5, 0.52))},
    "floor": {
        "trunk": (-12, 0, 22, 0, 0),
        "head": _LOOK_AHEAD,
        **both((0.1, -0.72, 0.3, 20)),
        **legs((0.14, -0.08, 0.62)),
    },
    "kneel": {"trunk": (0, 0, 4, 0, 0), "head": _LOOK_AHEAD, **both(_HANGING), **legs((0.08, -0.52, -0.47))},
    "crouch": {
        "trunk": (28, 0, 14, 0, 0),
        "head": (-25, 0, 0),
        **both((0.1, -0.5, 0.6, 20)),
        **legs((0.16, -0.36, 0.06)),
    },
    "lie": {
        "trunk": (-89, 0, 0, 0, 0),
        "head": _LOOK_AHEAD,
        **both((0.22, -0.93, 0.0, 30)),
        **legs((0.1, -0.02, 0.985)),
    },
    "prone": {
        "trunk": (87, 0, -4, 0, 0),
        "head": (-20, 0, 0),
        **both((0.3, 0.25, 0.2, 80)),
        **legs((0.08, -0.05, -0.985)),
    },
    "all fours": {
        "trunk": (70, 0, 4, 0, 0),
        "head": (-30, 0, 0),
        **both((0.04, 0.05, 0.97, 0)),
        **legs((0.06, -0.52, -0.5)),
    },
    "plank": {
        "trunk": (68, 0, 0, 0, 0),
        "head": (-25, 0, 0),
        **both((0.04, 0.1, 0.97, 0)),
        **legs((0.06, -0.36, -0.925)),
    },
    "low lunge": {
        "trunk": (62, 0, 10, 0, 0),
        "head": (-20, 0, 0),
        **both((0.0, 0.0, 0.96, 0)),
        "left_leg": (0.05, -0.42, 0.36),
        "right_leg": (0.05, -0.38, -0.9),
    },
    "downward dog": {
        "trunk": (132, 0, 0, 0, 0),
        "head": (10, 0, 0),
        **both((0.06, 0.975, 0.1, 40)),
        **legs((0.09, -0.86, -0.46)),
    },
}
"""How a body is held between two things that it does."""

_WAYS_OF_HOLDING_ARMS: Final[Sequence[tuple[Vector, Vector]]] = [
    *[(_HANGING, _HANGING)] * 5,
    ((0.3, -0.55, -0.05, 75), (0.3, -0.55, -0.05, 75)),  # on the hips
    ((-0.2, -0.6, 0.4, 10), (-0.2, -0.6, 0.4, 10)),  # before the belly
    ((-0.1, -0.78, -0.28, 10), (-0.1, -0.78, -0.28, 10)),  # behind the back
    (_HANGING, (-0.05, -0.5, 0.45, 10)),  # something in one hand
]


class Animator:
    """Keyframes under construction. Times are seconds; what is set last is what holds until something else is set."""

    def __init__(self, rng: np.random.Generator, posture: str, x: float, z: float, yaw: float) -> None:
        self.rng = rng
        self.arms = _WAYS_OF_HOLDING_ARMS[int(rng.integers(len(_WAYS_OF_HOLDING_ARMS)))]
        if rng.random() < 0.5:
            self.arms = self.arms[::-1]
        self.mirrored = bool(rng.random() < 0.5)  # which foot goes in front
        self.stance = rng.uniform(-0.02, 0.12)
        self.away = 0.0  # metres from the middle to beyond the picture's border, set by the camera
        self.posture = posture
        self.keys: dict[str, list[tuple[float, Array]]] = {part: [] for part in PARTS}
        self.key(0.0, root=(x, z, yaw, 0.0), **self.resting())

    def resting(self) -> Pose:
        """The posture as this person holds it."""
        pose = dict(POSTURES[self.posture])
        if self.posture in ("stand", "kneel"):
            pose["left_arm"], pose["right_arm"] = self.arms
        if self.mirrored:
            pose["left_leg"], pose["right_leg"] = pose["right_leg"], pose["left_leg"]
        if self.posture == "stand":
            for leg in LEGS:
                pose[leg] = (self.stance, -0.995, 0.0)
        return pose

    def key(self, at: float, **pose: Vector) -> None:
        """Reach `pose` at `at`."""
        for part, values in pose.items():
            track = self.keys[part]
            value = np.asarray(values, float)
            if track and at <= track[-1][0] + 1e-6:
                track[-1] = (track[-1][0], value)
            else:
                track.append((at, value))

    def last(self, part: str) -> Array:
        return self.keys[part][-1][1]

    def pin(self, at: float, *parts: str) -> None:
        """Let `parts` stay as they were until `at`."""
        for part in parts:
            self.key(at, **{part: self.last(part)})

    def rest(self, at: float, *parts: str) -> None:
        """Be back in the posture at `at`."""
        pose = self.resting()
        self.key(at, **{part: pose[part] for part in parts or BODY})

    def wobble(self, vector: Vector, amount: float = 0.07) -> Array:
        """A vector of arm or leg lengths somewhat changed, as no two people do a thing alike."""
        changed = np.asarray(vector, float).copy()
        changed[:3] += self.rng.normal(0, amount, 3)
        return changed

    def tilted(self, vector: Vector, degrees: float = 5) -> Array:
        """Angles somewhat changed."""
        return np.asarray(vector, float) + self.rng.normal(0, degrees, len(vector))

    def drawn(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def tracks(self) -> Mapping[str, Track]:
        return {
            part: Track(np.array([at for at, _ in keys]), np.array([value for _, value in keys]))
            for part, keys in self.keys.items()
        }


Move = Callable[[Animator, float, float, Side], None]
"""Adds the keyframes of one thing done from `start` to `end` seconds with, or to, one side."""


def _arm(side: Side) -> str:
    return f"{side}_arm"


def _leg(side: Side) -> str:
    return f"{side}_leg"


def _other(side: Side) -> Side:
    return "right" if side == "left" else "left"


def _hold(a: Animator, start: float, end: float, pose: Pose, lead: float = 0.0) -> None:
    """Go into `pose`, stay, come back."""
    lead = min(lead or a.drawn(0.3, 0.7), 0.4 * (end - start))
    a.pin(start, *pose)
    a.key(start + lead, **pose)
    a.key(end - lead, **pose)
    a.rest(end, *pose)


def _swing(a: Animator, start: float, end: float, poses: Sequence[Pose], period: float, lead: float = 0.0) -> None:
    """Go through `poses` again and again, one round in `period` seconds, and come back."""
    parts = tuple(poses[0])
    lead = min(lead or a.drawn(0.25, 0.5), 0.3 * (end - start))
    a.pin(start, *parts)
    beats = max(2, round((end - start - 2 * lead) / period * len(poses)))
    for beat, at in enumerate(np.linspace(start + lead, end - lead, beats)):
        a.key(float(at), **poses[beat % len(poses)])
    a.rest(end, *parts)


def into(posture: str, by_way_of: Pose | None = None) -> Move:
    """From one posture to another."""

    def move(a: Animator, start: float, end: float, side: Side) -> None:
        a.pin(start, *BODY)
        if by_way_of:
            a.key(start + a.drawn(0.4, 0.55) * (end - start), **by_way_of)
        a.posture = posture
        a.rest(end)

    return move


def held(posture: str) -> Move:
    """Into a posture, stay there, and back."""

    def move(a: Animator, start: float, end: float, side: Side) -> None:
        before = a.posture
        lead = min(a.drawn(0.6, 1.4), 0.3 * (end - start))
        a.pin(start, *BODY)
        a.posture = posture
        a.rest(start + lead)
        a.rest(end - lead)
        a.posture = before
        a.rest(end)

    return move


def still(pose: Callable[[Animator, Side], Pose]) -> Move:
    def move(a: Animator, start: float, end: float, side: Side) -> None:
        _hold(a, start, end, pose(a, side))

    return move


def again(poses: Callable[[Animator, Side], Sequence[Pose]], shortest: float, longest: float) -> Move:
    def move(a: Animator, start: float, end: float, side: Side) -> None:
        _swing(a, start, end, poses(a, side), a.drawn(shortest, longest))

    return move


# What arms do


def waving(a: Animator, side: Side) -> Sequence[Pose]:
    high, wide = a.drawn(0.2, 0.75), a.drawn(0.12, 0.3)
    middle = a.drawn(0.2, 0.5)
    return [{_arm(side): (middle + s * wide, high, a.drawn(0.1, 0.4), 40)} for s in (1, -1)]


def waving_both(a: Animator, side: Side) -> Sequence[Pose]:
    high, wide = a.drawn(0.5, 0.9), a.drawn(0.12, 0.35)
    return [both((0.25 + s * wide, high, 0.15, 60)) for s in (1, -1)]


def arm_up(a: Animator, side: Side) -> Pose:
    return {_arm(side): a.wobble((0.12, 0.93, 0.12, 50))}


def arms_up(a: Animator, side: Side) -> Pose:
    return both(a.wobble((0.15, 0.95, 0.05, 60)))


def arms_out(a: Animator, side: Side) -> Pose:
    return both(a.wobble((0.98, 0.0, 0.05, 10), 0.05))


def arms_forward(a: Animator, side: Side) -> Pose:
    return both(a.wobble((0.02, 0.0, 0.97, 20), 0.05))


def clapping(a: Animator, side: Side) -> Sequence[Pose]:
    up, forward = a.drawn(-0.35, 0.1), a.drawn(0.4, 0.65)
    return [both((-0.32, up, forward, 30)), both((a.drawn(-0.05, 0.15), up, forward, 30))]


def arm_circles(a: Animator, side: Side) -> Sequence[Pose]:
    return [both(v) for v in ((0.15, 0.95, 0.1, 50), (0.3, 0.1, 0.9, 20), (0.2, -0.95, 0.1, 0), (0.8, 0.2, -0.4, 20))]


def pointing(a: Animator, side: Side) -> Pose:
    aim = ((0.1, 0.1, 0.97), (0.75, 0.2, 0.6), (0.4, 0.6, 0.65), (-0.3, 0.05, 0.9), (0.1, -0.45, 0.85))
    return {_arm(side): (*a.wobble(aim[int(a.rng.integers(len(aim)))], 0.05), 20)}


def to_mouth(a: Animator, side: Side) -> Pose:
    return {_arm(side): (-0.3, 0.22 + a.drawn(-0.03, 0.06), 0.33, 30), "head": (a.drawn(-18, -4), 0, 0)}


def eating(a: Animator, side: Side) -> Sequence[Pose]:
    mouth = {_arm(side): (-0.28, 0.2, 0.36, 25), "head": (6.0, 0, 0)}
    plate = {_arm(side): (-0.2, -0.45, 0.55, 15), "head": (14.0, 0, 0)}
    return [mouth, mouth, plate, plate]


def phoning(a: Animator, side: Side) -> Pose:
    sign = 1 if side == "left" else -1
    return {_arm(side): (-0.05, 0.3, 0.14, a.drawn(25, 60)), "head": (4, 0, sign * a.drawn(2, 14))}


def looking_at_hands(a: Animator, side: Side) -> Pose:
    return {**both((-0.2, a.drawn(-0.3, -0.1), 0.5, 10)), "head": (a.drawn(18, 34), 0, 0)}


def photographing(a: Animator, side: Side) -> Pose:
    return both(a.wobble((-0.12, 0.18, 0.55, 35), 0.04))


def scratching(a: Animator, side: Side) -> Sequence[Pose]:
    return [{_arm(side): (-0.12 + s * 0.05, 0.47 + s * 0.03, 0.1, 60)} for s in (1, -1)]


def saluting(a: Animator, side: Side) -> Pose:
    return {_arm(side): (-0.05, 0.4, 0.28, 70)}


def covering_face(a: Animator, side: Side) -> Pose:
    return {**both((-0.28, 0.25, 0.26, 25)), "head": (18, 0, 0)}


def shrugging(a: Animator, side: Side) -> Pose:
    return {**both((0.35, -0.35, 0.4, 0)), "head": (0, 0, a.drawn(-10, 10))}


def hugging(a: Animator, side: Side) -> Pose:
    return {**both((-0.2, a.drawn(-0.15, 0.1), 0.6, 60)), "trunk": (8, 0, 8, 0, 0), "head": (8, 12, 6)}


def handshake(a: Animator, side: Side) -> Sequence[Pose]:
    return [{_arm(side): (-0.1, -0.42 + s * 0.1, 0.72, 10)} for s in (1, -1)]


def stretching(a: Animator, side: Side) -> Pose:
    return {**both((-0.12, 0.97, -0.05, 80)), "trunk": (-4, 0, -10, a.drawn(-8, 8), 0), "head": (-15, 0, 0)}


def side_bend(a: Animator, side: Side) -> Pose:
    sign = 1 if side == "left" else -1
    up: Vector = (0.0, 0.97, 0.05, 70)
    return {"trunk": (0, 0, 0, sign * a.drawn(22, 38), 0), _arm(_other(side)): up, _arm(side): (0.2, -0.6, 0.0, 60)}


def folding_arms(a: Animator, side: Side) -> Pose:
    return {"left_arm": (-0.3, -0.4, 0.36, 20), "right_arm": (-0.25, -0.34, 0.38, 20)}


def curling(a: Animator, side: Side) -> Sequence[Pose]:
    return [both((0.05, -0.1, 0.35, 0)), both((0.1, -0.92, 0.2, 0))]


def pressing(a: Animator, side: Side) -> Sequence[Pose]:
    return [both((0.15, 0.95, 0.05, 60)), both((0.2, 0.1, 0.25, 30))]


# What hands do at a table


def _table(a: Animator, forward: float = 0.6, up: float = -0.5) -> tuple[float, float, Vector]:
    return forward + a.drawn(-0.08, 0.08), up + a.drawn(-0.1, 0.12), (a.drawn(14, 30), 0.0, 0.0)


def stirring(a: Animator, side: Side) -> Sequence[Pose]:
    forward, up, head = _table(a)
    radius = a.drawn(0.06, 0.14)
    angles = np.arange(8) / 8 * 2 * np.pi * (1 if a.rng.random() < 0.5 else -1)
    still: Vector = (-0.2, up, forward, 10)
    return [
        {
            _arm(side): (-0.25 + radius * np.cos(w), up + 0.1, forward + radius * np.sin(w), 25),
            _arm(_other(side)): still,
            "head": head,
            "trunk": (4, 0, 12, 0, 0),
        }
        for w in angles
    ]


def cutting(a: Animator, side: Side) -> Sequence[Pose]:
    forward, up, head = _table(a)
    return [
        {
            _arm(side): (-0.2, up + s * 0.07, forward + s * 0.08, 25),
            _arm(_other(side)): (-0.25, up, forward + 0.05, 10),
            "head": head,
            "trunk": (4, 0, 14, 0, 0),
        }
        for s in (1, -1)
    ]


def kneading(a: Animator, side: Side) -> Sequence[Pose]:
    forward, up, head = _table(a)
    return [
        {**both((-0.15, up + s * 0.04, forward + s * 0.14, 25)), "head": head, "trunk": (6 + s * 5, 0, 14, 0, 0)}
        for s in (1, -1)
    ]


def shuffling(a: Animator, side: Side) -> Sequence[Pose]:
    """Hands that cross, part and cross again over a table."""
    forward, up, head = _table(a)
    poses = []
    for near in (-0.3, 0.15, -0.35, 0.05):
        swap = a.drawn(-0.12, 0.12)
        poses.append(
            {
                "left_arm": (near + a.drawn(-0.1, 0.1), up, forward + swap, 15),
                "right_arm": (near + a.drawn(-0.1, 0.1), up, forward - swap, 15),
                "head": head,
                "trunk": (4, 0, 14, 0, 0),
            }
        )
    return poses


def typing(a: Animator, side: Side) -> Sequence[Pose]:
    forward, up, head = _table(a, 0.55, -0.45)
    return [
        {
            "left_arm": (-0.12 + a.drawn(-0.04, 0.04), up + s * 0.02, forward, 15),
            "right_arm": (-0.12 + a.drawn(-0.04, 0.04), up - s * 0.02, forward, 15),
            "head": (head[0] * 0.6, 0, 0),
        }
        for s in (1, -1, 1, -1)
    ]


def writing(a: Animator, side: Side) -> Sequence[Pose]:
    forward, up, head = _table(a, 0.5, -0.45)
    still: Vector = (-0.1, up, forward, 15)
    return [
        {
            _arm(side): (-0.25 + across, up + 0.03, forward + 0.02 * (step % 2), 20),
            _arm(_other(side)): still,
            "head": head,
        }
        for step, across in enumerate(np.linspace(-0.06, 0.12, 6))
    ]


def wiping(a: Animator, side: Side) -> Sequence[Pose]:
    forward, up, head = _table(a, 0.65)
    return [
        {_arm(side): (across, up, forward + 0.06 * s, 25), "head": head, "trunk": (8, 0, 14, 0, 0)}
        for across, s in ((-0.35, 1), (0.2, -1))
    ]


def hammering(a: Animator, side: Side) -> Sequence[Pose]:
    forward, up, head = _table(a)
    still: Vector = (-0.2, up, forward, 10)
    return [
        {_arm(side): (-0.1, height, reach, 20), _arm(_other(side)): still, "head": head}
        for height, reach in ((0.15, 0.4), (up + 0.1, forward))
    ]


def washing_hands(a: Animator, side: Side) -> Sequence[Pose]:
    forward, up, head = _table(a, 0.5)
    return [
        {
            "left_arm": (-0.3, up + s * 0.03, forward + s * 0.06, 15),
            "right_arm": (-0.3, up - s * 0.03, forward - s * 0.06, 15),
            "head": head,
        }
        for s in (1, -1)
    ]


def pouring(a: Animator, side: Side) -> Pose:
    forward, up, head = _table(a)
    return {_arm(side): (-0.25, up + 0.3, forward, 70), _arm(_other(side)): (-0.25, up, forward, 10), "head": head}


def guitar(a: Animator, side: Side) -> Sequence[Pose]:
    fret, strum = _arm(_other(side)), _arm(side)
    return [
        {fret: (0.35, a.drawn(-0.35, -0.2), 0.45, 10), strum: (-0.2, -0.55 + s * 0.09, 0.35, 40), "head": (14, 10, 0)}
        for s in (1, -1)
    ]


def piano(a: Animator, side: Side) -> Sequence[Pose]:
    _, up, head = _table(a, 0.6, -0.4)
    return [
        {
            "left_arm": (a.drawn(-0.15, 0.3), up + s * 0.04, 0.6, 15),
            "right_arm": (a.drawn(-0.15, 0.3), up - s * 0.04, 0.6, 15),
            "head": (head[0] * 0.7, 0, 0),
        }
        for s in (1, -1, 1, -1, 1, -1)
    ]


def drums(a: Animator, side: Side) -> Sequence[Pose]:
    return [
        {"left_arm": (0.0, -0.3 + s * 0.2, 0.55, 30), "right_arm": (0.0, -0.3 - s * 0.2, 0.55, 30), "head": (8, 0, 0)}
        for s in (1, -1)
    ]


def violin(a: Animator, side: Side) -> Sequence[Pose]:
    sign = 1 if side == "right" else -1
    return [
        {
            _arm(_other(side)): (0.25, 0.05, 0.6, 10),
            _arm(side): (-0.1 + s * 0.2, -0.02, 0.42, 60),
            "head": (5, sign * 15, sign * 14),
        }
        for s in (1, -1)
    ]


def brushing_teeth(a: Animator, side: Side) -> Sequence[Pose]:
    return [{_arm(side): (-0.28 + s * 0.06, 0.2, 0.36, 50)} for s in (1, -1)]


def combing(a: Animator, side: Side) -> Sequence[Pose]:
    return [{_arm(side): v} for v in ((-0.2, 0.55, 0.15, 60), (0.0, 0.25, 0.1, 50))]


def reading(a: Animator, side: Side) -> Pose:
    return {**both((-0.15, a.drawn(-0.4, -0.2), 0.45, 10)), "head": (a.drawn(15, 30), 0, 0)}


# What heads do


def nodding(a: Animator, side: Side) -> Sequence[Pose]:
    deep = a.drawn(12, 26)
    return [{"head": (deep, 0, 0)}, {"head": (-deep / 3, 0, 0)}]


def shaking_head(a: Animator, side: Side) -> Sequence[Pose]:
    wide = a.drawn(18, 38)
    return [{"head": (2, wide, 0)}, {"head": (2, -wide, 0)}]


def looking(a: Animator, side: Side) -> Pose:
    sign = 1 if side == "left" else -1
    return {"head": (0, sign * a.drawn(45, 70), 0), "trunk": (0, 0, 4, 0, sign * a.drawn(0, 12))}


def looking_up(a: Animator, side: Side) -> Pose:
    return {"head": (-a.drawn(30, 45), 0, 0), "trunk": (0, 0, -5, 0, 0)}


def looking_down(a: Animator, side: Side) -> Pose:
    return {"head": (a.drawn(30, 45), 0, 0), "trunk": (0, 0, 10, 0, 0)}


# What the whole body does on the spot


def jump(a: Animator, start: float, end: float, side: Side) -> None:
    x, z, yaw, _ = a.last("root")
    high = a.drawn(0.15, 0.45)
    length = end - start
    deep = a.drawn(-0.85, -0.72)
    arms = a.drawn(-0.5, 0.9)
    a.pin(start, *BODY, "root")
    down: Pose = {"trunk": (22, 0, 12, 0, 0), **both((0.15, -0.85, -0.4, 10)), **legs((0.08, deep, 0.02))}
    a.key(start + 0.35 * length, root=(x, z, yaw, 0), **down)
    a.key(start + 0.58 * length, root=(x, z, yaw, high), trunk=(2, 0, 0, 0, 0), **both((0.2, arms, 0.4, 20)))
    a.key(start + 0.58 * length, **legs((0.06, -0.98, 0.0)))
    a.key(start + 0.8 * length, root=(x, z, yaw, 0), **legs((0.07, -0.86, 0.02)), trunk=(14, 0, 8, 0, 0))
    a.rest(end)


def hop(a: Animator, start: float, end: float, side: Side) -> None:
    x, z, yaw, _ = a.last("root")
    period = a.drawn(0.45, 0.75)
    beats = max(2, round((end - start - 0.5) / period))
    a.pin(start, "root", *LEGS, *ARMS)
    lifted: Vector = (0.05, -0.7, -0.25)
    edges = np.linspace(start + 0.25, end - 0.25, beats + 1)
    for first, last in pairwise(edges):
        pose = {_leg(side): lifted, _leg(_other(side)): (0.0, -0.93, 0.02)}
        a.key(float(first), root=(x, z, yaw, 0), **pose, **both((0.4, -0.7, 0.2, 20)))
        a.key(float(first + last) / 2, root=(x, z, yaw, a.drawn(0.08, 0.16)), **pose)
    a.key(end - 0.2, root=(x, z, yaw, 0))
    a.rest(end, *LEGS, *ARMS)


def rope(a: Animator, start: float, end: float, side: Side) -> None:
    x, z, yaw, _ = a.last("root")
    period = a.drawn(0.4, 0.7)
    a.pin(start, "root", *LEGS, *ARMS)
    for beat, at in enumerate(np.linspace(start + 0.3, end - 0.3, max(4, round((end - start - 0.6) / period * 2)))):
        up = beat % 2
        swing = 0.12 * (1 if up else -1)
        a.key(float(at), root=(x, z, yaw, 0.14 * up), **both((0.4, -0.6 + swing, 0.15, 10)))
        a.key(float(at), **legs((0.02, -0.97 if up else -0.93, 0.0)))
    a.key(end - 0.1, root=(x, z, yaw, 0))
    a.rest(end, *LEGS, *ARMS)


def jacks(a: Animator, start: float, end: float, side: Side) -> None:
    x, z, yaw, _ = a.last("root")
    period = a.drawn(0.8, 1.4)
    rounds = max(1, round((end - start) / period))
    a.pin(start, "root", *LEGS, *ARMS)
    edges = np.linspace(start, end, rounds + 1)
    for first, last in pairwise(edges):
        quarter = float(last - first) / 4
        a.key(float(first) + quarter, root=(x, z, yaw, 0.1))
        a.key(float(first) + 2 * quarter, root=(x, z, yaw, 0), **legs((0.42, -0.9, 0.0)), **both((0.15, 0.95, 0.0, 70)))
        a.key(float(first) + 3 * quarter, root=(x, z, yaw, 0.1))
        a.key(float(last), root=(x, z, yaw, 0), **legs((0.03, -0.995, 0.0)), **both((0.12, -0.97, 0.05, 20)))


def kick(a: Animator, start: float, end: float, side: Side) -> None:
    length = end - start
    high = a.drawn(-0.65, 0.1)
    leg = _leg(side)
    a.pin(start, "trunk", leg, *ARMS)
    a.key(start + 0.3 * length, **{leg: (0.05, -0.75, -0.35 if high < -0.3 else 0.3), "trunk": (4, 0, 6, 0, 0)})
    a.key(start + 0.55 * length, **{leg: (a.drawn(-0.1, 0.25), high, 0.9), "trunk": (-12, 0, 4, 0, 0)})
    a.key(start + 0.55 * length, **both((0.4, -0.6, 0.3, 30)))
    a.rest(end, "trunk", leg, *ARMS)


def punch(a: Animator, start: float, end: float, side: Side) -> None:
    length = end - start
    guard: Vector = (-0.1, 0.05, 0.32, 10)
    arm = _arm(side)
    sign = -1 if side == "left" else 1
    a.pin(start, "trunk", *ARMS)
    a.key(start + 0.35 * length, **both(guard), trunk=(4, 0, 8, 0, -sign * 10))
    a.key(start + 0.6 * length, **{arm: a.wobble((-0.15, 0.08, 0.97, 40), 0.04)}, trunk=(8, 0, 8, 0, sign * 25))
    a.key(start + 0.8 * length, **both(guard))
    a.rest(end, "trunk", *ARMS)


def boxing(a: Animator, side: Side) -> Sequence[Pose]:
    guard, jab = (-0.1, 0.05, 0.32, 10), (-0.15, 0.08, 0.97, 40)
    return [
        {"left_arm": guard, "right_arm": guard, "trunk": (4, 0, 8, 0, 0)},
        {"left_arm": jab, "right_arm": guard, "trunk": (8, 0, 8, 0, -20)},
        {"left_arm": guard, "right_arm": guard, "trunk": (4, 0, 8, 0, 0)},
        {"left_arm": guard, "right_arm": jab, "trunk": (8, 0, 8, 0, 20)},
    ]


def throw(a: Animator, start: float, end: float, side: Side) -> None:
    length = end - start
    arm = _arm(side)
    sign = -1 if side == "left" else 1
    a.pin(start, "trunk", *ARMS, *LEGS)
    a.key(start + 0.4 * length, **{arm: (0.3, 0.55, -0.35, 60), "trunk": (-6, 0, -6, 0, -sign * 30)})
    a.key(start + 0.4 * length, **{_arm(_other(side)): (0.2, 0.1, 0.6, 20), _leg(_other(side)): (0.06, -0.9, 0.3)})
    a.key(start + 0.6 * length, **{arm: (0.0, 0.35, 0.9, 30), "trunk": (12, 0, 12, 0, sign * 25)})
    a.key(start + 0.78 * length, **{arm: (-0.3, -0.6, 0.6, 10)})
    a.rest(end, "trunk", *ARMS, *LEGS)


def catch(a: Animator, start: float, end: float, side: Side) -> None:
    length = end - start
    up = a.drawn(-0.2, 0.5)
    a.pin(start, *ARMS, "trunk", "head")
    a.key(start + 0.4 * length, **both((-0.18, up, 0.75, 20)), head=(-8, 0, 0), trunk=(4, 0, 8, 0, 0))
    a.key(start + 0.6 * length, **both((-0.22, -0.3, 0.38, 10)), head=(10, 0, 0))
    a.rest(end, *ARMS, "trunk", "head")


def shot(a: Animator, start: float, end: float, side: Side) -> None:
    """A throw at a basketball hoop: crouch, then both hands up from the forehead."""
    x, z, yaw, _ = a.last("root")
    length = end - start
    a.pin(start, *ARMS, *LEGS, "trunk", "root")
    a.key(start + 0.35 * length, **both((-0.2, 0.15, 0.4, 10)), **legs((0.08, -0.84, 0.0)), trunk=(12, 0, 6, 0, 0))
    a.key(start + 0.6 * length, **both((-0.1, 0.9, 0.35, 30)), **legs((0.06, -0.995, 0.0)), trunk=(0, 0, 0, 0, 0))
    a.key(start + 0.6 * length, root=(x, z, yaw, a.drawn(0.0, 0.25)))
    a.key(start + 0.8 * length, root=(x, z, yaw, 0.0))
    a.rest(end, *ARMS, *LEGS, "trunk")


def dribble(a: Animator, side: Side) -> Sequence[Pose]:
    return [{_arm(side): v, "trunk": (10, 0, 12, 0, 0)} for v in ((0.2, -0.35, 0.55, 20), (0.2, -0.75, 0.45, 10))]


def golf(a: Animator, start: float, end: float, side: Side) -> None:
    """A swing with both hands, to the side of the body given."""
    length = end - start
    sign = 1 if side == "left" else -1
    near, far = (-0.7, -0.6), (0.5, 0.5)
    a.pin(start, *ARMS, "trunk")
    a.key(start + 0.2 * length, **both((-0.3, -0.7, 0.5, 20)), trunk=(18, 0, 14, 0, 0))
    back = {_arm(side): (-0.75, 0.35, 0.3, 30), _arm(_other(side)): (0.35, 0.5, 0.2, 60)}
    a.key(start + 0.5 * length, **back, trunk=(14, 0, 10, 0, -sign * 45))
    a.key(start + 0.65 * length, **both((near[0] / 2, near[1], 0.6, 20)), trunk=(18, 0, 14, 0, 0))
    follow = {_arm(side): (far[0], far[1], 0.2, 60), _arm(_other(side)): (-0.75, 0.35, 0.3, 30)}
    a.key(start + 0.8 * length, **follow, trunk=(4, 0, 4, 0, sign * 50))
    a.rest(end, *ARMS, "trunk")


def racket(a: Animator, start: float, end: float, side: Side) -> None:
    length = end - start
    sign = 1 if side == "right" else -1
    a.pin(start, _arm(side), "trunk")
    a.key(start + 0.4 * length, **{_arm(side): (0.9, -0.05, -0.3, 20), "trunk": (6, 0, 8, 0, -sign * 35)})
    a.key(start + 0.65 * length, **{_arm(side): (-0.1, 0.1, 0.9, 30), "trunk": (8, 0, 8, 0, sign * 15)})
    a.key(start + 0.8 * length, **{_arm(side): (-0.6, 0.35, 0.4, 40), "trunk": (4, 0, 6, 0, sign * 35)})
    a.rest(end, _arm(side), "trunk")


def squat(a: Animator, start: float, end: float, side: Side) -> None:
    deep = a.drawn(-0.6, -0.42)
    arms = both((0.05, a.drawn(-0.1, 0.15), 0.9, 20)) if a.rng.random() < 0.6 else both((-0.2, -0.1, 0.4, 20))
    pose: Pose = {"trunk": (a.drawn(20, 40), 0, 6, 0, 0), **arms, **legs((0.14, deep, 0.05))}
    _hold(a, start, end, pose, 0.42 * (end - start))


def lunge(a: Animator, start: float, end: float, side: Side) -> None:
    pose: Pose = {_leg(side): (0.06, -0.62, 0.45), _leg(_other(side)): (0.06, -0.66, -0.6), "trunk": (4, 0, 4, 0, 0)}
    _hold(a, start, end, pose, 0.4 * (end - start))


def bend(a: Animator, start: float, end: float, side: Side) -> None:
    """The back bends; the arms hang, rest on the thighs or reach forward, and the knees may give a little."""
    arms = ((0.0, 0.2, 0.95, 0), (0.0, -0.55, 0.6, 20), (0.0, 0.5, 0.75, 10))[int(a.rng.choice(3, p=[0.6, 0.2, 0.2]))]
    pose: Pose = {
        "trunk": (a.drawn(45, 95), 0, a.drawn(10, 35), 0, 0),
        "head": (a.drawn(-25, 5), 0, 0),
        **both(a.wobble(arms)),
        **legs((a.stance, a.drawn(-0.99, -0.9), 0.0)),
    }
    _hold(a, start, end, pose, min(a.drawn(0.5, 1.0), 0.4 * (end - start)))


def reach_down(a: Animator, side: Side) -> Pose:
    """Half bent, half crouched, with a hand out to something low."""
    pose: dict[str, Vector] = {
        "trunk": (a.drawn(30, 65), 0, a.drawn(10, 30), 0, 0),
        "head": (a.drawn(-25, 10), 0, 0),
        **legs((a.drawn(0.05, 0.14), a.drawn(-0.93, -0.55), a.drawn(-0.05, 0.1))),
        _arm(side): (*a.wobble((0.0, -0.1, 0.92, 10), 0.12)[:3], 10),
    }
    if a.rng.random() < 0.4:
        pose[_arm(_other(side))] = pose[_arm(side)]
    return pose


def bow(a: Animator, start: float, end: float, side: Side) -> None:
    pose: Pose = {"trunk": (a.drawn(30, 55), 0, 15, 0, 0), "head": (15, 0, 0), **both((0.1, -0.9, 0.2, 0))}
    _hold(a, start, end, pose, 0.4 * (end - start))


def _down(a: Animator, side: Side) -> Pose:
    """How one reaches the floor: with bent knees or a bent back."""
    if a.rng.random() < 0.5:
        return {
            "trunk": (a.drawn(45, 65), 0, 25, 0, 0),
            **legs((0.12, a.drawn(-0.6, -0.42), 0.05)),
            _arm(side): (0, -0.3, 0.93, 0),
        }
    return {"trunk": (a.drawn(75, 100), 0, 25, 0, 0), **legs((0.08, -0.96, 0.02)), _arm(side): (0, 0.25, 0.95, 0)}


_CARRIED: Final = (-0.1, -0.45, 0.5, 10)


def pick_up(a: Animator, start: float, end: float, side: Side) -> None:
    length = end - start
    parts = ("trunk", *LEGS, *ARMS)
    down = _down(a, side)
    a.pin(start, *parts)
    a.key(start + 0.45 * length, **down)
    a.key(start + 0.58 * length, **down)
    a.rest(end, *parts)
    a.key(end, **{_arm(side): _CARRIED})
    a.key(end + a.drawn(0.8, 2.0), **{_arm(side): _CARRIED})


def put_down(a: Animator, start: float, end: float, side: Side) -> None:
    length = end - start
    parts = ("trunk", *LEGS, *ARMS)
    down = _down(a, side)
    before = max(0.0, start - 0.6)
    if before > max(a.keys[_arm(side)][-1][0], 0.0):
        a.pin(before, _arm(side))
        a.key(start, **{_arm(side): _CARRIED})
    a.pin(start, *parts)
    a.key(start + 0.42 * length, **down)
    a.key(start + 0.55 * length, **down)
    a.rest(end, *parts)


def shoes(a: Animator, start: float, end: float, side: Side) -> None:
    forward = 0.95
    pose: Pose = {
        "trunk": (58, 0, 25, 0, 0),
        "head": (5, 0, 0),
        **both((-0.2, -0.1, forward, 0)),
        **legs((0.06, -0.48, 0.12)),
    }
    _hold(a, start, end, pose, min(0.9, 0.3 * (end - start)))


def turn(a: Animator, start: float, end: float, side: Side, degrees: float = 180.0) -> None:
    x, z, yaw, _ = a.last("root")
    sign = 1 if side == "left" else -1  # to the person's own left, seen from above anticlockwise
    length = end - start
    a.pin(start, "root", *LEGS)
    a.key(end, root=(x, z, yaw + sign * degrees, 0))
    steps = max(2, round(abs(degrees) / 70))
    for step in range(steps):
        leg = LEGS[step % 2]
        at = start + (step + 0.5) / steps * length
        a.pin(at - 0.4 * length / steps, leg)
        a.key(at, **{leg: (0.06, -0.93, 0.04)})
        a.key(at + 0.4 * length / steps, **{leg: (0.05, -0.995, 0.0)})


def quarter_turn(a: Animator, start: float, end: float, side: Side) -> None:
    turn(a, start, end, side, a.drawn(70, 100))


def spin(a: Animator, start: float, end: float, side: Side) -> None:
    turn(a, start, end, side, 360.0 * round(max(1.0, min((end - start) / 1.3, 3.0))))


def dance(a: Animator, start: float, end: float, side: Side) -> None:
    x, z, yaw, _ = a.last("root")
    period = a.drawn(0.45, 0.9)
    beats = max(3, round((end - start - 0.4) / period))
    moves: list[Pose] = []
    for _ in range(int(a.rng.integers(2, 5))):
        sway = a.drawn(-16, 16)
        arms = {arm: (a.drawn(-0.3, 0.8), a.drawn(-0.7, 0.9), a.drawn(0.0, 0.5), a.drawn(0, 70)) for arm in ARMS}
        legs = {leg: (a.drawn(0.02, 0.2), a.drawn(-0.98, -0.8), a.drawn(-0.1, 0.2)) for leg in LEGS}
        trunk = (a.drawn(-4, 12), sway, a.drawn(0, 12), -sway + a.drawn(-8, 8), a.drawn(-25, 25))
        root = (x + a.drawn(-0.25, 0.25), z + a.drawn(-0.2, 0.2), yaw + a.drawn(-40, 40), a.drawn(-0.02, 0.05))
        moves.append(
            {**arms, **legs, "trunk": trunk, "head": (a.drawn(-10, 15), a.drawn(-20, 20), -sway), "root": root}
        )
    a.pin(start, *BODY, "root")
    for beat, at in enumerate(np.linspace(start + 0.2, end - 0.3, beats)):
        a.key(float(at), **moves[beat % len(moves)])
    a.rest(end)
    a.key(end, root=(x, z, yaw, 0))


# Getting about


def _travel(a: Animator, start: float, end: float, x: float, z: float, *, running: bool, face: bool = True) -> None:
    """Walk or run to `(x, z)` metres, turning that way first."""
    x0, z0, yaw0, _ = a.last("root")
    yaw = yaw0
    if face:
        heading = float(np.degrees(np.arctan2(x - x0, z - z0)))
        yaw = yaw0 + (heading - yaw0 + 180) % 360 - 180
    length = end - start
    a.pin(start, *BODY, "root")
    turned = min(0.35, 0.2 * length) if abs(yaw - yaw0) > 20 else 0.05
    a.key(start + turned, root=(x0, z0, yaw, 0))
    pieces = 8  # the walk itself is even, though a way between two keyframes starts and ends slowly
    for piece in range(1, pieces + 1):
        share = piece / pieces
        a.key(start + turned + share * (length - turned), root=(x0 + share * (x - x0), z0 + share * (z - z0), yaw, 0))
    cadence = a.drawn(2.5, 3.2) if running else a.drawn(1.5, 2.2)
    _stride(a, start, end, cadence, running=running)


def _stride(a: Animator, start: float, end: float, cadence: float, *, running: bool) -> None:
    """Legs and arms of somebody who walks or runs at `cadence` steps a second."""
    steps = max(2, round((end - start) * cadence))
    edges = np.linspace(start, end, steps + 1)
    reach = a.drawn(0.34, 0.46) if running else a.drawn(0.2, 0.32)
    hands: Vector = (0.05, -0.45, 0.35, 10) if running else (0.1, -0.95, 0.02, 5)
    carrying = not running and a.arms[0] is not _HANGING and a.rng.random() < 0.5
    a.key(start + 0.3 * (edges[1] - edges[0]), trunk=(14 if running else 3, 0, 6, 0, 0), head=_LOOK_AHEAD)
    for step in range(steps):
        leading = LEGS[step % 2]
        trailing = LEGS[(step + 1) % 2]
        middle, last = float(edges[step] + edges[step + 1]) / 2, float(edges[step + 1])
        swing: Vector = (0.02, -0.62, -0.15) if running else (0.03, -0.9, 0.05)
        a.key(middle, **{leading: swing, trailing: (0.02, -0.96 if running else -0.99, 0.0)})
        a.key(last, **{leading: (0.02, -0.93, reach), trailing: (0.02, -0.88, -reach)})
        if not carrying:
            swung = 0.4 if running else 0.28
            for arm, sign in ((ARMS[step % 2], -1), (ARMS[(step + 1) % 2], 1)):
                a.key(last, **{arm: (hands[0], hands[1], hands[2] + sign * swung, hands[3])})
    a.rest(end + 0.25, *LEGS, *ARMS, "trunk", "head")


def _beyond(a: Animator, side: Side) -> float:
    """x, metres, where nothing of a body is in the picture any more. The picture's left is -x."""
    return (-1 if side == "left" else 1) * a.away


def enter(a: Animator, start: float, end: float, side: Side, *, running: bool = False) -> None:
    """In from the picture's `side`."""
    _, z, _yaw, _ = a.last("root")
    a.pin(start - 0.02, "root")  # else it would cross the picture while it is said to be outside
    a.pin(start - 0.01, *BODY)
    a.key(start - 0.01, root=(_beyond(a, side), z, 90 if side == "left" else -90, 0))
    _travel(a, start, end, a.drawn(-0.35, 0.35) * (a.away - 0.5), z, running=running)
    turn_end = end + a.drawn(0.3, 0.8)
    x, z, walked, _ = a.last("root")
    if a.rng.random() < 0.7:
        a.key(turn_end, root=(x, z, walked + (a.drawn(-60, 60) - walked + 180) % 360 - 180, 0))


def leave(a: Animator, start: float, end: float, side: Side, *, running: bool = False) -> None:
    """Out at the picture's `side`."""
    _travel(a, start, end, _beyond(a, side), a.last("root")[1], running=running)
    a.posture = "stand"


def across(a: Animator, start: float, end: float, side: Side, *, running: bool = False) -> None:
    """Some way towards the picture's `side`, without leaving it."""
    _x, z, _, _ = a.last("root")
    far = (-1 if side == "left" else 1) * a.drawn(0.45, 0.75) * (a.away - 0.4)
    _travel(a, start, end, far, z, running=running)


def away_or_near(sign: int, *, running: bool = False) -> Move:
    def move(a: Animator, start: float, end: float, side: Side) -> None:
        x, z, _, _ = a.last("root")
        speed = 2.6 if running else 1.1
        _travel(
            a,
            start,
            end,
            x + a.drawn(-0.2, 0.2),
            z + sign * min(speed * (end - start), 5.0 if sign < 0 else 2.2),
            running=running,
        )

    return move


def running(move: Callable[..., None]) -> Move:
    def run(a: Animator, start: float, end: float, side: Side) -> None:
        move(a, start, end, side, running=True)

    return run


def jog(a: Animator, start: float, end: float, side: Side) -> None:
    _x, _z, _yaw, _ = a.last("root")
    a.pin(start, *BODY, "root")
    lifted: Vector = (0.03, -0.6, 0.12)
    beats = max(3, round((end - start - 0.3) * a.drawn(2.0, 3.0)))
    for beat, at in enumerate(np.linspace(start + 0.2, end - 0.2, beats)):
        up, down = LEGS[beat % 2], LEGS[(beat + 1) % 2]
        ahead, behind = ARMS[(beat + 1) % 2], ARMS[beat % 2]
        a.key(
            float(at),
            **{up: lifted, down: (0.03, -0.98, 0.0), ahead: (0.05, -0.3, 0.5, 10), behind: (0.1, -0.6, -0.1, 10)},
        )
    a.rest(end, *LEGS, *ARMS)


def high_knees(a: Animator, side: Side) -> Sequence[Pose]:
    return [
        {"left_leg": up, "right_leg": down, "left_arm": (0.1, -0.7, -0.1, 0), "right_arm": (0.0, -0.3, 0.5, 0)}
        for up, down in (((0.04, -0.42, 0.35), (0.04, -0.99, 0.0)), ((0.04, -0.99, 0.0), (0.04, -0.42, 0.35)))
    ]


def one_leg(a: Animator, side: Side) -> Pose:
    return {_leg(side): (0.05, -0.6, a.drawn(-0.35, 0.3)), **both((0.8, -0.2, 0.1, 10))}


# On the floor


def tree(a: Animator, side: Side) -> Pose:
    arms = both((-0.28, 0.93, 0.05, 70)) if a.rng.random() < 0.5 else both((-0.3, -0.15, 0.42, 30))
    return {_leg(side): (-0.05, -0.55, 0.06), **arms}


def warrior(a: Animator, start: float, end: float, side: Side) -> None:
    sign = 1 if side == "left" else -1
    arms = a.rng.random() < 0.65
    pose: Pose = {
        _leg(side): (0.62, -0.6, 0.1) if arms else (0.06, -0.62, 0.5),
        _leg(_other(side)): (0.7, -0.7, 0.0) if arms else (0.06, -0.6, -0.72),
        "head": (0, sign * 70 if arms else 0, 0),
        **both((0.99, 0.03, 0.0, 10) if arms else (0.05, 0.97, 0.0, 60)),
        "trunk": (0, 0, 0, 0, 0),
    }
    _hold(a, start, end, pose, min(1.0, 0.3 * (end - start)))


def triangle(a: Animator, start: float, end: float, side: Side) -> None:
    sign = 1 if side == "left" else -1
    pose: Pose = {
        **legs((0.45, -0.88, 0.0)),
        "trunk": (0, sign * 45, 0, sign * 30, 0),
        **both((0.98, 0.0, 0.05, 10)),
        "head": (0, -sign * 50, 0),
    }
    _hold(a, start, end, pose, min(1.0, 0.3 * (end - start)))


def child(a: Animator, start: float, end: float, side: Side) -> None:
    pose: Pose = {
        "trunk": (92, 0, 12, 0, 0),
        "head": (15, 0, 0),
        **both((0.05, 0.9, 0.3, 40)),
        **legs((0.1, -0.1, -0.1)),
    }
    _hold(a, start, end, pose, min(1.2, 0.3 * (end - start)))


def cobra(a: Animator, start: float, end: float, side: Side) -> None:
    pose: Pose = {"trunk": (62, 0, -48, 0, 0), "head": (-20, 0, 0), **both((0.1, -0.75, 0.45, 0))}
    _hold(a, start, end, pose, min(1.0, 0.3 * (end - start)))


def bridge(a: Animator, start: float, end: float, side: Side) -> None:
    pose: Pose = {"trunk": (-122, 0, 0, 0, 0), **legs((0.12, -0.48, 0.42)), "head": (20, 0, 0)}
    _hold(a, start, end, pose, min(1.0, 0.35 * (end - start)))


def press_up(a: Animator, start: float, end: float, side: Side) -> None:
    low: Pose = {"trunk": (85, 0, 0, 0, 0), **both((0.22, -0.02, 0.4, 70)), **legs((0.06, -0.13, -0.985))}
    _hold(a, start, end, low, 0.45 * (end - start))


def sit_up(a: Animator, start: float, end: float, side: Side) -> None:
    up: Pose = {"trunk": (-25, 0, 35, 0, 0), **both((-0.1, 0.3, 0.1, 60)), **legs((0.1, -0.05, 0.6))}
    _hold(a, start, end, up, 0.42 * (end - start))


def leg_raise(a: Animator, side: Side) -> Pose:
    return {_leg(side): (0.05, a.drawn(0.6, 0.98), a.drawn(0.1, 0.6))}


def leg_back(a: Animator, side: Side) -> Pose:
    """A leg lifted behind somebody who is on hands and feet, or on hands and knees."""
    return {_leg(side): (0.04, a.drawn(-0.05, 0.5), -0.92)}


def crawl(a: Animator, start: float, end: float, side: Side) -> None:
    x, z, yaw, _ = a.last("root")
    far = a.drawn(0.3, 0.5) * (end - start)
    heading = np.radians(yaw)
    a.pin(start, *BODY, "root")
    a.key(end, root=(x + far * np.sin(heading), z + far * np.cos(heading), yaw, 0))
    for beat, at in enumerate(np.linspace(start + 0.3, end - 0.3, max(3, round((end - start) * 1.6)))):
        one, two = beat % 2, (beat + 1) % 2
        a.key(float(at), **{ARMS[one]: (0.04, 0.25, 0.95, 0), ARMS[two]: (0.04, -0.12, 0.97, 0)})
        a.key(float(at), **{LEGS[two]: (0.06, -0.5, -0.36), LEGS[one]: (0.06, -0.5, -0.58)})
    a.rest(end)


def pedalling(a: Animator, side: Side) -> Sequence[Pose]:
    angles = np.arange(6) / 6 * 2 * np.pi
    return [
        {
            "left_leg": (0.05, -0.62 + 0.2 * np.sin(w), 0.2 + 0.2 * np.cos(w)),
            **both((0.0, -0.2, 0.85, 10)),
            "right_leg": (0.05, -0.62 - 0.2 * np.sin(w), 0.2 - 0.2 * np.cos(w)),
            "trunk": (24, 0, 14, 0, 0),
        }
        for w in angles
    ]


def rowing(a: Animator, side: Side) -> Sequence[Pose]:
    return [
        {"trunk": (30, 0, 14, 0, 0), **both((0.0, -0.1, 0.95, 10))},
        {"trunk": (-14, 0, 6, 0, 0), **both((0.0, -0.4, 0.3, 40))},
    ]


def sweeping(a: Animator, side: Side) -> Sequence[Pose]:
    sign = 1 if side == "left" else -1
    return [
        {
            _arm(side): (0.0 + s * 0.15, -0.35, 0.6, 10),
            _arm(_other(side)): (-0.2 - s * 0.15, -0.75, 0.5, 10),
            "trunk": (16, 0, 18, 0, sign * s * 18),
            "head": (16, 0, 0),
        }
        for s in (1, -1)
    ]


def digging(a: Animator, side: Side) -> Sequence[Pose]:
    return [
        {**both((-0.15, -0.35, 0.85, 10)), "trunk": (48, 0, 24, 0, 0), **legs((0.1, -0.9, 0.0))},
        {**both((0.0, -0.3, 0.55, 10)), "trunk": (14, 0, 10, 0, 30), **legs((0.1, -0.97, 0.0))},
    ]


def fall(a: Animator, start: float, end: float, side: Side) -> None:
    a.pin(start, *BODY)
    prone = a.rng.random() < 0.5
    middle = start + 0.45 * (end - start)
    tilt = 45.0 if prone else -35.0
    a.key(
        middle,
        trunk=(tilt, a.drawn(-15, 15), 0, 0, 0),
        **legs((0.1, -0.62, -0.3 if prone else 0.3)),
        **both((0.5, 0.2, 0.7, 20)),
    )
    a.posture = "prone" if prone else "lie"
    a.rest(end)
