"""Find the hands of the main person in frames: MediaPipe Hands (Zhang et al. 2020, arXiv 2006.10214) through LiteRT,
followed at 4 fps.

A detector looks for palms in the whole picture; a second network finds 21 points in a turned square around each. From
then on the square comes from the points of the frame before, or from the wrist of the body that `lite/pose.py` found,
and the detector looks again now and then. Constants are those of the published models; the code is ours.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tvu.video_llm.lite.hands import INDEX, LITTLE, MIDDLE, NUM_POINTS, WRIST, Hands
from tvu.video_llm.lite.litert import Network
from tvu.video_llm.lite.pose import Bodies, Square, anchors, averaged, is_new_shot, small_grey
from tvu.video_llm.logistic import sigmoid

Floats = NDArray[np.floating[Any]]

DETECTOR_FILE: Final = "palm_detection_full.tflite"
POINTS_FILE: Final = "hand_landmark_full.tflite"

_DETECTOR_SIDE, _POINTS_SIDE = 192, 224
_CELLS: Final = ((24, 2), (12, 6))
_MIN_SCORE = 0.5
_MIN_PRESENCE = 0.5
_PALM_SCALE, _PALM_UP = 2.6, 0.5  # of the square around a palm, and how far it moves towards the fingers, in palms
_HAND_SCALE, _HAND_UP = 2.0, 0.1  # the same of one around what stays in place of a hand when its fingers move
_STEADY: Final = (0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18)
_BODY_SCALE = 2.7  # of a square whose side is twice the way from the wrist to the middle of the knuckles
_SMALLEST = 0.1  # side of a square in picture heights: fingers of smaller hands cannot be told
_SAME_PLACE = 0.15  # of the side of its square, as far as a hand's palm may be from the same hand's
_WRISTS: Final = ((15, 17, 19), (16, 18, 20))  # wrist, little finger and index of a body's two hands
_SEEN = 0.5  # how visible a wrist is
_LOOK_AGAIN_STEPS, _NOBODY_STEPS = 4, 8


@dataclass(frozen=True)
class Hand:
    """One hand. points: float32 `[21, 2]` pixels of the picture; presence in [0, 1]; rightness: how likely it is a
    right hand, in [0, 1]; square: where it is looked for in the next frame."""

    points: Floats
    presence: float
    rightness: float
    square: Square


def decode_palms(raw: Floats, logits: Floats, at: Floats) -> list[Square]:
    """Squares around hands in the detector's picture, those of the best palms first, in fractions of its side.

    raw: `[2016, 18]`: box (middle x, y, width, height) and seven points, of which the first is the wrist and the third
    the knuckle of the middle finger, in pixels from the anchors `at` `[2016, 2]`; logits: `[2016]`.
    """
    scores = sigmoid(logits)
    keep = np.flatnonzero(scores >= _MIN_SCORE)
    keep = keep[np.argsort(-scores[keep])]
    scores, raw, at = scores[keep], raw[keep] / _DETECTOR_SIDE, at[keep]
    middle, half = raw[:, :2] + at, raw[:, 2:4] / 2
    points = raw[:, 4:].reshape(-1, 7, 2) + at[:, None]
    found = np.concatenate([middle - half, middle + half, points[:, 0], points[:, 2]], 1)
    squares = []
    for _, row in averaged(found, scores):
        low, high, wrist, knuckle = row.reshape(4, 2)
        squares.append(moved_up((low + high) / 2, float((high - low).max()), knuckle - wrist, _PALM_SCALE, _PALM_UP))
    return squares


def moved_up(middle: Floats, side: float, up: Floats, scale: float, by: float) -> Square:
    """A square that is turned so that `up` is its up, moved that way by a share of its side, and made larger."""
    angle = float((np.pi / 2 - np.arctan2(-up[1], up[0]) + np.pi) % (2 * np.pi) - np.pi)
    x, y = middle + by * side * np.array([np.sin(angle), -np.cos(angle)])
    return Square(float(x), float(y), scale * side, angle)


def square_of(points: Floats) -> Square:
    """Where to look next for a hand whose 21 points are these."""
    knuckles = (points[[5, 13]].mean(0) + points[MIDDLE]) / 2
    up = knuckles - points[WRIST]
    turned = moved_up(np.zeros(2), 0.0, up, 1.0, 0.0).angle
    cos, sin = np.cos(turned), np.sin(turned)
    rows = points[list(_STEADY)] @ np.array([[cos, -sin], [sin, cos]])  # upright
    low, high = rows.min(0), rows.max(0)
    middle = np.array([[cos, -sin], [sin, cos]]) @ ((low + high) / 2)
    return moved_up(middle, float((high - low).max()), up, _HAND_SCALE, _HAND_UP)


def squares_of_body(points: Floats, visibility: Floats) -> list[Square | None]:
    """Where the left and the right hand of a body are; None where its wrist cannot be seen.

    points: `[33, 2]` pixels; visibility: `[33]`.
    """
    found: list[Square | None] = []
    for wrist, little, index in _WRISTS:
        knuckles = (2 * points[index] + points[little]) / 3
        up = knuckles - points[wrist]
        side = 2 * float(np.hypot(*up))
        found.append(moved_up(knuckles, side, up, _BODY_SCALE, 0.0) if visibility[wrist] >= _SEEN and side else None)
    return found


class HandModels:
    """The two networks. Raises BackendError if LiteRT is missing or cannot load them."""

    def __init__(self, folder: Path, num_threads: int | None = None) -> None:
        self._detector = Network(folder / DETECTOR_FILE, num_threads, (18, 1))
        self._pointer = Network(folder / POINTS_FILE, num_threads, (63, 1))
        self._anchors = anchors(_CELLS)

    def squares(self, picture: Image.Image) -> list[Square]:
        """Around the hands in a picture, best first, in its pixels."""
        width, height = picture.size
        whole = Square(width / 2, height / 2, max(width, height), 0.0)
        cut = np.asarray(whole.cut_out(picture, _DETECTOR_SIDE), np.float32) / 255
        told = {each.shape[-1]: each for each in self._detector(cut)}
        found = decode_palms(told[18], told[1].reshape(-1), self._anchors)
        middles = whole.to_picture(np.array([(each.x, each.y) for each in found]).reshape(-1, 2)).tolist()
        return [Square(x, y, each.side * whole.side, each.angle) for (x, y), each in zip(middles, found, strict=True)]

    def hand(self, picture: Image.Image, square: Square) -> Hand | None:
        """The hand in a square; None where there is none."""
        cut = np.asarray(square.cut_out(picture, _POINTS_SIDE), np.float32) / 255
        values, presence, rightness = self._pointer(cut)[:3]
        if presence[0] < _MIN_PRESENCE:
            return None
        points = square.to_picture(values.reshape(NUM_POINTS, 3)[:, :2] / _POINTS_SIDE)
        # the published model was made for mirrored pictures
        return Hand(points, float(presence[0]), 1 - float(rightness[0]), square_of(points))


class HandFollower:
    """Follows up to two hands through the frames of one video, given in order, some at a time."""

    def __init__(self, models: HandModels) -> None:
        self._models = models
        self._slots: list[Hand | None] = [None, None]
        self._last_small: Floats | None = None
        self._since_look = _LOOK_AGAIN_STEPS
        self._alone = 0
        self._step = -1

    def follow(self, frames: NDArray[np.uint8], bodies: Bodies) -> Hands:
        """frames: `[T, 3, H, W]` RGB, about a quarter second apart; bodies: who was found in them."""
        steps, _, height, width = frames.shape
        points = np.zeros((steps, 2, NUM_POINTS, 2), np.float32)
        presence = np.zeros((steps, 2), np.float32)
        size = np.array([width, height], np.float32)
        for step in range(steps):
            picture = Image.fromarray(np.ascontiguousarray(frames[step].transpose(1, 2, 0)))
            of_body: list[Square | None] = [None, None]
            if bodies.presence[step] > 0:
                of_body = squares_of_body(bodies.points[step] * size, bodies.visibility[step])
            self._slots = self._find(picture, of_body)
            for slot, hand in enumerate(self._slots):
                if hand is not None:
                    points[step, slot], presence[step, slot] = hand.points / size, hand.presence
        return Hands(points, presence, width / height)

    def _find(self, picture: Image.Image, of_body: list[Square | None]) -> list[Hand | None]:
        """Those that were there, then those that the body has, then any, until there are two."""
        small = small_grey(picture)
        if is_new_shot(self._last_small, small):
            self._slots, self._since_look, self._alone = [None, None], _LOOK_AGAIN_STEPS, 0
        self._last_small = small
        least = _SMALLEST * picture.height
        found: list[Hand] = []
        slots = list[int | None]()  # that they had
        for slot, hand in enumerate(self._slots):
            if hand is not None:
                self._look(picture, hand.square, least, found)
                slots += [slot] * (len(found) - len(slots))
        self._step += 1
        for slot, square in enumerate(of_body):  # one that is not there costs as much as one that is
            if square is not None and len(found) < 2 and (self._step + 2 * slot) % 4 == 0:
                self._look(picture, square, least, found)
        self._since_look += 1
        seldom = _LOOK_AGAIN_STEPS if found or self._alone > _NOBODY_STEPS else 2
        if len(found) < 2 and self._since_look >= seldom:
            self._since_look = 0
            for square in self._models.squares(picture):
                if len(found) < 2:
                    self._look(picture, square, least, found)
        self._alone = 0 if found else self._alone + 1
        slots += [None] * (len(found) - len(slots))
        return placed(found, slots, of_body)

    def _look(self, picture: Image.Image, square: Square, least: float, found: list[Hand]) -> None:
        """Adds the hand in a square to those that were found, where it is none of them."""
        hand = self._models.hand(picture, square) if square.side >= least else None
        if hand is not None and not any(are_one(hand, other) for other in found):
            found.append(hand)


def are_one(a: Hand, b: Hand) -> bool:
    """Whether two hands are in the same place: their palms, since hands that hold each other share a box."""
    palms = [hand.points[[WRIST, INDEX, LITTLE]].mean(0) for hand in (a, b)]
    return float(np.hypot(*(palms[0] - palms[1]))) < _SAME_PLACE * min(a.square.side, b.square.side)


def placed(hands: list[Hand], slots: list[int | None], of_body: list[Square | None]) -> list[Hand | None]:
    """Up to two hands as the left and the right one: by the wrists of the body where both are seen, else as they were,
    else by what they look like.

    slots: which of both each was; None of a new one. of_body: where the hands of the body are.
    """
    left, right = of_body
    scores = []
    for hand, slot in zip(hands, slots, strict=True):
        if left is not None and right is not None:
            x, y = hand.points[[WRIST, INDEX, LITTLE]].mean(0)
            score = float(np.hypot(x - left.x, y - left.y) - np.hypot(x - right.x, y - right.y)) / hand.square.side
        else:
            score = hand.rightness - 0.5 if slot is None else 2.0 * slot - 1.0
        scores.append(score)
    if not hands:
        return [None, None]
    if len(hands) == 1:
        return [None, hands[0]] if scores[0] >= 0 else [hands[0], None]
    return [hands[0], hands[1]] if scores[0] <= scores[1] else [hands[1], hands[0]]
