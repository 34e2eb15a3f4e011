"""Speech over time, on one clock."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tvu.video_llm.cache import FeatureCache
from tvu.video_llm.decode import open_video
from tvu.video_llm.media.sound import Sound
from tvu.video_llm.narration import activity as module
from tvu.video_llm.narration.activity import FRAME_SECONDS, Activity, clip_activity, windows_activity

SAMPLES = Path(__file__).parents[3] / "samples"


def loud_is_speech(monkeypatch: pytest.MonkeyPatch) -> None:
    """A detector that takes what is loud for speech, in chunks of 512 samples as silero does."""

    def detect(samples: np.ndarray) -> np.ndarray:
        assert len(samples) % 512 == 0
        return (np.abs(samples).reshape(-1, 512).mean(axis=1) > 0.1).astype(np.float32)

    monkeypatch.setattr(module, "_silero", lambda: detect)


def sound(seconds: float, loud: tuple[float, float], start: float = 0.0) -> Sound:
    samples = np.zeros(round(seconds * 16_000), np.float32)
    samples[round(loud[0] * 16_000) : round(loud[1] * 16_000)] = 0.5
    return Sound(samples, 16_000, start)


def test_a_frame_is_ten_milliseconds_of_the_files_own_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    loud_is_speech(monkeypatch)
    heard = windows_activity([sound(10.0, (4.0, 6.0), start=3.5)])
    assert heard is not None and heard.start_seconds == 3.5 and len(heard.speech) == 1000
    spoken = np.flatnonzero(heard.speech > 0.5) * FRAME_SECONDS
    assert spoken[0] == pytest.approx(4.0, abs=0.035) and spoken[-1] == pytest.approx(6.0, abs=0.035)


def test_windows_of_any_length_give_what_one_window_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    loud_is_speech(monkeypatch)
    whole = sound(20.0, (7.013, 12.4))
    edges = [0, 50_001, 112_344, 200_000, len(whole.samples)]
    parts = [Sound(whole.samples[a:b], 16_000, a / 16_000) for a, b in pairwise(edges)]
    one, many = windows_activity([whole]), windows_activity(parts)
    assert one is not None and many is not None and len(one.speech) == len(many.speech)
    assert np.abs(one.speech - many.speech).mean() < 0.01  # chunks fall differently at the edges of speech


def test_no_windows_are_no_activity() -> None:
    assert windows_activity([]) is None


def test_another_rate_is_our_own_mistake() -> None:
    with pytest.raises(ValueError, match="16000 Hz"):
        windows_activity([Sound(np.zeros(8000, np.float32), 8000, 0.0)])


def test_it_survives_the_cache_to_half_a_percent() -> None:
    heard = Activity(np.linspace(0, 1, 500, dtype=np.float32), 2.25)
    again = Activity.from_arrays(heard.to_arrays())
    assert again.start_seconds == 2.25 and np.abs(again.speech - heard.speech).max() < 0.005


def test_known_spans_are_speech_for_sure() -> None:
    heard = Activity.of_spans([(1.0, 2.0), (3.0, 3.5)], 5.0)
    assert heard.seconds == 5.0 and heard.share == pytest.approx(0.3)


def test_a_clip_is_heard_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, clip = FeatureCache(tmp_path), open_video(SAMPLES / "talk.mp4")
    seen: list[float] = []
    first = clip_activity(clip, cache, lambda _stage, done: seen.append(done))
    assert first is not None and first.share > 0.2 and first.seconds == pytest.approx(clip.span.seconds, abs=0.02)
    assert seen and seen[-1] == pytest.approx(1.0, abs=0.01)
    monkeypatch.setattr(module, "windows_activity", lambda _windows: pytest.fail("heard again"))
    again = clip_activity(clip, cache)
    assert again is not None and np.abs(again.speech - first.speech).max() < 0.005


def test_a_clip_without_sound_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tvu.video_llm.media.sound.read_sound", lambda *_: None)
    assert clip_activity(open_video(SAMPLES / "talk.mp4")) is None
