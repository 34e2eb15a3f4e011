"""Find the main person's landmarks in frames: BlazePose (Bazarevsky et al. 2020) through LiteRT, followed at 4 fps.

A detector looks for a person in the whole picture; a second network finds 33 landmarks in a square cut out around
them. From then on the square comes from the landmarks of the frame before, and the detector looks again only when
the person is lost, the picture changes as a whole, or a while has gone by. Constants are those of the published
models (MediaPipe's documentation of them); the code is ours.
"""

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tvu.video_llm.errors import BackendError
from tvu.video_llm.lite.body import NUM_LANDMARKS, body_features
from tvu.video_llm.lite.flatbuffer import only_outputs
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


def anchors() -> Floats:
    """Middles of the detector's anchors, `[2254, 2]`, fractions of its picture: row by row, coarser grids last."""
    grids = []
    for cells, each in _CELLS:
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
    people = []
    while len(found):
        alike = box_iou(found[0, :4], found[:, :4]) > _SUPPRESSING_IOU
        alike[0] = True
        weights = scores[alike] / scores[alike].sum()
        merged = weights @ found[alike]
        people.append(Person(float(scores[0]), merged[:4], merged[4:6], merged[6:8]))
        found, scores = found[~alike], scores[~alike]
    return people


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
        threads = num_threads or min(4, os.cpu_count() or 1)
        self._detector = _load(folder / DETECTOR_FILE, threads, _OF_DETECTOR)
        self._landmarker = _load(folder / LANDMARK_FILE, threads, _OF_LANDMARKER)
        self._anchors = anchors()

    def people(self, picture: Image.Image, seen: Square | None = None) -> list[Person]:
        """Who is in the picture, or in an upright square of it, best first, in the picture's pixels."""
        width, height = picture.size
        seen = seen or Square(width / 2, height / 2, max(width, height), 0.0)
        cut = np.asarray(seen.cut_out(picture, _DETECTOR_SIDE), np.float32) / 127.5 - 1
        raw, logits = self._run(self._detector, cut, _OF_DETECTOR)
        found = decode_people(raw.reshape(-1, 12), logits.reshape(-1), self._anchors)
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
        values, presence = self._run(self._landmarker, cut, _OF_LANDMARKER)
        rows = values.reshape(39, 5)
        points = square.to_picture(rows[:, :2] / _LANDMARK_SIDE)
        return points, sigmoid(rows[:, 3]), float(presence.reshape(-1)[0])

    @staticmethod
    def _run(network: Any, picture: Floats, wanted: tuple[int, ...]) -> tuple[Floats, ...]:
        """The outputs whose last axis is of each `wanted` size."""
        network.set_tensor(network.get_input_details()[0]["index"], picture[None])
        network.invoke()
        outputs = {int(o["shape"][-1]): o["index"] for o in network.get_output_details()}
        return tuple(np.array(network.get_tensor(outputs[size]), np.float32) for size in wanted)


def _load(path: Path, num_threads: int, wanted: tuple[int, ...]) -> Any:
    """A network with the outputs alone that are no maps and whose last axis is of a `wanted` size."""
    try:
        runtime = importlib.import_module("ai_edge_litert.interpreter")
        content = only_outputs(path.read_bytes(), lambda shape: len(shape) < 4 and shape[-1] in wanted)
        with _nobody_reads_stderr():
            network = runtime.Interpreter(model_content=content, num_threads=num_threads)
            network.allocate_tensors()
    except (ImportError, OSError, ValueError, RuntimeError) as error:
        hint = "LiteRT (ai-edge-litert) runs on Linux; without it people are seen as pictures only"
        raise BackendError(f"cannot run {path.name}: {error}", hint=hint) from error
    return network


@contextmanager
def _nobody_reads_stderr() -> Iterator[None]:
    """LiteRT tells of its own good health on stderr, which is ours, and has no switch for that."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def parts_of(width: int, height: int) -> list[Square]:
    """Overlapping squares that cover a picture, row by row; people too small for the detector are large in one."""
    side = _PART * min(width, height)

    def middles(length: int) -> NDArray[np.float64]:
        return np.linspace(side / 2, length - side / 2, int(np.ceil((length - side) / (0.7 * side))) + 1)

    return [Square(float(x), float(y), side, 0.0) for y in middles(height) for x in middles(width)]


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
        small = np.asarray(picture.resize((16, 12), Image.Resampling.BOX).convert("L"), np.float32)
        changed = self._last_small is not None and float(np.abs(small - self._last_small).mean()) > _CHANGED
        self._last_small = small
        return changed
