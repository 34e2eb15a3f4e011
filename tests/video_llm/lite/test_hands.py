"""What `lite` sees of hands, and how they are found in frames."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tvu.video_llm.lite.hands import EACH, Hands, hand_features, hand_size
from tvu.video_llm.lite.palms import (
    Hand,
    HandFollower,
    HandModels,
    are_one,
    decode_palms,
    moved_up,
    placed,
    square_of,
    squares_of_body,
)
from tvu.video_llm.lite.pose import Bodies, Square, anchors
from tvu.video_llm.training.hand_shapes import GRIPS, shape_of
from tvu.weights.load import located


def points_of(grip: str = "open", palm: float = 40.0, at: tuple[float, float] = (100.0, 150.0)) -> np.ndarray:
    """An upright right hand that shows its palm, `[21, 2]` pixels."""
    shape = shape_of(np.array([GRIPS[grip]]))[0]
    return np.array(at) + palm * shape[:, :2] * (1, -1)


def hand(at: tuple[float, float] = (100.0, 150.0), rightness: float = 1.0) -> Hand:
    points = points_of(at=at)
    return Hand(points, 0.9, rightness, square_of(points))


def features(points: np.ndarray, presence: float = 1.0, aspect: float = 1.0) -> np.ndarray:
    both = np.stack([points, points])[None] / 200
    return hand_features(both, np.array([[presence, 0.0]]), aspect)[0]


def test_points_do_not_depend_on_where_and_how_large_a_hand_is_seen():
    near, far = features(points_of()), features(points_of(palm=20.0, at=(60.0, 60.0)))
    np.testing.assert_allclose(near[:42], far[:42], atol=1e-5)
    assert near[44] - far[44] == pytest.approx(1.0, abs=1e-5)  # twice as large
    assert near[42:44].tolist() == pytest.approx([0.0, -0.5]) and near[45] == 1


def test_an_upright_open_hand_has_its_fingertips_above_its_wrist_and_a_fist_does_not_reach_as_high():
    fingertips = slice(2 * 8 + 1, 42, 8)  # y of those four of index to little finger
    opened, closed = features(points_of())[:42], features(points_of("fist"))[:42]
    assert (opened[fingertips] > closed[fingertips] + 0.8).all() and (closed[fingertips] > 0).all()


def test_a_hand_that_is_not_there_is_zeros():
    told = features(points_of())
    assert told[:EACH].any() and not told[EACH:].any()
    assert not features(points_of(), presence=0.0).any()


def test_how_wide_a_picture_is_does_not_change_a_hand():
    wide = points_of() / (2.0, 1.0)  # the same pixels in a picture twice as wide
    np.testing.assert_allclose(features(points_of())[:42], features(wide, aspect=2.0)[:42], atol=1e-5)


def test_fingers_that_bend_do_not_change_the_size_of_a_hand():
    assert hand_size(points_of("open")) == pytest.approx(hand_size(points_of("fist")), rel=1e-6)


def test_hands_of_other_shapes_are_refused():
    with pytest.raises(ValueError, match="21 points"):
        Hands(np.zeros((3, 1, 21, 2)), np.zeros((3, 1)), 1.0)


def test_the_detector_has_2016_anchors():
    assert anchors(((24, 2), (12, 6))).shape == (2016, 2)


def test_a_palm_becomes_a_square_around_the_whole_hand():
    at = anchors(((24, 2), (12, 6)))
    raw, logits = np.zeros((2016, 18), np.float32), np.full(2016, -9.0, np.float32)
    for row in (600, 601):  # two anchors of one cell say the same, and become one
        raw[row, :4] = 0, 0, 20, 20
        raw[row, 4:6], raw[row, 8:10] = (0, 10), (0, -10)  # the wrist below, the knuckle of the middle finger above
        logits[row] = 5.0
    (square,) = decode_palms(raw, logits, at)
    assert square.angle == pytest.approx(0.0) and square.side == pytest.approx(2.6 * 20 / 192)
    assert (square.x, square.y) == pytest.approx((at[600, 0], at[600, 1] - 0.5 * 20 / 192))


@pytest.mark.parametrize("degrees", [0, 37, 90, 180, -120])
def test_the_square_of_a_hand_turns_with_it_and_holds_it(degrees):
    angle, middle = np.radians(degrees), np.array([100.0, 150.0])
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = middle + (points_of() - middle) @ rotation.T
    square, upright = square_of(points), square_of(points_of())
    assert square.side == pytest.approx(upright.side, rel=1e-6)
    assert np.cos(square.angle - upright.angle - angle) == pytest.approx(1.0)
    inside = (points - (square.x, square.y)) @ np.array(
        [[np.cos(square.angle), -np.sin(square.angle)], [np.sin(square.angle), np.cos(square.angle)]]
    )
    assert np.abs(inside).max() < square.side / 2


def test_where_the_hands_of_a_body_are_is_told_by_its_wrists():
    points, visibility = np.zeros((33, 2)), np.zeros(33)
    points[15], points[17], points[19] = (50, 100), (46, 80), (52, 80)
    visibility[15] = 0.9
    left, right = squares_of_body(points, visibility)
    assert right is None and left is not None
    assert (left.x, left.y) == pytest.approx((50, 80)) and left.angle == pytest.approx(0.0)
    assert left.side == pytest.approx(2 * 20 * 2.7)


def test_a_square_moves_towards_the_fingers():
    square = moved_up(np.array([10.0, 10.0]), 4.0, np.array([1.0, 0.0]), 2.0, 0.5)  # fingers to the right
    assert (square.x, square.y, square.side) == pytest.approx((12.0, 10.0, 8.0))
    assert square.angle == pytest.approx(np.pi / 2)


def test_hands_are_told_apart_by_the_body_then_by_what_they_were_then_by_how_they_look():
    one, other = hand((60, 150), rightness=0.9), hand((160, 150), rightness=0.2)
    nowhere = [None, None]
    assert placed([], [], nowhere) == [None, None]
    assert placed([one], [None], nowhere) == [None, one] and placed([other], [None], nowhere) == [other, None]
    assert placed([one, other], [None, None], nowhere) == [other, one]
    assert placed([one, other], [0, 1], nowhere) == [one, other]
    body = [Square(60, 150, 90, 0), Square(160, 150, 90, 0)]  # the left hand is on the left: it is seen from behind
    assert placed([one, other], [1, 0], body) == [one, other] and placed([other], [None], body) == [None, other]


def test_two_hands_in_one_place_are_one():
    assert are_one(hand((100, 150)), hand((104, 152))) and not are_one(hand((100, 150)), hand((150, 150)))


class OneHand:
    """A right hand in the middle, in pictures that are not black."""

    def __init__(self) -> None:
        self.looked, self.asked = 0, 0

    def squares(self, picture):
        self.looked += 1
        return [hand().square] if self._there(picture) else []

    def hand(self, picture, square):
        self.asked += 1
        return hand() if self._there(picture) else None

    def _there(self, picture: Image.Image) -> bool:
        return picture.getpixel((0, 0)) != (0, 0, 0)


def nobody(steps: int) -> Bodies:
    none = np.zeros((steps, 33, 2), np.float32)
    return Bodies(none, none[..., 0], none[:, 0, 0], 200 / 200)


def test_a_hand_is_followed_and_looked_for_again_only_now_and_then():
    models = OneHand()
    frames = np.full((9, 3, 200, 200), 90, np.uint8)
    found = HandFollower(models).follow(frames, nobody(9))
    assert found.presence[:, 0].tolist() == [0.0] * 9 and (found.presence[:, 1] > 0).all()
    assert found.has_hands.all() and found.features.shape == (9, 92)
    assert models.looked == 3  # at once, and each second for another hand
    np.testing.assert_allclose(found.points[3, 1], points_of() / 200, atol=1e-6)


def test_a_hand_that_is_gone_is_not_told_and_found_again_where_it_comes_back():
    frames = np.full((12, 3, 200, 200), 90, np.uint8)
    frames[3:6] = 0
    found = HandFollower(OneHand()).follow(frames, nobody(12))
    assert found.has_hands.tolist() == [True] * 3 + [False] * 3 + [True] * 6


def test_frames_may_come_some_at_a_time():
    frames = np.full((10, 3, 200, 200), 90, np.uint8)
    whole = HandFollower(OneHand()).follow(frames, nobody(10))
    some = HandFollower(OneHand())
    parts = [some.follow(frames[first : first + 4], nobody(len(frames[first : first + 4]))) for first in (0, 4, 8)]
    np.testing.assert_array_equal(np.concatenate([part.features for part in parts]), whole.features)


def test_hands_too_small_to_tell_their_fingers_are_not_looked_at():
    models = OneHand()
    models.squares = lambda picture: [replace(hand().square, side=15.0)]
    assert not HandFollower(models).follow(np.full((3, 3, 200, 200), 90, np.uint8), nobody(3)).has_hands.any()
    assert models.asked == 0


@pytest.mark.weights
def test_a_grey_picture_holds_no_hand():
    models = HandModels(located("mediapipe-bodies"), num_threads=1)
    assert models.squares(Image.new("RGB", (320, 240), (128, 128, 128))) == []
    assert models.hand(Image.new("RGB", (320, 240), (128, 128, 128)), Square(160, 120, 120, 0.0)) is None
