"""Lines among heard words: wherever they are, as often as they are, and in the order of the text."""

import time
from itertools import pairwise

import numpy as np
import pytest

from tvu.video_llm.narration import forced
from tvu.video_llm.narration.forced import OPENING, Heard, in_reading_order, place_within, places_of, reading_band


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


def worth_of(found: dict[int, tuple[tuple[int, int, float], ...]], lines: list[list[str]]) -> float:
    """That of what was found, which is a path."""
    offset = np.cumsum([0, *map(len, lines)])
    path = [(int(offset[line]) + i, j, worth) for line, m in sorted(found.items()) for i, j, worth in m]
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(path))
    runs = sum(1 for k, (i, j, _) in enumerate(path) if k == 0 or path[k - 1][:2] != (i - 1, j - 1))
    return sum(worth for *_, worth in path) - OPENING * runs


def plain_best(heard: Heard, band: np.ndarray | None = None) -> float:
    """The best worth of all matches less OPENING for each run, by the textbook: one cell after the other."""
    tokens = [int(t) for line in heard.lines for t in line]
    count = len(heard.heard)
    behind = np.zeros((len(tokens) + 1, count + 1))
    match = np.full((len(tokens) + 1, count + 1), -np.inf)
    for i, token in enumerate(tokens, 1):
        for j in range(1, count + 1):
            worth = float(heard.weights[token] * heard.alike[token, heard.heard[j - 1]])
            if worth > 0 and (band is None or band[i - 1, 0] <= j - 1 < band[i - 1, 1]):
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
        assert worth_of(found, lines) == pytest.approx(plain_best(heard), abs=1e-4)


def test_nothing_heard_or_nothing_written_is_no_match():
    assert in_reading_order(texts(["thank you"], [])) == {}
    assert in_reading_order(texts([""])) == {}


# --- hours of speech ---


def a_talk(rng: np.random.Generator, words: int, misheard: float) -> tuple[list[list[str]], list[str]]:
    """Lines, of which one in ten is left out by who speaks, and the words heard of them, with a few put in."""
    parts = [a + b for a in "bdfgklmnprstvw" for b in ("a", "e", "i", "o", "u", "ar", "en", "is", "ol")]
    vocabulary = ["".join(rng.choice(parts, rng.integers(1, 5))) for _ in range(1500)]
    often = 1 / np.arange(1, len(vocabulary) + 1)
    said = rng.choice(vocabulary, words, p=often / often.sum()).tolist()
    lines = [said[k : k + 8] for k in range(0, words, 8)]
    heard = []
    for line in lines:
        if rng.random() < 0.1:
            continue
        for word in line:
            heard += [str(rng.choice(vocabulary))] if rng.random() < misheard else [word]
    return lines, heard


@pytest.mark.parametrize("misheard", [0.05, 0.3])
def test_where_a_line_cannot_be_it_is_not_looked_for_and_no_place_is_lost(monkeypatch, misheard: float) -> None:
    lines, heard = a_talk(np.random.default_rng(3), 800, misheard)
    text = Heard.of([*lines, ["volcano", "under", "pressure"]], heard, [0.1] * len(heard))
    found = [places_of(n, text) for n in range(len(lines) + 1)]
    looked = [int((forced._promising(n, text) >= 0).sum()) for n in range(len(lines))]
    assert np.mean(looked) < 0.5 * len(heard)
    monkeypatch.setattr(forced, "_promising", lambda line, texts: np.arange(len(texts.heard)))
    everywhere = [places_of(n, text) for n in range(len(lines) + 1)]
    for few, all_of in zip(found, everywhere, strict=True):
        assert [p.matches for p in few] == [p.matches for p in all_of]
        assert [p.covered for p in few] == pytest.approx([p.covered for p in all_of])


@pytest.mark.parametrize("misheard", [0.05, 0.3])
def test_within_the_band_the_order_of_a_talk_is_what_it_is_without(monkeypatch, misheard: float) -> None:
    monkeypatch.setattr(forced, "ALL_CELLS", 0)
    monkeypatch.setattr(forced, "MARGIN", 60)
    lines, heard = a_talk(np.random.default_rng(5), 2400, misheard)
    text = Heard.of(lines, heard, [0.1] * len(heard))
    band = reading_band(text)
    width = band[:, 1] - band[:, 0]
    assert (np.diff(band, axis=0) >= 0).all() and width.min() > 0 and width.mean() < 0.2 * len(heard)
    everything = np.tile(np.array([0, len(heard)]), (len(band), 1))
    assert worth_of(in_reading_order(text), lines) == pytest.approx(
        worth_of(in_reading_order(text, everything), lines), abs=1e-2
    )


@pytest.mark.parametrize("block", [1, 4, 128])
def test_within_any_band_the_order_is_the_best_that_the_band_allows(monkeypatch, block: int) -> None:
    monkeypatch.setattr(forced, "BLOCK", block)
    rng = np.random.default_rng(block)
    for _ in range(30):
        lines = [list(rng.choice(list("abcdefgh"), rng.integers(1, 5))) for _ in range(5)]
        heard = Heard.of(lines, list(rng.choice(list("abcdefgh"), 20)), [0.1] * 20)
        count = sum(map(len, lines))
        first = np.sort(rng.integers(0, 12, count))
        band = np.stack([first, np.maximum.accumulate(np.minimum(20, first + rng.integers(1, 14, count)))], axis=1)
        band[-1, 1] = 20
        band[1:, 0] = np.minimum(band[1:, 0], band[:-1, 1])
        found = in_reading_order(heard, band)
        offset = np.cumsum([0, *map(len, lines)])
        for line, matches in found.items():
            assert all(band[offset[line] + i, 0] <= j < band[offset[line] + i, 1] for i, j, _ in matches)
        assert worth_of(found, lines) == pytest.approx(plain_best(heard, band), abs=1e-4)


def test_a_text_that_is_not_told_in_its_order_has_no_band(monkeypatch) -> None:
    monkeypatch.setattr(forced, "ALL_CELLS", 0)
    lines, heard = a_talk(np.random.default_rng(5), 800, 0.05)
    shuffled = [lines[n] for n in np.random.default_rng(0).permutation(len(lines))]
    band = reading_band(Heard.of(shuffled, heard, [0.1] * len(heard)))
    assert (band == [0, len(heard)]).all()


@pytest.mark.alone
def test_tens_of_thousands_of_words_are_aligned_in_seconds() -> None:
    lines, heard = a_talk(np.random.default_rng(7), 12_000, 0.1)
    text = Heard.of(lines, heard, [0.1] * len(heard))
    began = time.process_time()
    found = in_reading_order(text)
    assert time.process_time() - began < 4  # 0.6 s on a quiet core, 5 s without the band
    assert len(found) > 0.8 * len(lines)
