"""Find the main person's landmarks in frames: BlazePose (Bazarevsky et al. 2020) through LiteRT, followed at 4 fps.

A detector looks for a person in the whole picture; a second network finds 33 landmarks in a square cut out around
them. From then on the square comes from the landmarks of the frame before, and the detector looks again only when
the person is lost, the picture changes as a whole, or a while has gone by. Constants are those of the published
models (MediaPipe's documentation of them); the code is ours.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tvu.video_llm.lite.body import NUM_LANDMARKS, body_features
from tvu.video_llm.lite.litert import Network
from tvu.video_llm.logistic import sigmoid

Floats = NDArray[np.floating[Any]]

DETECTOR_FILE: Final = "pose_detection.tflite"
LANDMARK_FILE: Final = "pose_landmark_full.tflite"

_OF_DETECTOR: Final = (12, 1)  # last axes of the outputs that are read: boxes with points, and their scores
_OF_LANDMARKER: Final = (195, 1)  # landmarks, and the presence of a person
_DETECTOR_SIDE = 224
_LANDMARK_SIDE = 256
_CELLS: Final = ((28, 2), (14, 2), (7, 6))  # cells along a side, anchors in each
_MIN_SCORE = 0.6  # people seen well have 0.85 and more, cups and mixers 0.5 to 0.6
_MIN_PRESENCE = 0.5
_MIN_SMALL_SCORE, _MIN_SMALL_PRESENCE = 0.7, 0.8  # of people found in a part of the picture, where more look like one
_LARGEST = 4.0  # side of the square in picture heights; of a face that fills the picture no body can be told
_PART = 0.45  # side of the parts of a picture that are searched for small people, in its shorter sides
_SUPPRESSING_IOU = 0.3
_MARGIN = 1.25  # of the square around a person
_HIPS, _EDGE = 33, 34  # further landmarks: the middle of the hips and a point on the circle around the body
_CHANGED = 38.0  # mean difference of two small grey pictures, out of 255, from which on they are of two shots
_LOOK_AGAIN_STEPS = 8
_NOBODY_STEPS = 6  # without anybody, after which every other step is searched, in whole or in part by turns


@dataclass(frozen=True)
class Bodies:
    """The main person in T frames of one video.

    points: float32 `[T, 33, 2]`, fractions of the picture's width and height; visibility: float32 `[T, 33]` in [0, 1];
    presence: float32 `[T]` in [0, 1], 0 where nobody was found; aspect: width over height.
    """

    points: Floats
    visibility: Floats
    presence: Floats
    aspect: float

    def __post_init__(self) -> None:
        steps = len(self.presence)
        if self.points.shape != (steps, NUM_LANDMARKS, 2) or self.visibility.shape != (steps, NUM_LANDMARKS):
            raise ValueError(f"33 landmarks for each of {steps} frames, not {self.points.shape}")

    @property
    def features(self) -> Floats:
        """float32 `[T, 104]`: see `body_features`."""
        return body_features(self.points, self.visibility, self.presence, self.aspect)

    @property
    def has_body(self) -> NDArray[np.bool_]:
        """bool `[T]`."""
        return self.presence > 0


@dataclass(frozen=True)
class Square:
    """A turned square in a picture: middle and side in pixels, angle in radians clockwise."""

    x: float
    y: float
    side: float
    angle: float

    @staticmethod
    def around(middle: NDArray[np.floating], edge: NDArray[np.floating]) -> "Square":
        """The square around a body whose hips are at `middle` and whose circle goes through `edge`, above its head."""
        dx, dy = edge - middle
        angle = np.pi / 2 - np.arctan2(-dy, dx)
        turned = (angle + np.pi) % (2 * np.pi) - np.pi
        return Square(float(middle[0]), float(middle[1]), float(2 * np.hypot(dx, dy) * _MARGIN), float(turned))

    def to_picture(self, points: NDArray[np.floating]) -> Floats:
        """Points `[..., 2]` in fractions of the square, as pixels of the picture."""
        x, y = (points[..., 0] - 0.5) * self.side, (points[..., 1] - 0.5) * self.side
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        return np.stack([self.x + x * cos - y * sin, self.y + x * sin + y * cos], -1).astype(np.float32)

    def cut_out(self, picture: Image.Image, pixels: int) -> Image.Image:
        """What is in the square, upright, `pixels` wide and high; black outside the picture."""
        shrink = max(1, int(self.side / pixels))
        if shrink > 1:  # or a bilinear filter would skip pixels
            picture = picture.reduce(shrink)
        step = self.side / pixels / shrink
        cos, sin = np.cos(self.angle) * step, np.sin(self.angle) * step
        half = pixels / 2
        x, y = self.x / shrink, self.y / shrink
        terms = (cos, -sin, x - cos * half + sin * half, sin, cos, y - sin * half - cos * half)
        return picture.transform((pixels, pixels), Image.Transform.AFFINE, terms, Image.Resampling.BILINEAR)


@dataclass(frozen=True)
class Person:
    """What the detector found, in pixels. box: left, top, right, bottom; hips, edge: as in `Square.around`."""

    score: float
    box: Floats
    hips: Floats
    edge: Floats

    @property
    def square(self) -> Square:
        return Square.around(self.hips, self.edge)


def anchors(cells_of_grids: Sequence[tuple[int, int]] = _CELLS) -> Floats:
    """Middles of a detector's anchors, `[N, 2]`, fractions of its picture: row by row, coarser grids last.

    cells_of_grids: cells along a side, and anchors in each.
    """
    grids = []
    for cells, each in cells_of_grids:
        middles = (np.arange(cells) + 0.5) / cells
        y, x = np.meshgrid(middles, middles, indexing="ij")
        grids.append(np.repeat(np.stack([x, y], -1).reshape(-1, 2), each, axis=0))
    return np.concatenate(grids).astype(np.float32)


def decode_people(raw: Floats, logits: Floats, at: Floats) -> list[Person]:
    """People in the detector's picture, best first, in fractions of its side.

    raw: `[2254, 12]`: box (middle x, y, width, height) and four points (hips, edge of the body, two of the upper body),
    in pixels from the anchors `at` `[2254, 2]`; logits: `[2254]`. Overlapping boxes are averaged with their scores as
    weights (BlazeFace, Bazarevsky et al. 2019), which trembles less from frame to frame than keeping the best.
    """
    scores = sigmoid(logits)
    keep = np.flatnonzero(scores >= _MIN_SCORE)
    keep = keep[np.argsort(-scores[keep])]
    scores, raw, at = scores[keep], raw[keep] / _DETECTOR_SIDE, at[keep]
    middle, half = raw[:, :2] + at, raw[:, 2:4] / 2
    points = raw[:, 4:8].reshape(-1, 2, 2) + at[:, None]
    found = np.concatenate([middle - half, middle + half, points.reshape(-1, 4)], 1)
    return [Person(score, row[:4], row[4:6], row[6:8]) for score, row in averaged(found, scores)]


def averaged(found: Floats, scores: Floats) -> Iterator[tuple[float, Floats]]:
    """Rows `[N, ...]` that begin with a box, best first: those that overlap become one, their mean by their scores,
    with the score of the best."""
    while len(found):
        alike = box_iou(found[0, :4], found[:, :4]) > _SUPPRESSING_IOU
        alike[0] = True
        weights = scores[alike] / scores[alike].sum()
        yield float(scores[0]), weights @ found[alike]
        found, scores = found[~alike], scores[~alike]


def box_iou(one: Floats, many: Floats) -> Floats:
    """Overlap of a box `[4]` with boxes `[N, 4]` (left, top, right, bottom), over their union: `[N]`."""
    low, high = np.maximum(one[:2], many[:, :2]), np.minimum(one[2:], many[:, 2:])
    shared = np.clip(high - low, 0, None).prod(1)
    areas = (many[:, 2:] - many[:, :2]).prod(1) + (one[2:] - one[:2]).prod()
    return shared / np.maximum(areas - shared, 1e-9)


def _main(people: list[Person], width: int, height: int) -> Person:
    """The person that a video is about: large, near the middle, surely a person."""

    def rank(person: Person) -> float:
        aside = abs(person.hips[0] / width - 0.5)
        return person.score * person.square.side / max(width, height) * (1 - 0.5 * aside)

    return max(people, key=rank)


class PoseModels:
    """The two networks. Raises BackendError if LiteRT is missing or cannot load them."""

    def __init__(self, folder: Path, num_threads: int | None = None) -> None:
        self._detector = Network(folder / DETECTOR_FILE, num_threads, _OF_DETECTOR)
        self._landmarker = Network(folder / LANDMARK_FILE, num_threads, _OF_LANDMARKER)
        self._anchors = anchors()

    def people(self, picture: Image.Image, seen: Square | None = None) -> list[Person]:
        """Who is in the picture, or in an upright square of it, best first, in the picture's pixels."""
        width, height = picture.size
        seen = seen or Square(width / 2, height / 2, max(width, height), 0.0)
        cut = np.asarray(seen.cut_out(picture, _DETECTOR_SIDE), np.float32) / 127.5 - 1
        told = {each.shape[-1]: each for each in self._detector(cut)}
        found = decode_people(told[12], told[1].reshape(-1), self._anchors)
        people = [
            replace(
                person,
                box=seen.to_picture(person.box.reshape(2, 2)).reshape(4),
                hips=seen.to_picture(person.hips),
                edge=seen.to_picture(person.edge),
            )
            for person in found
        ]
        return [person for person in people if person.square.side <= _LARGEST * height]

    def landmarks(self, picture: Image.Image, square: Square) -> tuple[Floats, Floats, float]:
        """Points `[39, 2]` in pixels of the picture, visibility `[39]`, and the probability of a person there."""
        cut = np.asarray(square.cut_out(picture, _LANDMARK_SIDE), np.float32) / 255
        told = {each.shape[-1]: each for each in self._landmarker(cut)}
        rows = told[195].reshape(39, 5)
        points = square.to_picture(rows[:, :2] / _LANDMARK_SIDE)
        return points, sigmoid(rows[:, 3]), float(told[1][0])


def parts_of(width: int, height: int) -> list[Square]:
    """Overlapping squares that cover a picture, row by row; people too small for the detector are large in one."""
    side = _PART * min(width, height)

    def middles(length: int) -> NDArray[np.float64]:
        return np.linspace(side / 2, length - side / 2, int(np.ceil((length - side) / (0.7 * side))) + 1)

    return [Square(float(x), float(y), side, 0.0) for y in middles(height) for x in middles(width)]


def small_grey(picture: Image.Image) -> Floats:
    """A picture as 16 x 12 grey ones, which tell one shot from another."""
    return np.asarray(picture.resize((16, 12), Image.Resampling.BOX).convert("L"), np.float32)


def is_new_shot(before: Floats | None, now: Floats) -> bool:
    """Whether two pictures, as `small_grey`, are of two shots; the first is of none that would be left."""
    return before is not None and float(np.abs(now - before).mean()) > _CHANGED


class BodyFollower:
    """Follows the main person through the frames of one video, given in order, some at a time."""

    def __init__(self, models: PoseModels) -> None:
        self._models = models
        self._square: Square | None = None
        self._last_seen: Square | None = None
        self._last_small: Floats | None = None
        self._since_look = 0
        self._next_part = 0
        self._alone = 0  # steps since anybody was seen

    def follow(self, frames: NDArray[np.uint8]) -> Bodies:
        """frames: `[T, 3, H, W]` RGB, about a quarter second apart."""
        steps, _, height, width = frames.shape
        points = np.zeros((steps, NUM_LANDMARKS, 2), np.float32)
        visibility = np.zeros((steps, NUM_LANDMARKS), np.float32)
        presence = np.zeros(steps, np.float32)
        for step in range(steps):
            picture = Image.fromarray(np.ascontiguousarray(frames[step].transpose(1, 2, 0)))
            found = self._find(picture)
            if found:
                points[step] = found[0] / np.array([width, height], np.float32)
                visibility[step], presence[step] = found[1], found[2]
        return Bodies(points, visibility, presence, width / height)

    def _find(self, picture: Image.Image) -> tuple[Floats, Floats, float] | None:
        """Landmarks where the person was, or of whoever is found now, or in one part of the picture, in turn."""
        if self._is_new_shot(picture):
            self._square = self._last_seen = None
            self._alone = 0
        self._alone += 1
        if self._alone > _NOBODY_STEPS and self._alone % 2 == 0:
            return None
        self._since_look += 1
        if self._square and self._since_look < _LOOK_AGAIN_STEPS:
            found = self._at(picture, self._square, _MIN_PRESENCE)
            if found:
                return found
        self._since_look = 0
        near, least = self._near(picture), _MIN_SMALL_PRESENCE
        people = near and self._small(picture, near)
        looks_at_part = self._alone > _NOBODY_STEPS and self._alone % 4 == 1
        if not people and not looks_at_part:
            people, least = self._models.people(picture), _MIN_PRESENCE
        if not people and self._square:  # the detector wants a face or a front; the one followed may turn their back
            return self._at(picture, self._square, _MIN_SMALL_PRESENCE)
        if not people and (looks_at_part or self._alone <= _NOBODY_STEPS):
            parts = parts_of(*picture.size)
            people, least = self._small(picture, parts[self._next_part % len(parts)]), _MIN_SMALL_PRESENCE
            self._next_part += 5  # neighbours overlap, so the next one looked at is elsewhere
        return self._at(picture, _main(people, *picture.size).square, least) if people else None

    def _near(self, picture: Image.Image) -> Square | None:
        """Where to look first for somebody small who was seen a moment ago."""
        seen = self._square or self._last_seen
        if seen is None or seen.side > _PART * min(picture.size):
            return None
        return Square(seen.x, seen.y, 2.5 * seen.side, 0.0)

    def _small(self, picture: Image.Image, part: Square) -> list[Person]:
        found = self._models.people(picture, part)
        return [p for p in found if p.score >= _MIN_SMALL_SCORE and p.square.side <= part.side]

    def _at(self, picture: Image.Image, square: Square, least: float) -> tuple[Floats, Floats, float] | None:
        """Landmarks in `square`, which say where to look in the next frame; None if nobody is there."""
        points, visibility, presence = self._models.landmarks(picture, square)
        self._square = Square.around(points[_HIPS], points[_EDGE])
        if presence < least or self._square.side > _LARGEST * picture.height:
            self._square = None
            return None
        self._last_seen = self._square
        self._alone = 0
        return points[:NUM_LANDMARKS], visibility[:NUM_LANDMARKS], presence

    def _is_new_shot(self, picture: Image.Image) -> bool:
        small = small_grey(picture)
        is_new = is_new_shot(self._last_small, small)
        self._last_small = small
        return is_new
