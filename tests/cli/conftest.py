"""What tests of commands share."""

from pathlib import Path

import pytest

from tests.video_llm.media.drawing import draw_video
from tests.video_llm.tiny_video_llm import tiny_parts


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Video-LLM of random weights, and a video `a.mp4` beside it."""
    folder = tmp_path_factory.mktemp("model")
    for part in tiny_parts():
        part.save_pretrained(folder)
    draw_video(folder / "a.mp4", num_frames=100, size=(64, 36))
    return folder
