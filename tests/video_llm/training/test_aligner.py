"""The aligner's videos have known times, its training teaches, and its file gives the same answers back."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tvu.temporal.alignment.nsva import NsvaConfig
from tvu.video_llm.narration.picture import LooksInWords, align_seconds, load_aligner
from tvu.video_llm.scout import visual
from tvu.video_llm.scout.visual import ClassLogitScorer
from tvu.video_llm.training import aligner as training
from tvu.video_llm.training.aligner import AlignerTraining, is_held_out, lesson_of, measure, save, train
from tvu.video_llm.training.aligner_videos import IndexedVideos, SceneConfig, class_texts
from tvu.weights.errors import WeightsError

CLASSES = 20
WIDTH = 32
TINY = NsvaConfig(
    feature_width=WIDTH,
    width=32,
    similarity_width=16,
    heads=2,
    encoder_layers=1,
    decoder_layers=1,
    feedforward=32,
    max_frames=64,
    max_texts=1,
)
SCENES = SceneConfig(scenes=(2, 5), seconds=(2.0, 5.0), lines=2, strength=(1.0, 1.5))


class Words:
    """Each word has a direction of its own; a sentence is the sum of its words."""

    def embed(self, texts):
        rows = []
        for text in texts:
            row = np.full(WIDTH, 1e-3, np.float32)
            for word in text.lower().replace(",", " ").replace(":", " ").rstrip(".?").split():
                seed = int.from_bytes(word.encode()[:7], "little")
                row += np.random.default_rng(seed).standard_normal(WIDTH).astype(np.float32)
            rows.append(row / np.linalg.norm(row))
        return np.stack(rows)


class Classes:
    """An encoder of twenty classes over 64 features."""

    name = "tiny"
    class_names = tuple(f"thing{chr(97 + k)}, object{chr(97 + k)}" for k in range(CLASSES))
    classifier = np.random.default_rng(7).standard_normal((CLASSES, 64)).astype(np.float32) * 0.3

    def features(self, pixels):
        raise AssertionError("no pixels are seen here")

    def logits(self, features):
        return features @ self.classifier.T


@pytest.fixture
def world(monkeypatch):
    glosses = tuple(
        " ".join(f"{word}{chr(97 + k)}" for word in ("kind", "sort", "make", "breed", "use")) for k in range(CLASSES)
    )
    monkeypatch.setattr(visual, "class_glosses", lambda: glosses)
    usual = np.full(64, 0.25, np.float32)
    encoder, words = Classes(), Words()
    texts = class_texts(encoder.class_names, glosses, words, lines=3)
    return (
        IndexedVideos(encoder.classifier, texts, range(CLASSES), SCENES),
        LooksInWords(encoder, words, usual),
        ClassLogitScorer(encoder, words, usual),
    )


def lessons(world, seed):
    source, words, scorer = world
    rng = np.random.default_rng(seed)
    while True:
        yield lesson_of(source.draw(rng), words, scorer, rng)


def test_a_video_tells_when_each_line_is_shown(world):
    video = world[0].draw(np.random.default_rng(0))
    end = video.index.shots[-1].end_seconds
    assert len(video.texts) == len(video.spans) == len(video.lines)
    assert any(video.spans) and not all(video.spans), "some lines are shown, some are not"
    assert all(0 <= span.start_seconds < span.end_seconds <= end for spans in video.spans for span in spans)
    assert video.index.features.min() >= 0


def test_the_same_seed_draws_the_same_video(world):
    first, second = (world[0].draw(np.random.default_rng(4)) for _ in range(2))
    assert first.texts == second.texts
    np.testing.assert_array_equal(first.index.features, second.index.features)


def test_a_lesson_marks_the_seconds_that_show_a_line(world):
    lesson = next(lessons(world, 1))
    num_lines, num_seconds = lesson.sample.positives.shape
    assert lesson.sample.video.shape == (num_seconds, WIDTH)
    assert lesson.weights.shape == (num_lines, CLASSES)
    assert lesson.evidence.shape == (num_seconds, CLASSES)


def test_training_is_the_same_twice_and_finds_lines_of_generated_videos(world):
    config = AlignerTraining(model=replace(TINY, dropout=0.0), scenes=SCENES, steps=5, batch=3)
    told = []
    for _ in range(2):
        model = train(config, lessons(world, 2))
        told.append(model.v_sim_proj.weight.detach().clone())
    assert torch.equal(*told)
    found = measure(model, [next(lessons(world, 3)) for _ in range(4)])
    assert 0 <= found.auroc <= 1
    assert found.recall > 0.3


def test_a_saved_aligner_answers_as_it_did(world, tmp_path):
    torch.manual_seed(0)
    model = training._near_zero_shot(training.NsvaAligner(TINY)).eval()
    save(model, tmp_path / "a.safetensors")
    rng = np.random.default_rng(0)
    video = rng.standard_normal((9, WIDTH)).astype(np.float32)
    text = rng.standard_normal((4, WIDTH)).astype(np.float32)
    loaded = load_aligner(tmp_path / "a.safetensors")
    before, after = (align_seconds(m, video, text) for m in (model, loaded))
    np.testing.assert_allclose(after, before, atol=0.05)  # float16 in the file


def test_a_file_that_is_no_aligner_is_refused(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(WeightsError, match="no aligner"):
        load_aligner(tmp_path / "a.safetensors")


def test_a_training_that_teaches_nothing_is_refused():
    with pytest.raises(ValueError, match="teach nothing"):
        AlignerTraining(steps=0)


def test_one_class_in_five_is_kept_for_measuring():
    assert is_held_out(1000).sum() == 200
