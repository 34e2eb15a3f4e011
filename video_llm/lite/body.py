"""Body landmarks of the main person as numbers for `lite`: the one normalisation that training and real video share.

Finding the landmarks on real frames is `lite/pose.py`; animating them is `training/skeletons.py`.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tvu.video_llm.lite.inputs import BODY_CHANNELS

Floats = NDArray[np.float32]

NUM_LANDMARKS: Final = 33
"""The landmarks of BlazePose GHUM: 0-10 face, 11-22 arms and hands (odd: left), 23-32 legs and feet (odd: left)."""

LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_HIP, RIGHT_HIP = 11, 12, 23, 24
BONES: Final = np.array(
    [
        *[(11, 12), (23, 24), (11, 23), (12, 24)],  # trunk
        *[(11, 13), (13, 15), (12, 14), (14, 16)],  # arms
        *[(23, 25), (25, 27), (24, 26), (26, 28)],  # legs
    ]
)
"""Pairs of landmarks. The length of all together changes little when a limb points at the camera."""

_FARTHEST = 4.0  # body sizes from the hips: no real landmark lies there, some bad ones do


def body_size(points: NDArray[np.floating]) -> NDArray[np.floating]:
    """Twice the root mean square length of the bones: about 0.75 m of an adult seen from the front.

    points: `[..., 33, 2]` in a unit that is the same along x and y. Returns `[...]` in that unit.
    """
    bones = points[..., BONES[:, 0], :] - points[..., BONES[:, 1], :]
    return 2 * np.sqrt((bones**2).sum(-1).mean(-1))


def body_features(
    points: NDArray[np.floating],
    visibility: NDArray[np.floating],
    presence: NDArray[np.floating],
    aspect: float | NDArray[np.floating],
) -> Floats:
    """What `lite` sees of a body: float32 `[..., 104]`.

    points: `[..., 33, 2]`, x and y as fractions of the picture's width and height, y downwards; outside [0, 1] where
        the landmark is thought to lie outside the picture.
    visibility: `[..., 33]` in [0, 1]; presence: `[...]` in [0, 1], 0 where nobody was found (zeros come out).
    aspect: width of the picture over its height, one or `[...]`.

    Channels: 33 x (x, y, visibility), x to the right and y up from the middle of the hips in body sizes, at most 4;
    then the middle of the hips in the picture (-1 left or bottom, 1 right or top, at most 2), the size
    (0: a quarter of the picture's height, +1 for each doubling, at most 3), the lean of the trunk from upright
    (half turns, clockwise positive, in [-1, 1]) and presence. The picture's own up is kept: whether a body stands,
    lies or stands on its hands is the first thing to know of it.
    """
    widths = np.broadcast_to(np.asarray(aspect, np.float32), np.shape(presence))
    metric = np.array(points, np.float32)
    metric[..., 0] *= widths[..., None]  # the unit is now the picture's height
    hips = (metric[..., LEFT_HIP, :] + metric[..., RIGHT_HIP, :]) / 2
    shoulders = (metric[..., LEFT_SHOULDER, :] + metric[..., RIGHT_SHOULDER, :]) / 2
    size = np.maximum(body_size(metric), 1e-4)
    relative = (metric - hips[..., None, :]) / size[..., None, None] * np.array([1.0, -1.0], np.float32)
    relative = np.clip(relative, -_FARTHEST, _FARTHEST)
    trunk = shoulders - hips

    features = np.empty((*metric.shape[:-2], BODY_CHANNELS), np.float32)
    landmarks = features[..., : 3 * NUM_LANDMARKS].reshape(*metric.shape[:-2], NUM_LANDMARKS, 3)
    landmarks[..., :2] = relative
    landmarks[..., 2] = visibility
    features[..., : 3 * NUM_LANDMARKS] = landmarks.reshape(*metric.shape[:-2], 3 * NUM_LANDMARKS)
    features[..., -5] = np.clip(2 * hips[..., 0] / widths - 1, -2, 2)
    features[..., -4] = np.clip(1 - 2 * hips[..., 1], -2, 2)
    features[..., -3] = np.clip(np.log2(size / 0.25), -3, 3)
    features[..., -2] = np.arctan2(trunk[..., 0], -trunk[..., 1]) / np.pi
    features[..., -1] = presence
    features[np.asarray(presence) <= 0] = 0
    return features
