"""Joined videos: pieces keep their times, lines are true where they are said to be, the text alone tells nothing."""

from itertools import pairwise

import numpy as np
import pytest

from tvu.temporal.types import Span
from tvu.video_llm.training.aligner_worlds import (
    FRAMES_PER_SECOND,
    LINES_OF_A_THING,
    JoinedVideos,
    Piece,
    Spoken,
    is_asked,
    is_taught,
    worded,
)
from tvu.video_llm.training.scenes import Wording

CLASSES = 12
CLASSIFIER = np.eye(CLASSES, 16, dtype=np.float32)  # no class looks like another


def piece_of(index, seconds=4.0, others=()):
    """Shows class `index` in its second half."""
    frames = round(seconds * FRAMES_PER_SECOND)
    return Piece(
        np.full((frames, 16), index, np.float16),
        (Span(0.0, seconds / 2), Span(seconds / 2, seconds)),
        (0.0, 0.0),
        {f"class {index}": (Span(seconds / 2, seconds),)},
        {f"class {index}": frozenset({index})},
        frozenset({index, *others}),
    )


def lines_of(index):
    vectors = np.eye(CLASSES, 8, dtype=np.float32)
    return [Spoken(f"thing {index} in words {n}", vectors[index], frozenset({index})) for n in range(6)]


LINES = {f"class {k}": lines_of(k) for k in range(CLASSES)}
SOURCE = JoinedVideos([piece_of(k) for k in range(4)], LINES, CLASSIFIER)


def thing_of(text):
    return int(text.split()[1])


@pytest.mark.parametrize("seed", range(5))
def test_lines_are_shown_where_their_thing_is_and_nowhere_else(seed):
    video = SOURCE.draw(np.random.default_rng(seed))
    assert any(video.spans) and not all(video.spans)
    for text, spans in zip(video.texts, video.spans, strict=True):
        for time, seen in zip(video.index.frame_times, video.index.features[:, 0], strict=True):
            inside = any(time in span for span in spans)
            assert not inside or seen == thing_of(text)
        if not spans:
            assert thing_of(text) not in video.index.features[:, 0]


def test_shots_cover_the_whole_video():
    video = SOURCE.draw(np.random.default_rng(1))
    shots = video.index.shots
    assert shots[0].start_seconds == 0
    assert shots[-1].end_seconds == len(video.index.features) / FRAMES_PER_SECOND
    assert all(a.end_seconds == b.start_seconds for a, b in pairwise(shots))


def test_a_line_that_is_also_true_of_something_else_is_not_told():
    source = JoinedVideos([piece_of(0, others={1}), piece_of(1)], LINES, CLASSIFIER)
    rng = np.random.default_rng(0)
    videos = [source.draw(rng) for _ in range(20)]
    both = [v for v in videos if len(np.unique(v.index.features[:, 0])) == 2]
    assert both
    for video in both:
        assert not any(thing_of(text) == 1 for text in video.texts), "class 1 is also seen, unnamed, in the first piece"


def test_absent_things_come_in_as_many_wordings_as_shown_ones():
    rng = np.random.default_rng(0)
    counts = {True: [], False: []}
    for _ in range(60):
        video = SOURCE.draw(rng)
        things = [thing_of(text) for text in video.texts]
        for thing in set(things):
            is_shown = bool(video.spans[things.index(thing)])
            counts[is_shown].append(things.count(thing))
    expected = (1 + LINES_OF_A_THING) / 2
    assert np.mean(counts[True]) == pytest.approx(expected, rel=0.15)
    assert np.mean(counts[False]) == pytest.approx(expected, rel=0.15)


def test_the_same_seed_draws_the_same_video():
    first, second = (SOURCE.draw(np.random.default_rng(3)) for _ in range(2))
    assert first.texts == second.texts
    np.testing.assert_array_equal(first.index.features, second.index.features)


def test_what_training_speaks_of_is_never_asked_about():
    keys = [f"class {k}" for k in range(1000)]
    assert not any(is_taught(key) and is_asked(key) for key in keys)
    assert sum(map(is_asked, keys)) == 200
    assert is_asked("scene a kitchen"), "of the held-out words, which training does not have"


def test_a_thing_that_is_shown_may_be_named_alone():
    rng = np.random.default_rng(0)
    ways = {worded(Wording("a dog", "be", "is", "being", "shown"), rng) for _ in range(40)}
    assert {"A dog", "A dog is shown", "When is a dog shown?", "The scene with a dog"} == ways
