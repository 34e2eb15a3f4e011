"""What a Video-LLM keeps of an indexed video is all that it needs of it for the next question."""

import pytest

import tvu.video_llm.frame_features as frame_features
from tests.video_llm.media.drawing import draw_video
from tests.video_llm.tiny_video_llm import tiny_video_llm
from tvu.video_llm.cache import CacheConfig, FeatureCache
from tvu.video_llm.decode import open_video
from tvu.video_llm.index.models import keep_features
from tvu.video_llm.video_llm import VideoLLMConfig
from tvu.video_llm.windows import WindowConfig


@pytest.mark.parametrize("seconds", [128.0, 2.0])  # at one look, and in windows
def test_a_question_after_indexing_decodes_nothing(tmp_path, monkeypatch, seconds):
    draw_video(tmp_path / "a.mp4", num_frames=100, size=(64, 36))
    config = VideoLLMConfig(least_score=0.0, windows=WindowConfig(seconds=seconds, looks=None))
    store = FeatureCache(tmp_path / "store", CacheConfig())
    clip = open_video(tmp_path / "a.mp4")
    keep_features(tiny_video_llm(config, cache=store), clip)
    monkeypatch.setattr(frame_features, "read_frames", lambda *a, **k: pytest.fail("decoded again"))
    (answer,) = tiny_video_llm(config, cache=store).find(clip, ["a dog"])
    assert answer.groundings
