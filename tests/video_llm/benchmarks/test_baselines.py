"""Models that look at nothing."""

from pathlib import Path
from typing import Any

import pytest

from tvu.temporal.types import Span
from tvu.video_llm.benchmarks.baselines import baseline_named, told
from tvu.video_llm.benchmarks.choice import MultipleChoice
from tvu.video_llm.benchmarks.types import Item
from tvu.video_llm.errors import UnknownModel
from tvu.video_llm.types import VideoClip

CLIP = VideoClip(Path("a.mp4"), Span(10, 22), 30.0, 25.0, 750, 36, 64)
QUESTION = MultipleChoice("How does a dog sound?", ("It rains.", "The dog barks.", "Green."))
ITEM = Item("ac/0", "a.mp4", QUESTION.question, 2, options=QUESTION.options)


def text_of(name: str, item: Item = ITEM) -> str:
    model: Any = baseline_named(name)
    return str(told(model, item).choose(CLIP, QUESTION).text)  # type: ignore[attr-defined]


def spans_of(name: str, item: Item) -> list[tuple[float, float]]:
    model: Any = baseline_named(name)
    (found,) = told(model, item).ground(CLIP, ["a dog"])
    return [(g.span.start_seconds, g.span.end_seconds) for g in found]


def test_the_oracle_knows_and_the_constant_does_not_care() -> None:
    assert text_of("baseline:oracle") == "(C)"
    assert [text_of(f"baseline:constant{letter}") for letter in ("", ":B", ":Z")] == ["(A)", "(B)", "(C)"]


def test_the_random_one_answers_an_item_the_same_every_time_and_every_option_as_often() -> None:
    items = [Item(f"ac/{n}", "a.mp4", "?", 0) for n in range(3000)]
    drawn = [text_of("baseline:random", item) for item in items]
    assert drawn == [text_of("baseline:random", item) for item in items]
    assert all(900 < drawn.count(letter) < 1100 for letter in ("(A)", "(B)", "(C)"))


def test_moments_are_shares_of_the_part_that_is_asked_about() -> None:
    shares = [spans_of(f"baseline:{name}", ITEM) for name in ("whole", "middle", "first")]
    assert shares == [[(10, 22)], [(13, 19)], [(10, 14)]]
    spans = Item("m/0", "a.mp4", "a dog", [[11, 12.5], [14, 15]])
    assert spans_of("baseline:oracle", spans) == [(11, 12.5), (14, 15)]
    ((start, end),) = spans_of("baseline:random", spans)
    assert 10 <= start < end <= 22


def test_other_models_are_told_nothing() -> None:
    model: Any = object()
    assert told(model, ITEM) is model


def test_names_that_are_no_baseline_are_left_to_others_and_unknown_ones_refused() -> None:
    assert baseline_named("scout") is None
    for name in ("baseline:", "baseline:best", "baseline:constant:ab", "baseline:whole:C"):
        with pytest.raises(UnknownModel):
            baseline_named(name)
    with pytest.raises(UnknownModel, match="no multiple choice"):
        text_of("baseline:whole")
    with pytest.raises(UnknownModel, match="finds no moments"):
        spans_of("baseline:text", ITEM)


@pytest.mark.weights
def test_the_text_baseline_takes_the_option_that_sounds_like_the_question(weights_cache: Path) -> None:
    assert text_of("baseline:text") == "(B)"
