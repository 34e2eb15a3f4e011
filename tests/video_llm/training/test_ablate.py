"""What is changed one at a time."""

import pytest

from tvu.video_llm.training.ablate import VARIANTS
from tvu.video_llm.training.config import TrainConfig


@pytest.mark.parametrize("stage", ["lite", "head"])
@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_is_a_config(name, stage):
    config = TrainConfig.from_told({"out": "runs/x", "stage": stage, "model": dict(VARIANTS[name])})
    assert (config.model == TrainConfig(out="runs/x").model) == (name == "as shipped")
