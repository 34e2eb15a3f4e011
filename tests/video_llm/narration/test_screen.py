"""Lines that are written on the screen: slide titles, captions, and what recognisers make of them."""

import numpy as np
import pytest

from tvu.temporal.types import Span
from tvu.video_llm.narration.calibrate import fit_screen, misread
from tvu.video_llm.narration.screen import screen_candidates
from tvu.video_llm.narration.types import Line, Script
from tvu.video_llm.scout.narrated import read_script
from tvu.video_llm.scout.screen_text import ScreenText, TextTrack


def shown(*titles):
    return ScreenText(tuple(TextTrack(text, Span(*span), 0.95, (0.1, 0.1, 0.9, 0.2)) for text, span in titles))


SLIDES = shown(
    ("Introduction", (0, 8)),
    ("2. Methodsand materials", (8, 20)),
    ("Resu1ts of the survey", (20, 41)),
    ("Thank you", (41, 45)),
)


def lines(*texts):
    return Script(tuple(Line(text) for text in texts), "txt")


@pytest.mark.parametrize(
    ("title", "span"),
    [
        ("Introduction", (0, 8)),
        ("Methods and materials", (8, 20)),
        ("Results of the survey", (20, 41)),
        ("THANK YOU!", (41, 45)),
    ],
)
def test_a_slide_title_is_found_however_it_was_read(title, span):
    ((best, *_),) = screen_candidates(lines(title), SLIDES)
    assert best.span == Span(*span)
    assert best.score > 0.5
    assert best.evidence == "screen-text"


def test_a_line_that_is_nowhere_has_no_likely_place():
    (found,) = screen_candidates(lines("Budget for the next year"), SLIDES)
    assert all(c.score < 0.3 for c in found)


def test_a_title_that_comes_back_has_two_places_that_share_the_probability():
    again = shown(("Chapter one", (0, 5)), ("Chapter one", (50, 55)), ("Questions", (60, 70)))
    (found,) = screen_candidates(lines("Chapter one"), again)
    assert {c.span for c in found[:2]} == {Span(0, 5), Span(50, 55)}
    assert sum(c.score for c in found) <= 1


def test_an_empty_screen_and_an_empty_line_are_no_error():
    assert screen_candidates(lines("Introduction", ""), shown()) == ((), ())
    assert screen_candidates(lines(""), SLIDES) == ((),)


def test_the_calibration_holds_for_titles_it_was_not_fitted_on():
    texts = [line.text for line in read_script().titles]
    _, found, ranked = fit_screen(texts, seed=3, rounds=2)
    assert found > 0.85
    assert ranked > 0.95


def test_a_misread_title_keeps_most_of_its_letters():
    read = misread("Results of the survey", np.random.default_rng(0))
    assert 15 <= len(read) <= 21
