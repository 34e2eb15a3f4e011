"""What the motion network is taught about two seconds."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.video_llm.lite.tiny_lite import tiny_config
from tvu.temporal.squeezetime.network import SqueezeTime
from tvu.temporal.types import Span
from tvu.video_llm.training import motion as motions
from tvu.video_llm.training.motion import known_tags, mean_average_precision, snippet_tags, tags_of
from tvu.video_llm.training.run import run
from tvu.video_llm.training.scenes import Event, Scene, Wording

WORDING = Wording("a ball", "roll", "rolls", "rolling")


def event(start: float, end: float, kind: str = "move", **facts: str) -> Event:
    return Event(Span(start, end), (WORDING,), "key", kind, facts)


def test_tags_name_the_kind_and_what_is_true_of_it_but_not_colours():
    assert tags_of(event(0, 1, direction="left", color="red")) == ["move", "move direction=left"]
    assert tags_of(event(0, 1, "shown")) == []


def test_rare_tags_are_not_taught():
    scenes = [Scene(4.0, (event(0, 1),))] * 400 + [Scene(4.0, (event(0, 1, "blink"),))]
    assert known_tags(scenes) == ["move"]


def test_a_snippet_is_taught_what_half_of_it_or_half_of_the_event_shows():
    truth = snippet_tags(Scene(10.0, (event(4.0, 4.5),)), 40, ["move"])
    middles = np.arange(20) / 2 + 0.25
    assert truth.shape == (20, 1)
    np.testing.assert_array_equal(truth[:, 0] > 0, np.abs(middles - 4.25) <= 1.0)
    long = snippet_tags(Scene(10.0, (event(4.0, 10.0),)), 40, ["move"])
    assert middles[long[:, 0] > 0].min() == 4.25 and long[-1, 0] == 1


def test_precision_is_one_for_a_perfect_order_and_passes_over_tags_that_never_occur():
    truth = torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    assert mean_average_precision(torch.tensor([[3.0, 0], [1, 0], [2, 0]]), truth) == 1.0
    assert mean_average_precision(torch.tensor([[1.0, 0], [3, 0], [2, 0]]), truth) == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_the_stage_writes_a_network_that_the_next_stage_reads(config, monkeypatch):
    monkeypatch.setattr(motions, "TAUGHT_SCENES", 20)
    monkeypatch.setattr(motions, "LONGEST", 5.0)
    lines: list[str] = []
    run(replace(config, stage="motion", steps=1, videos=1, evaluate=1), lines.append)
    assert any("held_out_mean_average_precision" in line for line in lines)
    network = SqueezeTime(tiny_config().motion_config)
    network.load_state_dict(load_file(Path(config.out) / "motion.safetensors"))
