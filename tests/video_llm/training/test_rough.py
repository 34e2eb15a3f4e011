"""Features shaken for training."""

from dataclasses import fields

import torch

from tests.video_llm.lite.tiny_lite import tiny_inputs
from tvu.video_llm.training.rough import roughened

SAME = ("body", "hands", "has_slow", "has_motion", "has_body", "has_hands", "lengths")


def test_pictures_and_motions_are_shaken_and_nothing_else():
    inputs = tiny_inputs([9, 5])
    torch.manual_seed(0)
    shaken = roughened(inputs, 1.0)
    assert {field.name for field in fields(inputs)} == {"slow", "motion", *SAME}
    assert all(torch.equal(getattr(shaken, name), getattr(inputs, name)) for name in SAME)
    for name in ("slow", "motion"):
        before, after, has = getattr(inputs, name), getattr(shaken, name), getattr(inputs, f"has_{name}")
        assert after.dtype == before.dtype and after.isfinite().all()
        assert (after[has] != before[has]).any() and (after[~has] == 0).all()


def test_no_strength_changes_nothing_and_more_of_it_changes_more():
    inputs = tiny_inputs([9, 9])
    change = []
    for strength in (0.0, 0.2, 1.0):
        torch.manual_seed(0)
        change.append(float((roughened(inputs, strength).slow.float() - inputs.slow.float()).norm()))
    assert change[0] == 0 < change[1] < change[2]


def test_videos_without_pictures_stay_as_they_are():
    inputs = tiny_inputs([9, 5])
    inputs.has_slow[:] = False
    inputs.slow.zero_()
    assert torch.equal(roughened(inputs, 1.0).slow, inputs.slow)
