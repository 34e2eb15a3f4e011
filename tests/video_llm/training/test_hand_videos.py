"""Generated videos of hands: what is said of them is what they do."""

from itertools import pairwise

import numpy as np
import pytest

from tvu.video_llm.lite.hands import EACH
from tvu.video_llm.training.hand_deeds import DEEDS, HandAnimator
from tvu.video_llm.training.hand_shapes import GRIPS, NAMES, found, seen, shape_of, turned
from tvu.video_llm.training.hand_videos import HandWorld
from tvu.video_llm.training.kinematics import values_at

TIPS = [4, 8, 12, 16, 20]


@pytest.fixture(scope="module")
def plans():
    world = HandWorld("train")
    return world, [world.draw(np.random.default_rng(seed)) for seed in range(150)]


def numbers(**told: float) -> np.ndarray:
    row = np.zeros((1, len(NAMES)))
    for name, value in told.items():
        row[0, NAMES.index(name)] = value
    return row


def shape(grip: str) -> np.ndarray:
    return shape_of(np.array([GRIPS[grip]]))


@pytest.mark.parametrize(
    ("grip", "up"), [("point", [8]), ("peace", [8, 12]), ("four", [8, 12, 16, 20]), ("horns", [8, 20]), ("fist", [])]
)
def test_fingers_that_a_sign_shows_are_straight_and_the_others_are_not(grip, up):
    points = shape(grip)[0]
    for tip in TIPS[1:]:
        straight = points[tip, 1] - points[tip - 3, 1]  # above its knuckle
        assert (straight > 0.6) == (tip in up)


def test_bones_of_a_hand_keep_their_lengths():
    lengths = []
    for grip in GRIPS:
        points = shape(grip)[0]
        chains = [[1 + 4 * finger + joint for joint in range(4)] for finger in range(5)]
        lengths.append([np.linalg.norm(points[b] - points[a]) for c in chains for a, b in pairwise(c)])
    np.testing.assert_allclose(lengths, np.broadcast_to(lengths[0], np.shape(lengths)), atol=1e-9)


def test_a_left_hand_is_the_mirror_picture_of_a_right_one():
    told = numbers(yaw=30, pitch=10, roll=20)
    right, left = (turned(shape("peace"), told, is_left) for is_left in (False, True))
    np.testing.assert_allclose(left * (-1, 1, 1), right)


def test_a_palm_shows_the_thumb_of_a_right_hand_on_the_right_and_its_back_on_the_left():
    palm, back = (seen(turned(shape("open"), n, False), n, 0.2)[0] for n in (numbers(), numbers(yaw=180)))
    assert palm[4, 0] > 0.05 and back[4, 0] < -0.05
    rolled = seen(turned(shape("open"), n := numbers(roll=90), False), n, 0.2)[0]
    assert rolled[12, 0] > 0.2 and abs(rolled[12, 1]) < 0.1  # clockwise: fingers to the right


def test_every_deed_is_said_in_several_ways_and_ends_where_it_began():
    assert len({deed.name for deed in DEEDS}) == len(DEEDS)
    for deed in DEEDS:
        assert len(deed.phrases) >= 3 and deed.name in deed.looks
        for view in deed.views:
            a = HandAnimator(np.random.default_rng(1), view, (0, 1))
            deed.move(a, 1.0, 1.0 + deed.seconds[1])
            for track in a.tracks():
                assert (np.diff(track.times) > 0).all() and np.isfinite(track.values).all(), deed.name
            if deed.name not in ("come", "go"):
                for hand, track in enumerate(a.tracks()):
                    np.testing.assert_allclose(track.values[-1], a.rests[hand])


def test_something_moves_while_a_deed_is_done_and_nothing_before():
    for deed in DEEDS:
        if deed.name in ("come", "fold hands"):
            continue
        a = HandAnimator(np.random.default_rng(2), deed.views[0], (0, 1))
        deed.move(a, 2.0, 2.0 + deed.seconds[1])
        before, while_ = np.arange(0, 2, 0.25), np.arange(2, 2 + deed.seconds[1], 0.25)
        moved = [sum(np.ptp(values_at([t], [at]), axis=0).sum() for t in a.tracks()) for at in (before, while_)]
        assert moved[0] < 1e-9 and moved[1] > 0.3, deed.name


def test_every_deed_is_drawn_and_what_is_absent_looks_like_none_that_is_there(plans):
    _, drawn = plans
    looks = {deed.name: deed.looks for deed in DEEDS}
    kinds = {event.kind for plan in drawn for event in plan.scene.events}
    assert len(kinds) > 0.9 * len(DEEDS)
    for plan in drawn:
        there = {look for event in plan.scene.events for look in looks[event.kind]}
        told = {wording.statement for event in plan.scene.events for wording in event.wordings}
        assert plan.scene.absent and not told & {wording.statement for wording in plan.scene.absent}
        assert all(event.key in there for event in plan.scene.events)


def test_phrases_and_people_of_the_held_out_split_are_not_trained_on():
    told = {}
    for split in ("train", "held-out"):
        world = HandWorld(split)
        scenes = [world.draw(np.random.default_rng(seed)).scene for seed in range(120)]
        told[split] = {wording.subject for scene in scenes for event in scene.events for wording in event.wordings}
    assert told["train"] & told["held-out"] <= {"a hand"}


def test_hands_are_where_the_scene_says_that_they_are_and_mostly_found(plans):
    world, drawn = plans
    features, has = world.render(drawn)
    again, _ = world.render(drawn[7:8])
    np.testing.assert_array_equal(features[7, : drawn[7].num_steps], again[0])
    assert features.shape[2] == 2 * EACH and np.isfinite(features).all() and not features[~has].any()
    steps = np.arange(features.shape[1]) < np.array([[plan.num_steps] for plan in drawn])
    assert 0.6 < has[steps].mean() < 0.98 and not has[~steps].any()
    gone = [(i, e) for i, plan in enumerate(drawn) for e in plan.scene.events if e.kind == "go"]
    assert gone
    for i, event in gone:
        after = has[i, int(event.span.end_seconds * 4) + 1 : drawn[i].num_steps]
        assert not after.any()


def test_small_hands_are_missed_oftener_and_left_is_taken_for_right_now_and_then():
    points = [np.repeat(seen(shape("open"), numbers(x=x), 1.0) * s, 400, 0) for s in (0.2, 0.02) for x in (0.0, 2.0)]
    there = np.ones((400, 2))
    large, small = (
        np.mean([found(p, there, np.random.default_rng(s), 1.0, 1.0)[1].astype(bool).mean() for s in range(20)])
        for p in (points[:2], points[2:])
    )
    assert large > 0.8 > 0.4 > small
    swapped = [found(points[:2], there, np.random.default_rng(s), 0.0, 1.0)[0][0, 0, 0, 0] > 0.2 for s in range(200)]
    assert 2 < sum(swapped) < 60
