"""What `lite` sees of a body, and how the main person is found in frames."""

from typing import ClassVar

import numpy as np
import pytest

from tvu.video_llm.lite.body import body_features
from tvu.video_llm.lite.litert import Network
from tvu.video_llm.lite.pose import (
    DETECTOR_FILE,
    LANDMARK_FILE,
    Bodies,
    BodyFollower,
    PoseModels,
    Square,
    anchors,
    box_iou,
    decode_people,
    parts_of,
)
from tvu.video_llm.training.kinematics import Build, landmarks_of
from tvu.video_llm.training.motions import POSTURES, Animator
from tvu.weights.load import located


def _standing(posture: str = "stand") -> np.ndarray:
    """Landmarks of somebody in the middle of a square picture, `[33, 2]`, fractions of it."""
    animator = Animator(np.random.default_rng(0), posture, 0.0, 0.0, 0.0)
    numbers = np.concatenate([track.values[0] for track in animator.tracks().values()])
    metres = landmarks_of(numbers[None], [Build()], np.zeros(1, np.int64))[0]
    return np.stack([0.5 + metres[:, 0] / 4, 0.8 - metres[:, 1] / 4], -1)


def _features(points: np.ndarray, aspect: float = 1.0, presence: float = 1.0) -> np.ndarray:
    return body_features(points[None], np.ones((1, 33)), np.array([presence]), aspect)[0]


def test_landmarks_do_not_depend_on_where_and_how_large_a_person_is_seen():
    near, far = _standing(), 0.3 + _standing() * 0.2
    np.testing.assert_allclose(_features(near)[:99], _features(far)[:99], atol=1e-4)
    assert _features(near)[-3] - _features(far)[-3] == pytest.approx(np.log2(5), abs=1e-3)


def test_the_same_person_in_a_wider_picture_has_the_same_landmarks():
    wide = _standing()
    wide[:, 0] = 0.5 + (wide[:, 0] - 0.5) * 9 / 16
    np.testing.assert_allclose(_features(_standing())[:99], _features(wide, 16 / 9)[:99], atol=1e-4)


def test_up_is_up_and_the_hips_are_the_middle():
    landmarks = _features(_standing())[:99].reshape(33, 3)
    assert landmarks[0, 1] > 0.5 > 0 > -0.5 > landmarks[31, 1]
    np.testing.assert_allclose(landmarks[23:25, :2].mean(0), 0, atol=1e-6)


def test_the_lean_tells_standing_from_lying_and_from_being_upside_down():
    lying = np.stack([_standing()[:, 1], _standing()[:, 0]], -1)  # head to the left
    assert _features(_standing())[-2] == pytest.approx(0, abs=0.02)
    assert _features(lying)[-2] == pytest.approx(-0.5, abs=0.02)
    assert abs(_features(1 - _standing())[-2]) == pytest.approx(1, abs=0.02)


def test_nobody_is_zeros():
    assert not _features(_standing(), presence=0.0).any()


def test_features_of_many_videos_at_once_are_those_of_each():
    points = np.stack([_standing("stand"), _standing("sit")])
    aspects = np.array([1.0, 16 / 9])
    together = body_features(points, np.ones((2, 33)), np.ones(2), aspects)
    for row, aspect in enumerate(aspects):
        np.testing.assert_allclose(together[row], _features(points[row], float(aspect)), atol=1e-6)


def test_the_detector_has_2254_anchors():
    assert anchors().shape == (2254, 2)
    np.testing.assert_allclose(anchors()[0], 0.5 / 28)


def test_boxes_of_one_person_are_averaged_and_two_people_stay_two():
    at = np.array([[0.3, 0.5], [0.31, 0.5], [0.8, 0.5]], np.float32)
    raw = np.zeros((3, 12), np.float32)
    raw[:, 2:4] = 0.2 * 224
    people = decode_people(raw, np.array([2.0, 2.0, 3.0], np.float32), at)
    assert [round(float(person.hips[0]), 3) for person in people] == [0.8, 0.305]


def test_overlap_of_a_box_with_itself_is_whole_and_with_its_half_is_half():
    box = np.array([0, 0, 2, 1], np.float32)
    np.testing.assert_allclose(box_iou(box, np.array([[0, 0, 2, 1], [0, 0, 1, 1]], np.float32)), [1, 0.5])


def test_the_square_of_an_upright_person_is_upright_and_of_one_upside_down_is_turned_by_a_half():
    hips = np.array([50.0, 60.0])
    assert Square.around(hips, hips - np.array([0, 20])) == Square(50, 60, 50, 0)
    assert abs(Square.around(hips, hips + np.array([0, 20])).angle) == pytest.approx(np.pi)


def test_what_is_cut_out_lies_where_it_is_said_to_lie():
    from PIL import Image

    pixels = np.zeros((200, 300, 3), np.uint8)
    pixels[118:123, 178:183] = 255
    square = Square(150, 100, 128, 0.7)
    cut = np.asarray(square.cut_out(Image.fromarray(pixels), 256), float).sum(-1)
    row, column = np.argwhere(cut > 300).mean(0) + 0.5
    np.testing.assert_allclose(square.to_picture(np.array([column, row]) / 256), [180.5, 120.5], atol=0.6)


def test_the_parts_searched_for_small_people_cover_the_picture():
    seen = np.zeros((300, 400), bool)
    for part in parts_of(400, 300):
        left, top = round(part.x - part.side / 2), round(part.y - part.side / 2)
        seen[top : top + round(part.side), left : left + round(part.side)] = True
    assert seen.all()


class _OnePerson:
    """Pose models of a world with one person in the left half, who can be followed but is detected only at first."""

    def __init__(self) -> None:
        self.looks = 0

    def people(self, picture, seen=None):
        self.looks += 1
        points = np.zeros((1, 12), np.float32)
        points[0, 2:8] = [60, 60, 0, 0, 0, -56]
        people = decode_people(points, np.array([3.0], np.float32), np.array([[0.3, 0.5]], np.float32))
        scale = float(picture.size[0])
        return [type(p)(p.score, p.box * scale, p.hips * scale, p.edge * scale) for p in people] if seen is None else []

    def landmarks(self, picture, square):
        points = np.full((39, 2), [square.x, square.y], np.float32)
        points[34] -= [0, square.side / 2.5]
        is_there = np.asarray(picture).mean() > 0
        return points, np.ones(39, np.float32), 1.0 if is_there else 0.0


def test_a_person_is_detected_once_and_then_followed():
    models = _OnePerson()
    bodies = BodyFollower(models).follow(np.full((7, 3, 90, 120), 90, np.uint8))
    assert models.looks == 1
    assert bodies.has_body.all()
    assert bodies.features.shape == (7, 104)


def test_a_person_who_is_lost_is_looked_for():
    models = _OnePerson()
    frames = np.full((6, 3, 90, 120), 30, np.uint8)
    frames[2:4] = 0
    bodies = BodyFollower(models).follow(frames)
    assert bodies.has_body.tolist() == [True, True, False, False, True, True]
    assert models.looks > 2


def test_landmarks_that_do_not_fit_their_frames_are_refused():
    with pytest.raises(ValueError, match="33 landmarks"):
        Bodies(np.zeros((2, 33, 2), np.float32), np.zeros((3, 33), np.float32), np.zeros(3, np.float32), 1.0)


def test_every_posture_touches_the_floor():
    for posture in POSTURES:
        assert _standing(posture)[:, 1].max() == pytest.approx(0.8, abs=1e-6)


@pytest.mark.weights
def test_a_grey_picture_holds_nobody():
    models = PoseModels(located("mediapipe-bodies"), num_threads=1)
    bodies = BodyFollower(models).follow(np.full((2, 3, 240, 320), 128, np.uint8))
    assert not bodies.has_body.any()
    assert not bodies.features.any()


@pytest.mark.weights
@pytest.mark.parametrize(("name", "has_more"), [(DETECTOR_FILE, False), (LANDMARK_FILE, True)])
def test_a_network_without_its_other_outputs_says_the_same(name, has_more):
    """To the bit: features that training saw were made with all of them."""
    from ai_edge_litert.interpreter import Interpreter

    path = located("mediapipe-bodies") / name
    network = Interpreter(str(path))
    network.allocate_tensors()
    asked = network.get_input_details()[0]
    picture = np.random.default_rng(0).random(asked["shape"], np.float32)
    network.set_tensor(asked["index"], picture)
    network.invoke()
    whole = {tuple(each["shape"]): network.get_tensor(each["index"]) for each in network.get_output_details()}
    read = Network(path, 1, (12, 195, 1))(picture[0])
    assert len(read) == 2 and (len(whole) > 2) == has_more
    for values in read:
        np.testing.assert_array_equal(values, whole[1, *values.shape][0])


def test_where_nobody_is_less_is_searched_but_the_whole_and_its_parts_in_turn():
    class Nobody:
        looked: ClassVar[list[bool]] = []

        def people(self, picture, part=None):
            self.looked.append(part is None)
            return []

    BodyFollower(Nobody()).follow(np.zeros((24, 3, 90, 160), np.uint8))
    assert len(Nobody.looked) == 6 * 2 + 9
    assert {True, False} <= set(Nobody.looked[12:])
