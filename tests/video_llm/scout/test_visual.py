import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tvu.temporal.types import Span
from tvu.video_llm.cache import FeatureCache
from tvu.video_llm.sample import Watch
from tvu.video_llm.scout.query import Channels, Router
from tvu.video_llm.scout.visual import (
    ClassLogitScorer,
    ClipScorer,
    Scores,
    VisualCalibration,
    VisualIndex,
    VisualIndexer,
    _mean_above,
    _runs,
    in_pieces,
    score_visual,
    usual_features,
)
from tvu.video_llm.types import FrameBatch, VideoClip

CLIP = VideoClip(Path("drawn.mp4"), Span(0, 4), 4.0, 4.0, 16, 32, 32)


class MeanColour:
    """A frame encoder that sees the mean colour only, and counts what it is given."""

    name = "mean-colour"
    frames = 0

    def features(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.frames += len(pixels)
        return (pixels.mean(axis=(2, 3)) / 255).astype(np.float32)


def watched(pixels: NDArray[np.uint8], seconds: NDArray[np.float64]) -> Watch:
    thumbnails = np.ascontiguousarray(pixels.transpose(0, 2, 3, 1)[..., ::-1])
    return Watch(FrameBatch(pixels[None], seconds[None]), thumbnails, seconds)


def index_of(features: NDArray[np.float32], shots: Sequence[Span], darkness: Sequence[float] = ()) -> VisualIndex:
    times = np.array([s.start_seconds for s in shots])
    return VisualIndex(times, features, tuple(shots), np.array(darkness or [0.0] * len(shots)))


def test_a_frame_that_did_not_change_is_not_encoded_again() -> None:
    encoder = MeanColour()
    indexer = VisualIndexer(CLIP, encoder)
    pixels = np.zeros((16, 3, 32, 32), np.uint8)
    pixels[8:, 0] = 200
    for part in (slice(0, 5), slice(5, 16)):
        indexer.add(watched(pixels[part], np.arange(16)[part] / 4))
    index = indexer.finish()
    assert encoder.frames == 2
    assert index.frame_times.tolist() == [0.0, 2.0]
    assert index.shots == (Span(0, 2), Span(2, 4))
    assert index.darkness.tolist() == [1.0, 0.0]


def test_steps_without_frames_or_thumbnails_are_fine() -> None:
    indexer = VisualIndexer(CLIP, MeanColour())
    empty = np.zeros((0, 3, 32, 32), np.uint8)
    indexer.add(watched(empty, np.zeros(0)))
    indexer.add(watched(np.full((1, 3, 32, 32), 9, np.uint8), np.zeros(1)))
    assert indexer.finish().shots == (CLIP.span,)


def test_an_index_without_frames_is_our_bug() -> None:
    with pytest.raises(ValueError, match="frames"):
        VisualIndexer(CLIP, MeanColour()).finish()


def test_an_index_survives_the_cache(tmp_path: Path) -> None:
    index = index_of(np.eye(3, dtype=np.float32), [Span(0, 1), Span(1, 2.5), Span(2.5, 4)], [0.1, 0.2, 0.9])
    np.savez(tmp_path / "index.npz", **index.to_arrays())
    with np.load(tmp_path / "index.npz", allow_pickle=False) as arrays:
        again = VisualIndex.from_arrays(arrays)
    assert again.shots == index.shots
    assert again.darkness.tolist() == index.darkness.tolist()
    assert again.features.tolist() == index.features.tolist()


def test_a_shot_is_what_appears_in_it_or_else_what_is_still_on_the_screen() -> None:
    shots = (Span(0, 2), Span(2, 2.2), Span(2.2, 4))
    index = VisualIndex(np.array([0.0, 1.5, 3.0]), np.zeros((3, 1)), shots, np.zeros(3))
    frames = [(chosen.start, chosen.stop, seconds.tolist()) for chosen, seconds in map(index.frames_of, range(3))]
    assert frames == [(0, 2, [1.5, 0.5]), (1, 2, [1.0]), (2, 3, [1.0])]


def test_a_long_shot_is_cut_where_its_look_changes() -> None:
    times = np.arange(0, 20, 0.25)
    look = np.where(times[:, None] < 11, [[1.0, 0.0]], [[0.0, 1.0]])
    assert in_pieces(Span(0, 20), times, look) == [Span(0, 11), Span(11, 20)]
    assert in_pieces(Span(0, 12), times, look) == [Span(0, 12)]


def test_a_long_shot_of_one_still_picture_stays_whole() -> None:
    assert in_pieces(Span(0, 600), np.array([0.0]), np.zeros((1, 2))) == [Span(0, 600)]


def test_an_hour_of_one_take_is_in_pieces_that_cover_it() -> None:
    times = np.arange(0, 3600, 0.25)
    pieces = in_pieces(Span(0, 3600), times, np.random.default_rng(0).normal(size=(len(times), 4)))
    assert pieces[0].start_seconds == 0 and pieces[-1].end_seconds == 3600
    assert all(a.end_seconds == b.start_seconds for a, b in pairwise(pieces))
    assert all(3 <= p.seconds <= 12 for p in pieces)


def test_a_run_takes_in_neighbours_that_score_nearly_as_high() -> None:
    scores = np.array([0.9, 1.0, 0.2, 0.8, -1.0])
    assert _runs(scores, np.eye(5)) == [(0, 1, 1), (3, 3, 3), (2, 2, 2), (4, 4, 4)]


def test_a_run_takes_in_neighbours_that_look_alike_at_half_the_score() -> None:
    scores = np.array([0.5, 1.0, 0.5])
    alike = np.array([[1.0, 0.9, 0.0], [0.9, 1.0, 0.1], [0.0, 0.1, 1.0]])
    assert _runs(scores, alike) == [(0, 1, 1), (2, 2, 2)]


def test_the_mean_above_a_floor_agrees_with_draws() -> None:
    draws = np.random.default_rng(0).normal(0.5, 2.0, 1_000_000)
    mean = _mean_above(np.array([0.5]), np.array([2.0]), 1.0)[0]
    assert mean == pytest.approx(np.maximum(draws - 1.0, 0).mean(), abs=0.01)  # ten standard errors of the draws


class Colours:
    """One space for colours and their names."""

    name = "clip:colours/drawn"
    words = ("red", "green", "blue")

    def features(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        raise AssertionError("the index holds features already")

    def embed_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = np.array([[0.1 + (w in t) for w in self.words] for t in texts], np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class Pictures:
    """A router for questions that are about pictures."""

    def channels(self, query: str) -> Channels:
        return Channels(0.0, 0.0)


def test_a_clip_model_finds_the_shot_its_text_is_closest_to() -> None:
    shots = [Span(0, 5), Span(5, 10), Span(10, 15)]
    index = index_of(np.eye(3, dtype=np.float32), shots)
    scorer = ClipScorer(Colours(), unrelated=["red", "green", "blue", "something"])
    candidates, curve = score_visual(index, "When is it blue?", scorer, Pictures())  # type: ignore[arg-type]
    assert candidates[0].span == shots[2]
    assert candidates[0].probability > candidates[1].probability
    assert len(curve.times) == len(curve.scores) == 3


def test_scores_of_a_clip_model_are_products_that_can_be_kept_before_there_is_a_question() -> None:
    shots = [Span(0, 5), Span(5, 5.5), Span(5.5, 10)]
    index = index_of(np.array([[0.8, 0.6, 0], [0, 0.6, 0.8], [0, 0, 1]], np.float32), shots)
    scorer = ClipScorer(Colours(), unrelated=["red", "green", "blue", "something"])
    for query in ("When is it blue?", "green"):
        kept = scorer.shot_vectors(index) @ scorer.query_weights(query)
        np.testing.assert_allclose(kept, scorer.score(index, query).shots, atol=1e-4)


class Fixed:
    """A scorer whose scores are known."""

    name = "fixed"

    def score(self, index: VisualIndex, query: str) -> Scores:
        return Scores(np.array([4.0, 1.0, 4.0]), np.array([4.0, 1.0, 4.0]), ("a", "b", "c"), np.eye(3))


def test_two_occurrences_are_two_candidates_of_one_probability() -> None:
    index = index_of(np.zeros((3, 1), np.float32), [Span(0, 5), Span(5, 10), Span(10, 15)])
    calibration = VisualCalibration(-2.0, 1.0, -1.0)
    candidates, _ = score_visual(index, "a bird", Fixed(), Pictures(), calibration)  # type: ignore[arg-type]
    assert [c.span.start_seconds for c in candidates] == [0, 10, 5]
    assert candidates[0].probability == candidates[1].probability == pytest.approx(1 / (1 + np.exp(-2.0)))


@pytest.fixture(scope="module")
def lite0(tmp_path_factory: pytest.TempPathFactory) -> tuple[ClassLogitScorer, Router, NDArray[np.float32]]:
    """The real scorer and router, and the features that each class would like best."""
    from tvu.video_llm.encode import Lite0Encoder
    from tvu.video_llm.sentence import SentenceEncoder
    from tvu.weights.errors import WeightsError
    from tvu.weights.load import located

    try:
        encoder, sentences = Lite0Encoder(), SentenceEncoder()
    except WeightsError as error:
        pytest.skip(error.message)
    usual = usual_features(located(encoder.weights_name))
    cache = FeatureCache(tmp_path_factory.mktemp("cache"))
    scorer = ClassLogitScorer(encoder, sentences, usual, cache)
    basis = encoder.logits(np.eye(len(usual), dtype=np.float32)) - encoder.logits(np.zeros((1, len(usual)), np.float32))
    ideal = usual + 30 * (basis - basis.mean(axis=1, keepdims=True)).T
    return scorer, Router(sentences), ideal.astype(np.float32)


@pytest.mark.weights
@pytest.mark.parametrize(
    ("query", "shot"),
    [
        ("When does the dog appear?", 0),
        ("somebody playing the guitar", 1),
        ("a plane in the sky", 2),
        ("When do we see a pizza?", 3),
    ],
)
def test_questions_find_the_shots_of_the_classes_they_mean(
    query: str, shot: int, lite0: tuple[ClassLogitScorer, Router, NDArray[np.float32]]
) -> None:
    scorer, router, ideal = lite0
    shots = [Span(5.0 * i, 5.0 * i + 5) for i in range(4)]
    index = index_of(ideal[[207, 402, 404, 963]], shots)  # golden retriever, acoustic guitar, airliner, pizza
    candidates, _ = score_visual(index, query, scorer, router)
    assert candidates[0].span == shots[shot]
    assert candidates[0].probability > 0.5 > candidates[1].probability
    assert candidates[0].phrase.startswith("looks like: ")


@pytest.mark.weights
@pytest.mark.parametrize("query", ["When does the dog appear?", "a guitar in the dark", "an empty street at night"])
def test_scores_are_products_that_can_be_kept_before_there_is_a_question(
    query: str, lite0: tuple[ClassLogitScorer, Router, NDArray[np.float32]]
) -> None:
    scorer, _, ideal = lite0
    index = index_of(ideal[[207, 402, 404]], [Span(0, 5), Span(5, 5.5), Span(5.5, 30)], darkness=[0.1, 0.9, 0.0])
    weights = scorer.query_weights(query)
    np.testing.assert_allclose(scorer.shot_vectors(index) @ weights, scorer.score(index, query).shots, atol=1e-3)
    assert np.count_nonzero(weights) < len(weights) / 5  # so a search reads few of its rows


@pytest.mark.weights
def test_a_single_shot_is_judged_by_what_pictures_usually_show(
    lite0: tuple[ClassLogitScorer, Router, NDArray[np.float32]],
) -> None:
    scorer, router, ideal = lite0
    index = index_of(ideal[[207]], [Span(0, 5)])
    (dog,), _ = score_visual(index, "a dog", scorer, router)
    (ship,), _ = score_visual(index, "a ship leaves the harbour", scorer, router)
    assert dog.probability > 0.5 > ship.probability


@pytest.mark.weights
def test_the_scorer_on_the_cpu_never_imports_torch() -> None:
    code = (
        "import sys; from tvu.video_llm.scout import calibrate, visual; from tvu.video_llm.encode import Lite0Encoder;"
        "Lite0Encoder(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-P", "-c", code], check=False).returncode == 0
