"""A hand as 14 numbers, the 21 points in space that they stand for, and what the networks of `lite/palms.py` would have
found of it."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tvu.video_llm.lite.hands import NUM_POINTS, hand_size

Array = NDArray[np.float64]

NAMES: Final = (
    *("x", "y", "near"),  # of the wrist, picture heights from the middle, y up; and how much larger it is seen, octaves
    *("yaw", "pitch", "roll"),  # degrees: about the fingers (0: the palm is seen), fingertips nearer, clockwise
    *("thumb", "index", "middle", "ring", "little"),  # how far each is bent, 0 to 1
    *("spread", "oppose"),  # of the fingers, and of the thumb before the palm, 0 to 1
    "there",
)
PLACES: Final[Mapping[str, int]] = {name: place for place, name in enumerate(NAMES)}

GRIPS: Final[Mapping[str, tuple[float, ...]]] = {
    "open": (0.0, 0.0, 0.0, 0.0, 0.0, 0.7, 0.0),
    "flat": (0.1, 0.03, 0.0, 0.0, 0.05, 0.05, 0.15),
    "relaxed": (0.2, 0.3, 0.35, 0.4, 0.4, 0.2, 0.3),
    "fist": (0.6, 1.0, 1.0, 1.0, 1.0, 0.0, 0.9),
    "point": (0.6, 0.0, 0.95, 1.0, 1.0, 0.0, 0.8),
    "peace": (0.7, 0.0, 0.0, 1.0, 1.0, 0.8, 0.9),
    "three": (0.7, 0.0, 0.0, 0.0, 1.0, 0.6, 0.9),
    "four": (0.8, 0.0, 0.0, 0.0, 0.0, 0.5, 0.95),
    "ok": (0.45, 0.62, 0.1, 0.05, 0.05, 0.4, 0.75),
    "thumb": (0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0),
    "shaka": (0.0, 1.0, 1.0, 1.0, 0.0, 0.4, 0.0),
    "horns": (0.7, 0.0, 1.0, 1.0, 0.0, 0.3, 0.9),
    "pinch": (0.35, 0.5, 0.6, 0.7, 0.75, 0.1, 0.85),
    "pen": (0.4, 0.5, 0.6, 0.75, 0.85, 0.0, 0.75),
    "hold": (0.35, 0.55, 0.55, 0.55, 0.55, 0.1, 0.8),
    "handle": (0.5, 0.8, 0.9, 0.92, 0.95, 0.0, 0.85),
    "claw": (0.3, 0.45, 0.45, 0.45, 0.45, 0.4, 0.4),
}
"""Thumb to little finger, spread and oppose."""

_KNUCKLES: Final = np.array([(0.26, 0.95), (0.03, 1.0), (-0.18, 0.93), (-0.38, 0.82)])  # the palm is 1 long
_BONES: Final = np.array([(0.48, 0.28, 0.22), (0.54, 0.33, 0.23), (0.50, 0.31, 0.23), (0.38, 0.22, 0.21)])
_FAN: Final = np.radians([(6, 10), (0, 0), (-6, -9), (-13, -20)])  # closed, and what spreading adds
_BENDS: Final = np.radians([85, 105, 65])  # of the three joints of a finger that is bent
_THUMB: Final = np.array([(0.26, 0.2, 0.05), (0.62, 0.68, 0.1), (0.15, 0.75, 0.65)])  # where it is; ways it points
_THUMB_BONES: Final = (0.40, 0.34, 0.28)
_INWARD: Final = np.array([-0.85, 0.3, 0.45])  # where a thumb bends to


def shape_of(grip: Array) -> Array:
    """Points of right hands that stand upright and show the palm, the wrist at 0, x to the thumb, y along the palm,
    which is 1 long, z out of it: `[N, 21, 3]`; grip `[N, 7]` in the order of `GRIPS`."""
    count = len(grip)
    points = np.zeros((count, NUM_POINTS, 3))
    thumb, bends, spread, oppose = grip[:, 0], grip[:, 1:5], grip[:, 5], grip[:, 6]
    place = np.broadcast_to(_THUMB[0], (count, 3)).copy()
    way = _unit(_THUMB[1] * (1 - oppose[:, None]) + _THUMB[2] * oppose[:, None])
    points[:, 1] = place
    for joint, length in enumerate(_THUMB_BONES):
        if joint:
            way = _unit(way + _INWARD * (0.8 * thumb[:, None]))
        place = place + length * way
        points[:, 2 + joint] = place
    for finger in range(4):
        angle = _FAN[finger, 0] + _FAN[finger, 1] * spread
        flat = np.stack([np.sin(angle), np.cos(angle), np.zeros(count)], -1)
        place = np.broadcast_to([*_KNUCKLES[finger], 0.0], (count, 3))
        first = 5 + 4 * finger
        points[:, first] = place
        bent = np.zeros(count)
        for joint, length in enumerate(_BONES[finger]):
            bent = bent + _BENDS[joint] * bends[:, finger]
            place = place + length * (flat * np.cos(bent)[:, None] + np.array([0, 0, 1.0]) * np.sin(bent)[:, None])
            points[:, first + 1 + joint] = place
    return points


def turned(points: Array, numbers: Array, is_left: bool) -> Array:
    """`shape_of` turned as `yaw`, `pitch` and `roll` of `numbers` `[N, 14]` say; a left hand is its mirror picture."""
    yaw, pitch, roll = np.radians(numbers[:, 3:6].T)[..., None]
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    x, z = x * np.cos(yaw) + z * np.sin(yaw), z * np.cos(yaw) - x * np.sin(yaw)
    y, z = y * np.cos(pitch) - z * np.sin(pitch), y * np.sin(pitch) + z * np.cos(pitch)
    x, y = x * np.cos(roll) + y * np.sin(roll), y * np.cos(roll) - x * np.sin(roll)
    return np.stack([-x if is_left else x, y, z], -1)


def seen(points: Array, numbers: Array, palm: float) -> Array:
    """`turned` points before a camera: `[N, 21, 2]`, picture heights from the middle, y up; palm: its length there."""
    scale = palm * 2.0 ** numbers[:, 2, None] * (1 + 0.1 * points[..., 2])
    return numbers[:, None, :2] + scale[..., None] * points[..., :2]


def found(
    points: Sequence[Array], there: Array, rng: np.random.Generator, sloppiness: float, sure: float
) -> tuple[Array, Array]:
    """What would have been found of a left and a right hand: fractions `[T, 2, 21, 2]` as they came, with faults, and
    presence `[T, 2]`.

    points: of each `[T, 21, 2]`, picture heights from the top left corner; there: `[T, 2]` in [0, 1]. sure: share of
    the steps in which a hand that is seen well is found. Fast hands and small ones are missed oftener, stretches are
    missed as a whole, and left is taken for right at times.
    """
    both = np.stack(points, 1)
    steps = len(both)
    size = hand_size(both)
    speed = np.zeros((steps, 2))
    speed[1:] = np.sqrt((np.diff(both[:, :, 0], axis=0) ** 2).sum(-1)) / np.maximum(size[1:], 1e-3)
    chance = sure * (1 - 0.45 * np.clip(speed / 2.5, 0, 1)) / (1 + np.exp(-3 * np.log2(np.maximum(size, 1e-4) / 0.028)))
    level = rng.random((steps // 3 + 2, 2))  # what is missed is missed for a while
    share = np.arange(steps)[:, None] / 3
    low = np.floor(share).astype(int)
    level = np.take_along_axis(level, low, 0) * (1 - share % 1) + np.take_along_axis(level, low + 1, 0) * (share % 1)
    presence = np.where((0.7 * level + 0.3 * rng.random((steps, 2)) < chance) & (there > 0.5), 1.0, 0.0)
    presence *= np.clip(1 - rng.exponential(0.03, (steps, 2)), 0.5, 1)

    noise = rng.standard_normal((2 * steps + 2, 2, NUM_POINTS, 2))
    slow = (noise[steps:-2] + noise[steps + 1 : -1] + noise[steps + 2 :]) / 3
    error = sloppiness * (0.05 * noise[:steps] + 0.1 * slow)
    bad = rng.random((steps, 2)) < 0.02 * sloppiness
    error[bad] += rng.normal(0, 0.5, error[bad].shape)
    both = both + error * size[..., None, None]
    is_other = np.zeros(steps, bool)
    if rng.random() < 0.08:
        is_other[:] = True
    if rng.random() < 0.15:
        first = int(rng.integers(steps))
        is_other[first : first + int(rng.integers(2, 9))] ^= True
    both[is_other], presence[is_other] = both[is_other][:, ::-1], presence[is_other][:, ::-1]
    return both, presence


def _unit(vectors: Array) -> Array:
    return vectors / np.maximum(np.sqrt((vectors * vectors).sum(-1, keepdims=True)), 1e-9)
