"""A human body as 26 numbers: keyframes of them over time, and the 33 landmarks in space that they stand for.

World axes, metres: x to the right of the picture, y up, z towards the camera; the floor is y = 0. A body that faces
the camera (yaw 0) has its own left on the right of the picture.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "root": ("x", "z", "yaw", "air"),  # metres on the floor, degrees towards the picture's right, metres above ground
    "trunk": (
        "pitch",
        "roll",
        "bend",
        "lean",
        "twist",
    ),  # degrees: hips forward, hips to the left, then the chest's own
    "head": ("pitch", "yaw", "roll"),  # degrees: down, to the left, to the left shoulder
    "left_arm": ("out", "up", "forward", "swivel"),  # of the wrist from the shoulder, in the chest's axes, arm lengths;
    "right_arm": ("out", "up", "forward", "swivel"),  # swivel, degrees: the elbow from below to outside
    "left_leg": ("out", "up", "forward"),  # of the ankle from the hip, in leg lengths, along the floor's up
    "right_leg": ("out", "up", "forward"),
}
"""Parts of a body that move on their own, with their numbers."""

_ENDS: Final = np.cumsum([len(names) for names in PARTS.values()]).tolist()
SLICES: Final[Mapping[str, slice]] = {
    part: slice(end - len(names), end) for end, (part, names) in zip(_ENDS, PARTS.items(), strict=True)
}
NUM_PARAMETERS: Final[int] = _ENDS[-1]


@dataclass(frozen=True)
class Build:
    """Bone lengths of one person, metres; widths are between the two sides."""

    upper_arm: float = 0.29
    forearm: float = 0.25
    hand: float = 0.09
    thigh: float = 0.43
    shin: float = 0.42
    foot: float = 0.20
    trunk: float = 0.49
    shoulders: float = 0.35
    hips: float = 0.21
    neck: float = 0.21  # from between the shoulders to the middle of the head
    head: float = 0.075  # half the distance between the ears

    @property
    def stature(self) -> float:
        """Height of the top of the head of somebody standing."""
        return self.thigh + self.shin + 0.07 + self.trunk + self.neck + 0.12


def drawn_build(rng: np.random.Generator) -> Build:
    """Somebody between a child and a tall adult, with proportions of their own."""
    scale = rng.uniform(0.7, 0.9) if rng.random() < 0.12 else rng.normal(1.0, 0.05)
    factors = scale * rng.normal(1.0, 0.06, len(Build.__dataclass_fields__))
    usual = Build()
    own = {
        name: getattr(usual, name) * factor for name, factor in zip(Build.__dataclass_fields__, factors, strict=True)
    }
    return Build(**own)


@dataclass(frozen=True)
class Track:
    """Keyframes of one part: times `[K]` seconds, strictly rising, and values `[K, numbers of the part]`."""

    times: Array
    values: Array


def values_at(tracks: Sequence[Track], seconds: Sequence[Array]) -> Array:
    """The numbers of one part of several bodies at their own `seconds`, one after the other: `[sum of T, numbers]`.

    From one keyframe to the next a part goes as a hand does, slow at both ends.
    """
    day = 1e5  # every body has a time of its own, so that one search serves all
    times = np.concatenate([track.times + day * i for i, track in enumerate(tracks)])
    values = np.concatenate([track.values for track in tracks])
    lengths = np.array([len(track.times) for track in tracks])
    which = np.repeat(np.arange(len(tracks)), [len(own) for own in seconds])
    first = (np.cumsum(lengths) - lengths)[which]
    last = first + lengths[which] - 1
    now = np.concatenate(list(seconds)) + day * which
    after = np.searchsorted(times, now, side="right")
    before = np.clip(after - 1, first, last)
    after = np.clip(after, first, last)
    share = (now - times[before]) / np.maximum(times[after] - times[before], 1e-9)
    share = np.clip(share, 0, 1)
    eased = (share * share * (3 - 2 * share))[:, None]
    return values[before] * (1 - eased) + values[after] * eased


def _rotated(first: Array, second: Array, degrees: Array) -> tuple[Array, Array]:
    """Two perpendicular axes turned by `degrees` `[N]` in their plane, from `first` towards `second`."""
    angle = np.radians(degrees)[:, None]
    cos, sin = np.cos(angle), np.sin(angle)
    return first * cos + second * sin, second * cos - first * sin


def _unit(vectors: Array) -> Array:
    return vectors / np.maximum(np.sqrt((vectors * vectors).sum(-1, keepdims=True)), 1e-9)


def _two_bones(base: Array, target: Array, pole: Array, upper: Array, lower: Array) -> tuple[Array, Array]:
    """The middle and the end joint of two bones that start at `base`, reach for `target` and bend towards `pole`.

    base, target, pole: `[N, 3]`; upper, lower: `[N, 1]` lengths. A target out of reach is pointed at.
    """
    line = target - base
    wanted = np.sqrt((line * line).sum(-1, keepdims=True))
    along = line / np.maximum(wanted, 1e-9)
    reach = np.clip(wanted, np.abs(upper - lower) + 0.06, 0.998 * (upper + lower))
    share = (upper**2 - lower**2 + reach**2) / (2 * reach)
    height = np.sqrt(np.maximum(upper**2 - share**2, 0))
    side = _unit(pole - along * (pole * along).sum(-1, keepdims=True))
    return base + along * share + side * height, base + along * reach


_HEAD: Final = np.array(  # left, up, forward of the middle between the ears, in half head widths; landmarks 0 to 10
    [
        *[(0, -0.15, 1.6), (0.25, 0.35, 1.3), (0.45, 0.35, 1.25), (0.65, 0.35, 1.15), (-0.25, 0.35, 1.3)],
        *[
            (-0.45, 0.35, 1.25),
            (-0.65, 0.35, 1.15),
            (1, 0.1, 0),
            (-1, 0.1, 0),
            (0.35, -0.75, 1.25),
            (-0.35, -0.75, 1.25),
        ],
    ]
)


def landmarks_of(parameters: Array, builds: Sequence[Build], which: NDArray[np.int64]) -> Array:
    """Where the 33 landmarks of bodies are: `[N, 33, 3]`, metres.

    parameters: `[N, 26]` in the order of `PARTS`; builds, which: `builds[which[n]]` is the person of row n.
    The lowest point of a body touches the floor, except for what `air` adds, so that sitting, lying and press-ups
    come out by themselves.
    """
    sizes = np.array([[getattr(b, name) for name in Build.__dataclass_fields__] for b in builds])[which]
    size = {name: sizes[:, i : i + 1] for i, name in enumerate(Build.__dataclass_fields__)}
    x, z, yaw, air = parameters[:, SLICES["root"]].T
    pitch, roll, bend, lean, twist = parameters[:, SLICES["trunk"]].T
    count = len(parameters)

    sin, cos, zero = np.sin(np.radians(yaw)), np.cos(np.radians(yaw)), np.zeros(count)
    floor_forward = np.stack([sin, zero, cos], -1)
    floor_left = np.stack([cos, zero, -sin], -1)
    floor_up = np.stack([zero, zero + 1, zero], -1)

    up, forward = _rotated(floor_up, floor_forward, pitch)
    up, left = _rotated(up, floor_left, roll)
    chest_up, chest_forward = _rotated(up, forward, bend)
    chest_up, chest_left = _rotated(chest_up, left, lean)
    chest_forward, chest_left = _rotated(chest_forward, chest_left, twist)
    neck = size["trunk"] * _unit(up + chest_up)  # from the middle of the hips, which is the origin for now

    points = np.empty((count, 33, 3))
    nod, turn, tip = parameters[:, SLICES["head"]].T
    head_up, head_forward = _rotated(chest_up, chest_forward, nod)
    head_forward, head_left = _rotated(head_forward, chest_left, turn)
    head_up, head_left = _rotated(head_up, head_left, tip)
    head = neck + size["neck"] * _unit(chest_up + head_up)
    axes = np.stack([head_left, head_up, head_forward], 1) * size["head"][:, None]
    points[:, :11] = head[:, None] + _HEAD @ axes

    pole_pitch = np.clip(pitch, -90, 60)  # knees and toes of someone bent over further still point forward
    _, pole = _rotated(floor_up, floor_forward, pole_pitch)
    for number, side in enumerate((1.0, -1.0)):
        name = ("left", "right")[number]
        out = chest_left * side
        shoulder = neck + out * size["shoulders"] / 2 - chest_up * 0.03
        arm = parameters[:, SLICES[f"{name}_arm"], None]
        reach = out * arm[:, 0] + chest_up * arm[:, 1] + chest_forward * arm[:, 2]
        swivel = np.radians(arm[:, 3])
        below = -0.9 * chest_up - 0.45 * chest_forward + 0.25 * out
        elbow_pole = below * np.cos(swivel) + out * np.sin(swivel)
        length = size["upper_arm"] + size["forearm"]
        elbow, wrist = _two_bones(shoulder, shoulder + reach * length, elbow_pole, size["upper_arm"], size["forearm"])
        points[:, 11 + number], points[:, 13 + number], points[:, 15 + number] = shoulder, elbow, wrist
        along = _unit(wrist - elbow)
        thumb_way = _unit(chest_forward + 0.5 * chest_up - 0.4 * out)
        points[:, 17 + number] = wrist + size["hand"] * (0.85 * along - 0.3 * thumb_way)
        points[:, 19 + number] = wrist + size["hand"] * (1.0 * along + 0.15 * thumb_way)
        points[:, 21 + number] = wrist + size["hand"] * (0.45 * along + 0.4 * thumb_way)

        hip = left * side * size["hips"] / 2
        leg = parameters[:, SLICES[f"{name}_leg"], None]
        reach = floor_left * side * leg[:, 0] + floor_up * leg[:, 1] + floor_forward * leg[:, 2]
        length = size["thigh"] + size["shin"]
        knee_pole = pole + 0.2 * side * floor_left
        knee, ankle = _two_bones(hip, hip + reach * length, knee_pole, size["thigh"], size["shin"])
        points[:, 23 + number], points[:, 25 + number], points[:, 27 + number] = hip, knee, ankle
        shin = _unit(ankle - knee)
        toes = _unit(knee_pole - shin * (knee_pole * shin).sum(-1, keepdims=True) + 0.25 * side * floor_left)
        points[:, 29 + number] = ankle + shin * 0.05 - toes * 0.25 * size["foot"]
        points[:, 31 + number] = ankle + shin * 0.07 + toes * 0.75 * size["foot"]

    lowest = points[..., 1].min(1)
    points[..., 0] += x[:, None]
    points[..., 1] += (air - lowest)[:, None]
    points[..., 2] += z[:, None]
    return points
