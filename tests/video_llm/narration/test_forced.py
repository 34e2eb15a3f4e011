"""Lines among heard words: wherever they are, as often as they are, and in the order of the text."""

from itertools import pairwise

import numpy as np
import pytest

from tvu.video_llm.narration import forced
from tvu.video_llm.narration.forced import OPENING, Heard, in_reading_order, place_within, places_of


def spelt(text: str) -> list[str]:
    return text.split()


HEARD = spelt("""
    well please open the winter before you start painting thank you all right shop the onions finely and thank you
""")


def texts(lines: list[str], heard: list[str] = HEARD) -> Heard:
    return Heard.of([line.split() for line in lines], heard, [0.1] * len(heard))


def words_of(place: forced.Place, heard: list[str] = HEARD) -> str:
    return " ".join(heard[j] for _, j in place.matches)


def test_a_line_is_found_though_words_are_misheard_left_out_and_put_in():
    (place,) = places_of(0, texts(["open the window before painting it"]))
    assert words_of(place) == "open the winter before painting"
    assert (place.first, place.last) == (2, 8)
    assert 0.6 < place.covered < 1


def test_a_line_that_is_said_twice_has_two_places():
    assert [p.first for p in places_of(0, texts(["thank you"]))] == [9, 18]


def test_lines_may_be_said_in_another_order_than_they_are_written():
    both = texts(["chop the onions finely", "open the window"])
    assert places_of(0, both)[0].first > places_of(1, both)[0].first


def test_a_line_that_is_never_said_has_no_place():
    assert places_of(0, texts(["volcanoes erupt under pressure"])) == []
    assert places_of(0, texts([""])) == []
    assert places_of(0, texts(["thank you"], [])) == []


def test_only_what_is_asked_for_is_looked_through():
    place = place_within(0, texts(["thank you"]), 12, 20)
    assert place is not None and place.first == 18
    assert place_within(0, texts(["thank you"]), 11, 15) is None


def test_a_long_silence_parts_what_few_words_would_not():
    lines, heard = [["red", "button"]], ["red", "button"]
    (close,) = places_of(0, Heard.of(lines, heard, [0, 0.1]))
    assert len(close.matches) == 2
    silent = places_of(0, Heard.of([["red", "um", "button"]], ["red", "x", "x", "x", "button"], [0, 9, 9, 9, 9]))
    assert all(len(place.matches) == 1 for place in silent)


def test_in_reading_order_each_of_two_equal_lines_has_its_own_place():
    matches = in_reading_order(texts(["thank you", "chop the onions", "thank you"]))
    assert [matches[n][0][1] for n in range(3)] == [9, 13, 18]


def plain_best(heard: Heard) -> float:
    """The best worth of all matches less OPENING for each run, by the textbook: one cell after the other."""
    tokens = [int(t) for line in heard.lines for t in line]
    count = len(heard.heard)
    behind = np.zeros((len(tokens) + 1, count + 1))
    match = np.full((len(tokens) + 1, count + 1), -np.inf)
    for i, token in enumerate(tokens, 1):
        for j in range(1, count + 1):
            worth = float(heard.weights[token] * heard.alike[token, heard.heard[j - 1]])
            if worth > 0:
                match[i, j] = worth + max(behind[i - 1, j - 1] - OPENING, match[i - 1, j - 1])
            behind[i, j] = max(behind[i - 1, j], behind[i, j - 1], match[i, j])
    return float(behind[-1, -1])


@pytest.mark.parametrize("block", [1, 3, 128])
def test_reading_order_is_the_best_there_is_whatever_is_held_at_a_time(monkeypatch, block: int) -> None:
    monkeypatch.setattr(forced, "BLOCK", block)
    rng = np.random.default_rng(block)
    vocabulary = [*"abcdefgh", "open", "window", "onions", "finely", "thank", "you"]
    for _ in range(20):
        lines = [list(rng.choice(vocabulary, rng.integers(1, 6))) for _ in range(6)]
        heard = Heard.of(lines, list(rng.choice(vocabulary, 30)), [0.1] * 30)
        found = in_reading_order(heard)
        offset = np.cumsum([0, *map(len, lines)])
        path = [(int(offset[line]) + i, j, worth) for line, m in sorted(found.items()) for i, j, worth in m]
        assert all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(path))
        runs = sum(1 for k, (i, j, _) in enumerate(path) if k == 0 or path[k - 1][:2] != (i - 1, j - 1))
        assert sum(worth for *_, worth in path) - OPENING * runs == pytest.approx(plain_best(heard), abs=1e-4)


def test_nothing_heard_or_nothing_written_is_no_match():
    assert in_reading_order(texts(["thank you"], [])) == {}
    assert in_reading_order(texts([""])) == {}
