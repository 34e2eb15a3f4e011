"""Lines find the shots that look like them, by classes and by a trained aligner; the published one by its features."""

import json

import numpy as np
import pytest
import torch

from tvu.temporal.alignment.nsva import NsvaAligner, NsvaConfig
from tvu.temporal.types import Span
from tvu.video_llm.narration import narrated_needles, picture
from tvu.video_llm.narration.picture import (
    PictureCalibration,
    PictureMatcher,
    Views,
    candidates_in,
    published_candidates,
    runs_of,
    seconds_of,
    statement,
)
from tvu.video_llm.narration.types import Line, Script
from tvu.video_llm.scout.visual import VisualIndex

CALIBRATION = PictureCalibration(-2.0, (1.0, 0.0, 0.0))


def index_of(features, shots):
    """Two frames a second."""
    times = np.arange(len(features)) / 2
    return VisualIndex(
        times, np.asarray(features, np.float32), tuple(Span(a, b) for a, b in shots), np.zeros(len(shots))
    )


class Drawn(PictureMatcher):
    """A matcher whose scores are given."""

    def __init__(self, zero_shot, trained=None, alike=None):
        self._views = Views(np.array(zero_shot, float), np.array(trained or np.zeros_like(zero_shot), float))
        self._alike = np.eye(self._views.zero_shot.shape[1], dtype=np.float32) if alike is None else alike
        self._calibration = CALIBRATION
        self.asked = []

    def views(self, index, texts):
        self.asked += texts
        return self._views

    def likeness(self, index):
        return self._alike


SHOTS = [(0, 4), (4, 9), (9, 12)]
INDEX = index_of(np.zeros((24, 3)), SHOTS)


def script(*texts):
    return Script(tuple(Line(text) for text in texts), "txt")


def test_a_line_has_its_best_shot_first_and_probabilities_that_sum_below_one():
    (found,) = candidates_in(script("a dog"), INDEX, Drawn([[0.1, 5.0, 2.0]]))
    assert found[0].span == Span(4, 9)
    assert found[0].score > 0.8
    assert sum(c.score for c in found) < 1
    assert {c.evidence for c in found} == {"visual"}


def test_a_line_that_fits_nothing_is_unlikely_everywhere():
    (found,) = candidates_in(script("a dog"), INDEX, Drawn([[-1.0, 0.2, 0.1]]))
    assert sum(c.score for c in found) < 0.2


def test_a_line_without_words_is_not_looked_for():
    matcher = Drawn([[0.0, 5.0, 0.0]])
    found = candidates_in(script("", "a dog", "♪ —"), INDEX, matcher)
    assert [bool(f) for f in found] == [False, True, False]
    assert matcher.asked == ["a dog"]
    assert candidates_in(script("..."), INDEX, matcher) == ((),)


def test_neighbours_that_look_alike_belong_to_one_place():
    alike = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], np.float32)
    first, second = runs_of(np.array([2.0, 4.0, 1.0]), np.zeros(3), alike)
    assert first == (0, 1, 1), "the second shot took in the first, which looks like it"
    assert second == (2, 2, 2)


def test_the_trained_view_decides_between_shots_that_score_alike():
    (found,) = candidates_in(script("a dog"), INDEX, Drawn([[3.0, 0.0, 3.0]], [[0.0, 0.0, 2.0]]))
    assert found[0].span == Span(9, 12)


def test_seconds_are_means_of_what_is_on_the_screen():
    index = index_of([[0.0], [2.0], [4.0], [4.0], [8.0]], [(0, 2.5)])
    np.testing.assert_allclose(seconds_of(index)[:, 0], [1.0, 4.0, 8.0])
    still = VisualIndex(np.array([0.0]), np.ones((1, 1), np.float32), (Span(0, 3),), np.zeros(1))
    np.testing.assert_allclose(seconds_of(still), np.ones((3, 1)))


def test_seconds_are_shared_among_shots_by_how_much_of_them_lies_inside():
    index = index_of(np.zeros((8, 1)), [(0, 1.5), (1.5, 4)])
    logits = np.array([[1.0, 5.0, 9.0, 9.0]])
    inside = picture._in_shots(index, logits)[0]
    assert 1.0 < inside[0] < 2.0, "half of the second counts a quarter"
    assert inside[1] > 8.0


def test_a_question_becomes_a_statement():
    assert statement("When does the  dog appear?") == "the dog"


def test_many_lines_are_dealt_out_over_groups(monkeypatch):
    class Echo:
        def align(self, video, text, *, ordered):
            assert not ordered
            return text[..., :1].expand(-1, -1, video.shape[1])

    monkeypatch.setattr(picture, "LINES_AT_ONCE", 3)
    lines = np.arange(8, dtype=np.float32)[:, None]
    found = picture.align_seconds(Echo(), np.zeros((5, 1), np.float32), lines)
    np.testing.assert_array_equal(found[:, 0], np.arange(8))


def test_the_published_aligner_answers_from_the_features_of_its_user():
    torch.manual_seed(0)
    config = NsvaConfig(
        feature_width=8, width=16, similarity_width=8, heads=2, feedforward=16, max_frames=50, max_texts=9
    )
    model = NsvaAligner(config).eval()
    found = published_candidates(torch.randn(20, 8), torch.randn(3, 8), model, "monotone")
    assert [len(line) for line in found] == [1, 1, 1]
    assert all(0 <= c.span.start_seconds < c.span.end_seconds <= 20 for line in found for c in line)
    with pytest.raises(ValueError, match=r"\[T, 8\]"):
        published_candidates(torch.randn(20, 7), torch.randn(3, 8), model, "free")


def test_what_ships_is_a_valid_calibration():
    table = json.loads((picture.resources.files("tvu.video_llm.narration") / "calibration.json").read_text())
    for name in ("visual", "visual-zero-shot"):
        if name in table:
            PictureCalibration.from_table(table[name])


# --- the generated narration set ---

VIDEO = {
    "file": "d_00.mp4",
    "duration": 20.0,
    "segments": [{"clip": "dog", "start": 0, "end": 9.0}, {"clip": "cake", "start": 9.0, "end": 20.0}],
    "queries": [
        {"query": "When does the dog appear?", "clip": "dog", "extent": "clip", "spans": [[0, 9.0]]},
        {"query": "a dog jumps", "clip": "dog", "extent": "clip", "spans": [[0, 9.0]]},
        {"query": "Which moment shows home baking?", "clip": "cake", "extent": "clip", "spans": [[9.0, 20.0]]},
        {"query": "the mixer", "clip": "cake", "extent": "part", "spans": [[12.0, 15.0]]},
    ],
    "absent": [{"query": "a lion hunting"}, {"query": "When does a helicopter take off?"}],
}


def test_texts_about_needles_have_one_line_in_five_that_is_not_shown():
    narration, steps = narrated_needles.texts_of(VIDEO, "d_00.mp4", np.random.default_rng(0))
    assert narration.order == "monotone" and steps.order == "free"
    for case in (narration, steps):
        assert sum(not spans for spans in case.truth()) == 1
        assert len(case.lines) == 5
    starts = [spans[0].start_seconds for spans in narration.truth() if spans]
    assert starts == sorted(starts)
    assert "The dog." in [line.text for line in narration.script().lines]


def test_spoken_lines_lie_inside_what_they_describe(monkeypatch):
    monkeypatch.setattr("tvu.video_llm.scout.narrated.speak", lambda text, **_: np.ones(32_000, np.float32))
    spoken = narrated_needles.speak_over(VIDEO, np.random.default_rng(0))
    assert len(spoken.samples) == 20 * narrated_needles.RATE
    assert len(spoken.lines) == 3, "parts of clips are not spoken"
    for line in spoken.lines:
        assert line.shown[0][0] <= line.said[0] < line.said[1] <= line.shown[0][1]
        assert np.abs(spoken.samples[round((line.said[0] + 0.1) * narrated_needles.RATE)]) > 0.5


def test_a_line_is_doubted_where_another_line_fits_its_place_better():
    rivalled = PictureCalibration(-2.0, (1.0, 0.0, -0.5))
    matcher = Drawn([[3.0, 0.0, 0.0], [6.0, 0.0, 0.0]])
    matcher._calibration = rivalled
    weaker, stronger = candidates_in(script("a cat", "a dog"), INDEX, matcher)
    (alone,) = candidates_in(script("a cat"), INDEX, Drawn([[3.0, 0.0, 0.0]]))
    assert weaker[0].score < alone[0].score < stronger[0].score


def test_a_line_resembles_the_other_line_that_is_most_like_it():
    vectors = np.array([[1.0, 0.0], [0.8, 0.6], [0.0, -1.0]], np.float32)
    assert narrated_needles.resemblance(vectors) == pytest.approx((0.8, 0.8, 0.0))
