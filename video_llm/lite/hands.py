"""Landmarks of up to two hands as numbers for `lite`: the one normalisation that training and real video share.

Finding them on real frames is `lite/palms.py`; animating them is `training/hand_videos.py`.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tvu.video_llm.lite.inputs import HAND_CHANNELS

Floats = NDArray[np.floating[Any]]

NUM_POINTS: Final = 21
"""Of a hand: the wrist, then four of each finger from the palm to the tip: thumb, index, middle, ring, little."""

EACH: Final = HAND_CHANNELS // 2  # channels of one hand
WRIST, INDEX, MIDDLE, LITTLE = 0, 5, 9, 17
PALM: Final = np.array([(WRIST, INDEX), (WRIST, MIDDLE), (WRIST, LITTLE), (INDEX, LITTLE)])
"""Pairs of points whose distances do not change when fingers bend."""

_FARTHEST = 4.0  # hand sizes from the wrist


@dataclass(frozen=True)
class Hands:
    """The left and the right hand of somebody in T frames of one video, each where one was found.

    points: float32 `[T, 2, 21, 2]`, fractions of the picture's width and height; presence: float32 `[T, 2]` in [0, 1],
    0 where there is none; aspect: width over height.
    """

    points: Floats
    presence: Floats
    aspect: float

    def __post_init__(self) -> None:
        steps = len(self.presence)
        if self.points.shape != (steps, 2, NUM_POINTS, 2) or self.presence.shape != (steps, 2):
            raise ValueError(f"21 points of two hands in each of {steps} frames, not {self.points.shape}")

    @property
    def features(self) -> NDArray[np.float32]:
        """float32 `[T, 92]`: see `hand_features`."""
        return hand_features(self.points, self.presence, self.aspect)

    @property
    def has_hands(self) -> NDArray[np.bool_]:
        """bool `[T]`."""
        return np.asarray((self.presence > 0).any(-1))


def hand_size(points: Floats) -> Floats:
    """Root mean square length of the bones of the palm, of an adult about 8 cm: `[..., 21, 2]` to `[...]`, in their
    unit."""
    bones = points[..., PALM[:, 0], :] - points[..., PALM[:, 1], :]
    return np.sqrt((bones**2).sum(-1).mean(-1))


def hand_features(points: Floats, presence: Floats, aspect: float | Floats) -> NDArray[np.float32]:
    """What `lite` sees of hands: float32 `[..., 92]`, the left one first.

    points: `[..., 2, 21, 2]`, x and y as fractions of the picture's width and height, y downwards; presence:
    `[..., 2]`, 0 where there is no hand (zeros come out); aspect: width of the picture over its height, one or `[...]`.

    Of each hand: 21 x (x, y) to the right and up from the wrist in hand sizes, at most 4; the wrist in the picture
    (-1 left or bottom, 1 right or top, at most 2); the size (0: an eighth of the picture's height, +1 for each
    doubling, at most 3); and presence. The picture's own up is kept, as it is of bodies.
    """
    widths = np.broadcast_to(np.asarray(aspect, np.float32)[..., None], np.shape(presence))
    metric = np.array(points, np.float32)
    metric[..., 0] *= widths[..., None]  # the unit is now the picture's height
    wrist = metric[..., WRIST, :]
    size = np.maximum(hand_size(metric), 1e-4)
    relative = (metric - wrist[..., None, :]) / size[..., None, None] * np.array([1.0, -1.0], np.float32)

    features = np.empty((*metric.shape[:-2], EACH), np.float32)
    features[..., : 2 * NUM_POINTS] = np.clip(relative, -_FARTHEST, _FARTHEST).reshape(*metric.shape[:-2], -1)
    features[..., -4] = np.clip(2 * wrist[..., 0] / widths - 1, -2, 2)
    features[..., -3] = np.clip(1 - 2 * wrist[..., 1], -2, 2)
    features[..., -2] = np.clip(np.log2(size / 0.125), -3, 3)
    features[..., -1] = presence
    features[np.asarray(presence) <= 0] = 0
    return features.reshape(*features.shape[:-2], HAND_CHANNELS)
