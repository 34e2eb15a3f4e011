"""The arithmetic of frames, steps and positions."""

import numpy as np
import pytest
import torch
from transformers.video_utils import VideoMetadata

from tvu.video_llm.errors import UnknownModel
from tvu.video_llm.hf.config import HfConfig, parse_name
from tvu.video_llm.hf.frames import metadata_of, shared_steps, step_seconds
from tvu.video_llm.hf.positions import rotary_positions


def test_frames_share_a_step_unless_they_lie_far_apart() -> None:
    seconds = np.array([0.0, 0.5, 1.0, 9.0, 9.5])
    order = shared_steps(seconds, 2, apart=0.5)
    assert order.tolist() == [0, 1, 2, 2, 3, 4]
    assert step_seconds(seconds[order], 2).tolist() == [0.25, 1.0, 9.25]
    assert shared_steps(seconds, 1, 0.5).tolist() == [0, 1, 2, 3, 4]
    assert shared_steps(seconds[:1], 2, 0.5).tolist() == [0, 0]


def test_metadata_makes_the_arithmetic_of_transformers_exact() -> None:
    seconds = np.array([0.0, 0.317, 2.0, 7.041])
    told = VideoMetadata(**metadata_of(seconds, 8.0))
    assert told.timestamps == seconds.tolist() and told.duration == 8.0
    even = VideoMetadata(**metadata_of(np.arange(8) * 0.5, 4.0))
    assert even.sampled_fps == pytest.approx(2.0)
    assert VideoMetadata(**metadata_of(seconds, 8.4, whole=True)).timestamps == [0, 0, 2, 7]


def test_positions_of_text_go_on_behind_the_largest_of_a_video() -> None:
    is_visual = torch.tensor([0, 0, 1, 1, 1, 1, 1, 1, 0, 0], dtype=torch.bool)
    positions = rotary_positions(is_visual, [(3, 1, 2)], [[0, 25, 60]])
    assert positions[0].tolist() == [0, 1, 2, 2, 27, 27, 62, 62, 63, 64]
    assert positions[1].tolist() == [0, 1, 2, 2, 2, 2, 2, 2, 63, 64]
    assert positions[2].tolist() == [0, 1, 2, 3, 2, 3, 2, 3, 63, 64]
    with pytest.raises(ValueError, match="grid"):
        rotary_positions(is_visual, [(2, 1, 2)], [[0, 1]])


def test_a_name_holds_options() -> None:
    source, config = parse_name("hf:Qwen/Qwen2.5-VL-3B-Instruct?fps=0.5&max_frames=16&dropped=0.25&dtype=float16")
    assert source == "Qwen/Qwen2.5-VL-3B-Instruct"
    assert (config.fps, config.max_frames, config.dropped, config.dtype) == (0.5, 16, 0.25, "float16")
    assert parse_name("hf:a/b", HfConfig(fps=3.0))[1].fps == 3.0


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("hf:", "no folder and no repository"),
        ("hf:a/b?frames=3", "no option 'frames'"),
        ("hf:a/b?max_frames=many", "is no int"),
        ("hf:a/b?dropped=1", "dropped in"),
        ("hf:a/b?fps=-1", "must be above 0"),
    ],
)
def test_a_name_that_makes_no_sense_is_told(name: str, says: str) -> None:
    with pytest.raises(UnknownModel, match=says):
        parse_name(name)
