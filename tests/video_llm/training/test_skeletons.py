"""Generated videos of people: what is said of them is what their bodies do."""

import numpy as np
import pytest

from tvu.video_llm.training.conjugation import conjugated, wording
from tvu.video_llm.training.kinematics import NUM_PARAMETERS, SLICES, Build, landmarks_of, values_at
from tvu.video_llm.training.motion_list import BY_NAME, MOTIONS, Motion, phrases_of
from tvu.video_llm.training.motions import Animator, Side
from tvu.video_llm.training.skeletons import SkeletonWorld

HEAD, LEFT_WRIST, RIGHT_WRIST, LEFT_SHOULDER, LEFT_HIP, LEFT_ANKLE = 0, 15, 16, 11, 23, 27


def _done(name: str, side: Side = "left", seconds: float = 2.0, yaw: float = 0.0) -> np.ndarray:
    """Landmarks `[T, 33, 3]` of a motion from 1 s to `1 + seconds`, 20 a second, until a second after it."""
    motion = BY_NAME[name]
    posture = motion.from_[0]
    animator = Animator(np.random.default_rng(1), "stand" if posture == "outside" else posture, 0.0, 0.0, yaw)
    animator.away = 2.0
    motion.move(animator, 1.0, 1.0 + seconds, side)
    times = np.arange(0, seconds + 2, 0.05)
    numbers = np.empty((len(times), NUM_PARAMETERS))
    for part, columns in SLICES.items():
        numbers[:, columns] = values_at([animator.tracks()[part]], [times])
    return landmarks_of(numbers, [Build()], np.zeros(len(times), np.int64))


def _plans(count: int, split="train"):
    world = SkeletonWorld(split)
    rng = np.random.default_rng(7)
    return world, [world.draw(rng) for _ in range(count)]


def test_a_raised_left_arm_is_the_left_one_and_goes_above_the_head():
    body = _done("raise an arm", "left")
    middle = len(body) // 2
    assert body[middle, LEFT_WRIST, 1] > body[middle, HEAD, 1] > body[middle, RIGHT_WRIST, 1]
    assert body[0, LEFT_WRIST, 1] < body[0, LEFT_SHOULDER, 1]


def test_facing_the_camera_the_own_left_is_on_the_right_of_the_picture():
    body = _done("spread arms")[0]
    assert body[LEFT_SHOULDER, 0] > body[LEFT_SHOULDER + 1, 0]


def test_sitting_down_lowers_the_hips_to_the_knees_and_standing_up_undoes_it():
    down, up = _done("sit down"), _done("stand up")
    assert down[0, LEFT_HIP, 1] > 0.85 > 0.6 > down[-1, LEFT_HIP, 1] > 0.35
    assert up[-1, LEFT_HIP, 1] == pytest.approx(down[0, LEFT_HIP, 1], abs=0.02)


def test_only_in_a_jump_do_the_feet_leave_the_floor():
    assert _done("jump", seconds=1.0)[..., 1].min(1).max() > 0.1
    assert _done("squat")[..., 1].min(1).max() == pytest.approx(0, abs=1e-9)


def test_walking_in_from_the_left_goes_to_the_right_of_the_picture():
    body = _done("enter", "left")
    assert body[-1, LEFT_HIP, 0] > body[20, LEFT_HIP, 0] + 1.0


def test_turning_around_shows_the_back():
    body = _done("turn around")
    assert body[0, HEAD, 2] > body[0, LEFT_SHOULDER, 2]
    assert body[-1, HEAD, 2] < body[-1, LEFT_SHOULDER, 2]


def test_on_hands_and_feet_the_hips_are_highest():
    body = _done("downward dog", seconds=4.0)[60]
    assert body[LEFT_HIP, 1] == pytest.approx(body[:, 1].max(), abs=0.1)
    assert max(body[LEFT_WRIST, 1], body[LEFT_ANKLE, 1]) < 0.35


@pytest.mark.parametrize("motion", MOTIONS, ids=lambda motion: motion.name)
def test_every_motion_starts_and_ends_when_it_says(motion: Motion):
    rng = np.random.default_rng(3)
    posture = motion.from_[-1]
    animator = Animator(rng, "stand" if posture == "outside" else posture, 0.3, 0.0, 20.0)
    animator.away = 2.0
    length = motion.seconds[1]
    motion.move(animator, 2.0, 2.0 + length, "right")
    moved = False
    for part, track in animator.tracks().items():
        carries_before = motion.name == "put down" and "arm" in part
        if motion.from_ != ("outside",) and not carries_before:
            before = values_at([track], [np.array([0.0, 1.9])])
            np.testing.assert_allclose(before[0], before[1], atol=1e-9)
        within = values_at([track], [np.linspace(2.0, 2.0 + length, 9)])
        moved |= bool(np.ptp(within, axis=0).max() > 0.02)
        assert (np.diff(track.times) > 0).all()
    assert moved
    assert animator.posture in (motion.to, posture, "stand", "prone")


def test_rendering_gives_what_lite_sees_and_is_the_same_each_time():
    world, plans = _plans(12)
    body, has_body = world.render(plans)
    again, _ = world.render(plans[5:6])
    assert body.shape == (12, max(plan.num_steps for plan in plans), 104)
    assert body.dtype == np.float32
    assert np.isfinite(body).all()
    assert 0.5 < np.mean([has_body[i, : plan.num_steps].mean() for i, plan in enumerate(plans)]) <= 1
    assert not body[~has_body].any()
    np.testing.assert_allclose(again[0], body[5, : plans[5].num_steps], atol=1e-5)


def test_the_same_seed_draws_the_same_scene():
    (_, first), (_, second) = _plans(5), _plans(5)
    assert [plan.scene for plan in first] == [plan.scene for plan in second]


def test_what_is_absent_is_told_of_no_event():
    for split in ("train", "held-out"):
        for plan in _plans(150, split)[1]:
            said = {(w.base, w.rest) for event in plan.scene.events for w in event.wordings}
            assert not said & {(w.base, w.rest) for w in plan.scene.absent}
            assert len(plan.scene.absent) >= 5


def test_events_of_one_key_share_what_they_say_and_others_do_not():
    for plan in _plans(150)[1]:
        owner: dict[tuple[str, str], str] = {}
        for event in plan.scene.events:
            for w in event.wordings:
                if event.kind in ("posture", "absence", "shown"):
                    continue
                assert owner.setdefault((w.base, w.rest), event.key) == event.key


def test_left_and_right_are_told_apart_only_where_words_do():
    for plan in _plans(150)[1]:
        for event in plan.scene.events:
            side = event.facts.get("side") or event.facts.get("direction")
            assert all((side in w.statement) if side else True for w in event.wordings)


def test_wordings_held_out_are_never_trained_on():
    for motion in MOTIONS:
        if len(motion.phrases) >= 3:
            train, held_out = phrases_of(motion.phrases, "train"), phrases_of(motion.phrases, "held-out")
            assert train and held_out
            assert not set(train) & set(held_out) or set(held_out) == set(motion.phrases)


def test_verbs_are_conjugated():
    assert conjugated("sit") == ("sits", "sitting")
    assert conjugated("do") == ("does", "doing")
    assert conjugated("lie") == ("lies", "lying")
    assert conjugated("wash") == ("washes", "washing")
    assert conjugated("carry") == ("carries", "carrying")
    assert wording("a woman", "her", "wave {poss} {side} hand", "left").asked == "does a woman wave her left hand"
    assert wording("a man", "his", "be on {poss} hands and feet").asked == "is a man on his hands and feet"
