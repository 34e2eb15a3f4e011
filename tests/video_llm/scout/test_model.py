"""The three channels together: one pass, one memory, and errors that surface."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import tvu.video_llm.scout.model as scout_model
from tvu.video_llm.cache import FeatureCache
from tvu.video_llm.decode import open_video
from tvu.video_llm.errors import BackendError
from tvu.video_llm.scout.model import Eyes, Scout
from tvu.video_llm.scout.visual import ClipScorer
from tvu.video_llm.types import Evidence

SAMPLES = Path(__file__).parents[3] / "samples"


class ColourEncoder:
    """Sees nothing but the mean colour of a picture, and knows the words for three of them."""

    name = "clip:colours/three"

    def features(self, pixels):
        centred = pixels.mean(axis=(2, 3)) - pixels.mean(axis=(1, 2, 3))[:, None]
        return (centred / np.linalg.norm(centred, axis=1, keepdims=True)).astype(np.float32)

    def embed_text(self, texts):
        words = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1)}
        known = [next((v for w, v in words.items() if w in text.split()), (1, 1, 1)) for text in texts]
        return np.array([np.asarray(v) / np.linalg.norm(v) for v in known], np.float32)


def scout(cache: Path | None = None, *evidence: Evidence) -> Scout:
    def eyes(sentences):
        encoder = ColourEncoder()
        return Eyes(encoder, ClipScorer(encoder))

    channels = dict.fromkeys(evidence or ("visual",), ("minilm-l6",))
    return Scout("colours", eyes, channels, least_score=0.0, cache=FeatureCache(cache) if cache else None)


@pytest.mark.weights
def test_eyes_of_another_model_find_what_they_know(weights_cache):
    best = scout().answer(open_video(SAMPLES / "postcard.mp4"), "blue").groundings[0]
    assert (best.span.start_seconds, best.span.end_seconds) == pytest.approx((0, 5), abs=0.1)  # the penguin's sky


@pytest.mark.weights
def test_a_second_question_decodes_nothing(weights_cache, tmp_path, monkeypatch):
    clip = open_video(SAMPLES / "parade.mp4")
    first = scout(tmp_path, "visual", "screen-text").answer(clip, "green")

    def watch(clip, config):
        raise AssertionError("the video was decoded again")

    monkeypatch.setattr(scout_model, "watch", watch)
    second = scout(tmp_path, "visual", "screen-text").answer(clip, "green")
    assert second.groundings == first.groundings
    assert second.timing.decode_s == 0


@pytest.mark.weights
def test_the_same_content_elsewhere_is_known_and_another_part_of_it_is_not(weights_cache, tmp_path, monkeypatch):
    scout(tmp_path).answer(open_video(SAMPLES / "parade.mp4"), "green")
    passes = []
    real = scout_model.watch
    monkeypatch.setattr(scout_model, "watch", lambda clip, config: passes.append(clip) or real(clip, config))
    shutil.copy(SAMPLES / "parade.mp4", tmp_path / "copy.mp4")
    scout(tmp_path).answer(open_video(tmp_path / "copy.mp4"), "green")
    assert passes == []
    scout(tmp_path).answer(open_video(tmp_path / "copy.mp4", start=5), "green")
    assert len(passes) == 1


@pytest.mark.weights
def test_a_reader_that_fails_is_an_error_and_not_a_hang(weights_cache, monkeypatch):
    def read_screen_text(batches):
        next(iter(batches))
        raise BackendError("the reader of text broke")

    monkeypatch.setattr(scout_model, "read_screen_text", read_screen_text)
    with pytest.raises(BackendError, match="reader of text"):
        scout(None, "visual", "screen-text").answer(open_video(SAMPLES / "parade.mp4"), "green")


@pytest.mark.weights
def test_speech_that_cannot_be_heard_is_a_note_beside_what_is_seen(weights_cache, monkeypatch):
    def transcribe(sound, folder):
        raise BackendError("the recogniser broke")

    monkeypatch.setattr(scout_model, "transcribe", transcribe)
    answer = scout(None, "visual", "speech").answer(open_video(SAMPLES / "postcard.mp4"), "green")
    assert answer.groundings
    assert answer.notes == ("speech was not heard: the recogniser broke",)
