"""A diff tells by how much every line moved, and which pieces of the file moved alike."""

import pytest

from tvu.temporal.types import Span
from tvu.video_llm.narration.diff import diff, diff_text
from tvu.video_llm.narration.types import AlignedLine, Alignment, Line, Script


def moved(olds: list[float | None], news: list[float | None], kept: bool = False) -> Alignment:
    lines = tuple(Line(f"line {i}", old, None if old is None else old + 2) for i, old in enumerate(olds))
    spans = [None if new is None else Span(new, new + 2) for new in news]
    aligned = tuple(AlignedLine(i, span, 0.9) for i, span in enumerate(spans))
    return Alignment(Script(lines, "srt"), aligned, "film.mp4", 1000.0, ("speech",), kept)


def test_one_offset_is_one_piece():
    told = diff(moved([0, 10, 20, 30], [2.5, 12.52, 22.48, 32.5]))
    (piece,) = told.pieces
    assert (piece.first, piece.last, piece.lines, piece.rate) == (0, 3, 4, 1.0)
    assert piece.offset_seconds == pytest.approx(2.5)
    assert [move.shift_seconds for move in told.moves] == pytest.approx([2.5, 2.52, 2.48, 2.5])


def test_a_rate_is_found():
    olds = [30.0 * i for i in range(40)]
    (piece,) = diff(moved(olds, [1 + old * 25 / 23.976 for old in olds])).pieces
    assert piece.rate == pytest.approx(25 / 23.976, abs=2e-4)
    assert piece.shift_at(0.0) == pytest.approx(1.0, abs=0.1)


def test_an_advertisement_parts_two_pieces_and_lines_within_it_are_lost():
    olds = [10.0 * i for i in range(9)]
    news: list[float | None] = [old + 1 for old in olds[:4]] + [None] + [old + 31 for old in olds[5:]]
    told = diff(moved(olds, news))
    assert [(piece.first, piece.last) for piece in told.pieces] == [(0, 3), (5, 8)]
    assert [piece.offset_seconds for piece in told.pieces] == pytest.approx([1.0, 31.0])
    assert told.lost == 1


def test_a_text_without_times_moved_nowhere():
    told = diff(moved([None, None], [3.0, None]))
    assert not told.pieces and told.lost == 0
    assert diff_text(told).splitlines()[0].split() == ["1", "-", "->", "00:03.000", "line", "0"]


def test_what_was_kept_is_as_it_was():
    text = diff_text(diff(moved([0, 10], [5, 15], kept=True)))
    assert text.startswith("00:00.0 - 00:10.0  as it was  2 lines\n\n1  00:00.000 -> 00:00.000          =  line 0")


def test_the_text_tells_pieces_first():
    text = diff_text(diff(moved([0, 10, 20], [2.5, 12.5, None])))
    assert text.splitlines() == [
        "00:00.0 - 00:10.0  +2.500 s  2 lines",
        "not in the video: 1 line",
        "",
        "1  00:00.000 -> 00:02.500     +2.500  line 0",
        "2  00:10.000 -> 00:12.500     +2.500  line 1",
        "3  00:20.000 ->         -             line 2",
    ]
