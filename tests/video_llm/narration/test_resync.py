"""Subtitles out of step with speech, and what puts them back."""

from itertools import pairwise, product

import numpy as np
import pytest

from tvu.video_llm.narration.activity import Activity
from tvu.video_llm.narration.resync import FILM_RATES, ResyncConfig, resynchronise, retime
from tvu.video_llm.narration.types import Line, Script
from tvu.video_llm.scout.speech import Transcript, Word

PAL = FILM_RATES[1]
SECONDS = 260.0


def speech(seed: int = 0, until: float = SECONDS - 10) -> list[tuple[float, float]]:
    """Utterances of 1 to 4 s with pauses of all lengths, as people talk."""
    rng = np.random.default_rng(seed)
    spans, clock = [], 12.0
    while clock < until:
        length = float(rng.uniform(1.0, 4.0))
        spans.append((clock, clock + length))
        clock += length + float(rng.choice([0.4, rng.uniform(0.5, 2.0), rng.uniform(2.0, 7.0)]))
    return spans


def subtitles(spans: list[tuple[float, float]], rate: float = 1.0, offset: float = 0.0) -> Script:
    """Lines for that speech on a clock from which `rate * t + offset` leads back to the video's."""
    return Script(
        tuple(
            Line("x" * int((end - start) * 15), (start - offset) / rate, (end + 0.4 - offset) / rate)
            for start, end in spans
        ),
        "srt",
    )


def errors(script: Script, spans: list[tuple[float, float]], activity: Activity) -> list[float]:
    lines = retime(script, resynchronise(script, activity))
    return [
        abs(line.span.start_seconds - start) if line.span is not None else float("inf")
        for line, (start, _) in zip(lines, spans, strict=True)
    ]


@pytest.mark.parametrize(
    ("rate", "offset"), [(1.0, 0.0), (1.0, 8.3), (1.0, -40.0), (PAL, 0.0), (1 / PAL, 5.0), (1.017, -3.0), (0.96, 4.0)]
)
def test_an_offset_and_a_rate_are_found_together(rate: float, offset: float) -> None:
    spans = speech()
    found = errors(subtitles(spans, rate, offset), spans, Activity.of_spans(spans, SECONDS))
    assert max(found) < 0.15


def test_times_that_are_right_stay_where_they_are() -> None:
    spans = speech()
    found = resynchronise(subtitles(spans), Activity.of_spans(spans, SECONDS))
    assert len(found.pieces) == 1 and found.pieces[0].rate == 1.0
    assert abs(found.pieces[0].offset_seconds) < 0.12  # lines come up a little before their words
    assert found.is_reliable and min(found.line_confidence) > 0.5


def test_an_advertisement_in_the_video_parts_the_lines_in_two() -> None:
    film = speech()
    half = len(film) // 2
    shown = film[:half] + [(start + 30.0, end + 30.0) for start, end in film[half:]]
    noise = [(film[half][0] + 2 * n, film[half][0] + 2 * n + 1.5) for n in range(14)]  # what the advertisement says
    script = subtitles(film, offset=-5.0)
    activity = Activity.of_spans(shown + noise, SECONDS + 30)
    assert resynchronise(script, activity).num_breaks == 1
    assert max(errors(script, shown, activity)) < 0.15


def test_lines_of_a_scene_that_was_cut_are_marked_as_not_shown() -> None:
    film = speech()
    gone = range(18, 25)
    begin, end = film[18][0] - 0.3, film[25][0] - 0.3
    shown = [(a if a < begin else a - (end - begin), b if a < begin else b - (end - begin)) for a, b in film]
    activity = Activity.of_spans([s for n, s in enumerate(shown) if n not in gone], SECONDS)
    found = resynchronise(subtitles(film), activity)
    lines = retime(subtitles(film), found)
    assert [line.index for line in lines if line.span is None] == list(gone)
    assert [n for n, piece in enumerate(found.piece_of) if piece is None] == list(gone)
    assert all(line.confidence <= 0.5 for line in lines if line.span is None)


def test_order_is_kept_where_pieces_meet() -> None:
    film = speech()
    shown = [(a, b) if n < 20 else (a - 9.0, b - 9.0) for n, (a, b) in enumerate(film)]
    lines = retime(subtitles(film), resynchronise(subtitles(film), Activity.of_spans(shown, SECONDS)))
    starts = [line.span.start_seconds for line in lines if line.span is not None]
    assert starts == sorted(starts)


def test_subtitles_of_another_film_are_not_to_be_trusted() -> None:
    found = resynchronise(subtitles(speech(seed=1)), Activity.of_spans(speech(seed=2), SECONDS))
    assert not found.is_reliable and found.confidence < 0.5


def test_words_decide_where_speech_alone_cannot() -> None:
    """Speech that beats like a clock fits everywhere; only its words tell where it belongs."""
    names = "amber basil cedar dahlia elder fennel ginger hazel iris jasmine laurel maple nettle olive poppy quince"
    beat = [(10.0 + 4.0 * n, 12.0 + 4.0 * n) for n in range(16)]
    lines = tuple(Line(f"{name} garden", a + 16.0, b + 16.0) for name, (a, b) in zip(names.split(), beat, strict=True))
    heard = tuple(
        Word(text, a + n, a + n + 0.9, 0.9)
        for name, (a, _) in zip(names.split(), beat, strict=True)
        for n, text in enumerate((name, "garden"))
    )
    activity = Activity.of_spans(beat, 120.0)
    found = resynchronise(Script(lines, "srt"), activity, Transcript(heard))
    assert [piece.offset_seconds for piece in found.pieces] == [pytest.approx(-16.0, abs=0.15)]
    assert found.is_reliable


def test_sounds_told_in_brackets_say_nothing_and_go_with_their_neighbours() -> None:
    spans = speech()
    quiet = [Line("[door slams]", end + 0.5, nxt - 0.5) for (_, end), (nxt, _) in pairwise(spans) if nxt - end > 2.0]
    script = subtitles(spans)
    both = Script(tuple(sorted([*script.lines, *quiet], key=lambda line: line.start_seconds or 0.0)), "srt")
    moved = Script(
        tuple(Line(x.text, (x.start_seconds or 0.0) + 7.0, (x.end_seconds or 0.0) + 7.0) for x in both.lines), "srt"
    )
    lines = retime(moved, resynchronise(moved, Activity.of_spans(spans, SECONDS)))
    assert all(
        line.span is not None and abs(line.span.start_seconds - (x.start_seconds or 0.0)) < 0.15
        for line, x in zip(lines, both.lines, strict=True)
    )


def test_lines_may_be_out_of_order_overlap_lack_times_and_end_before_they_start() -> None:
    spans = speech()
    lines = list(subtitles(spans, offset=3.0).lines)
    lines[5] = Line(lines[5].text, lines[5].start_seconds, (lines[5].start_seconds or 0.0) - 2.0)
    lines[9] = Line("no time at all")
    lines[11], lines[12] = lines[12], lines[11]
    lines[14] = Line(lines[14].text, lines[14].start_seconds, (lines[16].end_seconds or 0.0))
    lines.append(Line("before all", -50.0, -48.0))
    found = resynchronise(Script(tuple(lines), "srt"), Activity.of_spans(spans, SECONDS))
    placed = retime(Script(tuple(lines), "srt"), found)
    assert [line.index for line in placed] == list(range(len(lines)))
    assert placed[9].span is None and placed[9].confidence == 0.0 and found.piece_of[9] is None
    assert placed[-1].span is None
    assert placed[5].span is not None and placed[11].span is not None
    assert abs(placed[11].span.start_seconds - spans[12][0]) < 0.15


def test_a_time_code_that_starts_at_ten_hours_is_understood() -> None:
    spans = speech()
    assert max(errors(subtitles(spans, offset=-36_004.0), spans, Activity.of_spans(spans, SECONDS))) < 0.15


def test_one_absurd_time_costs_nothing_and_is_not_shown() -> None:
    spans = speech()
    script = Script((*subtitles(spans, offset=2.0).lines, Line("never", 9e9, 9e9 + 1), Line("x", -9e9, 4.0)), "srt")
    found = resynchronise(script, Activity.of_spans(spans, SECONDS))
    assert found.is_reliable and found.piece_of[-2:] == (None, None)
    assert found.pieces[0].offset_seconds == pytest.approx(2.0, abs=0.15)


def test_layers_of_one_line_count_once_and_move_together() -> None:
    spans = speech()
    once = subtitles(spans, offset=6.0)
    thrice = Script(tuple(line for line in once.lines for _ in range(3)), "ass")
    found = resynchronise(thrice, Activity.of_spans(spans, SECONDS))
    assert len(found.pieces) == 1 and found.pieces[0].offset_seconds == pytest.approx(6.0, abs=0.15)
    assert found.piece_of == (0,) * len(thrice.lines)


@pytest.mark.parametrize(
    ("script", "activity"),
    [
        (Script((), "srt"), Activity.of_spans([(1, 2)], 10)),
        (Script((Line("no time"),), "txt"), Activity.of_spans([(1, 2)], 10)),
        (subtitles(speech()), Activity.of_spans([], 10)),
        (subtitles(speech()), Activity(np.zeros(0, np.float32))),
        (Script((Line("one", 1.0, 2.0),), "srt"), Activity.of_spans([(4, 5)], 10)),
    ],
)
def test_where_nothing_can_be_told_nothing_is_to_be_trusted(script: Script, activity: Activity) -> None:
    found = resynchronise(script, activity)
    assert not found.is_reliable
    assert len(retime(script, found)) == len(script.lines)


def test_the_programme_is_exact_on_its_grid() -> None:
    """Every path of a small problem is tried, and none is worth more than the one that is found."""
    from tvu.video_llm.narration.resync import _cues_of, _Hearing, _Track

    spans = [(1.0, 1.4), (1.8, 2.1), (2.6, 3.0), (3.3, 3.9)]
    script = subtitles([(0.5, 0.9), (1.0, 1.3), (1.6, 2.0), (2.1, 2.5)])
    config = ResyncConfig(max_offset_seconds=0.6, break_cost=1.3, cut_cost=0.4)
    track = _Track(_cues_of(script), _Hearing(Activity.of_spans(spans, 4.5), None), 1.04, config)
    scores = [track.score(i) for i in range(4)]
    best = -np.inf
    for choice in product(range(-1, track.num_offsets), repeat=4):
        worth, last, cut_since = 0.0, -1, False
        for i, k in enumerate(choice):
            if k < 0:
                worth, cut_since = worth - config.cut_cost, True
                continue
            if last >= 0:
                stays = k == choice[last] and not cut_since
                if not stays and int(track.starts[i]) + k < int(track.ends[last]) + choice[last]:
                    worth = -np.inf
                worth -= 0.0 if stays else config.break_cost
            elif i > 0:
                worth -= config.break_cost
            worth, last, cut_since = worth + float(scores[i][k]), i, False
        best = max(best, worth - (config.break_cost if cut_since else 0.0))
    path = track.decode()
    assert path.score == pytest.approx(best, abs=1e-4)


def test_a_long_file_keeps_one_rate() -> None:
    spans = speech(3, until=900)
    assert max(errors(subtitles(spans, PAL, 12.0), spans, Activity.of_spans(spans, 910.0))) < 0.15
