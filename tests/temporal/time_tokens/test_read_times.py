"""What is a time in a text, and what is not: read it as the specification of `read_times`."""

import gc
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvu.temporal.time_tokens.lita import LitaTimeTokens
from tvu.temporal.time_tokens.read_times import Repair, Status, read_times
from tvu.temporal.time_tokens.text_times import TextTimes
from tvu.temporal.time_tokens.vtg_llm import VtgLlmTimeTokens
from tvu.temporal.types import Span

TWENTY = "<TIME_ZERO><TIME_ZERO><TIME_TWO><TIME_ZERO><TIME_DOT><TIME_FIVE>"
THIRTY = "<TIME_ZERO> <TIME_ZERO> <TIME_THREE> <TIME_ZERO> <TIME_DOT> <TIME_ZERO>"

# In a video of 99 seconds: text -> spans, points, repairs. Status follows from these.
PHRASES = [
    # ranges
    ("37.8 to 59.9", [(37.8, 59.9)], [], []),
    ("From 37.8 to 59.9 seconds.", [(37.8, 59.9)], [], []),
    ("The event happens in the 24.3 - 30.4 seconds.", [(24.3, 30.4)], [], []),
    ("10–20 s", [(10, 20)], [], []),
    ("10 — 20 seconds", [(10, 20)], [], []),
    ("12 s -> 15 s", [(12, 15)], [], []),
    ("12s→15s", [(12, 15)], [], []),
    ("10seconds-20 seconds", [(10, 20)], [], []),
    ("from 12 through 15 seconds", [(12, 15)], [], []),
    ("between 3 and 9", [(3, 9)], [], []),
    ("between about 3 and 9 seconds", [(3, 9)], [], []),
    ("from 3 s until 9 s", [(3, 9)], [], []),
    ("3 s to 9", [(3, 9)], [], []),
    ("from 5 to 10 the dog runs", [(5, 10)], [], []),
    ("from second 3 to second 9", [(3, 9)], [], []),
    ("t=3 to t=9", [(3, 9)], [], []),
    ("1. 90 - 95, spread the butter", [(90, 95)], [], []),
    ("10 - 20\n30 - 40", [(10, 20), (30, 40)], [], []),
    ("25.6s - 36.3s, then 70.1s-71s", [(25.6, 36.3), (70.1, 71)], [], []),
    # one unit for both ends
    ("5-10s", [(5, 10)], [], []),
    ("10.5-15.5s", [(10.5, 15.5)], [], []),
    ("from 5-10s", [(5, 10)], [], []),
    ("0-5s: intro; 5-10s: talk", [(0, 5), (5, 10)], [], []),
    ("5-10s, 20-25s", [(5, 10), (20, 25)], [], []),
    ("10-15sec", [(10, 15)], [], []),
    ("1-1.5min", [(60, 90)], [], []),
    # pairs in brackets and tags, and the name of a line
    ("[12.0s, 15.5s]", [(12, 15.5)], [], []),
    ("[00:12, 00:15], [00:20, 00:25]", [(12, 15), (20, 25)], [], []),
    ("[3 s, 9 s, 12 s]", [], [3, 9, 12], []),
    ("<time>12.5</time> to <time>15</time>", [(12.5, 15)], [], []),
    ("A: 5 s - 9 s", [(5, 9)], [], []),
    # a bare number after a quantity
    ("1. 5 s - 10 s\n2. 12 s - 15 s\n3. 20 s - 25 s", [(5, 10), (12, 15), (20, 25)], [], []),
    ("5.0s - 9.0s, 0.85", [(5, 9)], [], []),
    ("At 5 s (2)", [], [5], []),
    ("from 12 s to 15 s\n1", [(12, 15)], [], []),
    ("how many seconds\n1", [], [], []),
    # marks and ordinals
    ("from the 5-second mark to the 12-second mark", [(5, 12)], [], []),
    ("at the 12-second mark, he falls", [], [12], []),
    ("around the 1-minute mark", [], [60], []),
    ("from the 5 second mark to the 1:02 mark", [(5, 62)], [], []),
    ("from the 5th to the 10th second", [(5, 10)], [], []),
    ("between the 5th and 10th second", [(5, 10)], [], []),
    ("the 5th dog and the 10th", [], [], []),
    # clocks
    ("1:02-1:07", [(62, 67)], [], []),
    ("00:01:02,500 --> 00:01:07", [(62.5, 67)], [], []),
    ("[00:01:02 - 00:01:07.25]", [(62, 67.25)], [], []),
    ("between 1:00 and 1:10", [(60, 70)], [], []),
    ("1:02–1:07, 0:10–0:12", [(62, 67), (10, 12)], [], []),
    ("0:10 seconds, a cat jumps", [], [10], []),
    # words for units
    ("1 minute 5 seconds", [], [65], []),
    ("1 minute and 5 seconds", [], [65], []),
    ("from 1 min 3 s to 1m10s", [(63, 70)], [], []),
    ("0 h 1 min to 0 h 1 min 30 s", [(60, 90)], [], []),
    ("from 1 to 1.5 minutes", [(60, 90)], [], []),
    ("1 min 10 to 1 min 30", [(70, 90)], [], []),
    ("1 min 5 to 1 min 15", [(65, 75)], [], []),
    ("at 1 min 3 dogs run", [], [60], []),
    ("00h:01m:03s - 00h:01m:09s", [(63, 69)], [], []),
    ("500 ms - 1.5 s", [(0.5, 1.5)], [], []),
    ("90s", [], [90], []),
    # lists
    ("at 3 s, 9 s and 12-15 s", [(12, 15)], [3, 9], []),
    ("at 3, 9 and 12.", [], [3, 9, 12], []),
    ("in the 52, 54, 56 seconds. Their saliency scores are 3.0, 3.0, 4.0", [], [52, 54, 56], []),
    ("52.0 seconds, score: 3.5, 54.0 seconds, score: 4.0", [], [52, 54], []),
    ("At 5 s, 9 s and 2 dogs", [], [5, 9], []),
    ("- 3 s\n- 5 s", [], [3, 5], []),
    # start and end told apart
    ("From 3 s the man walks until 9 s.", [(3, 9)], [], [Repair.PAIRED]),
    ("It starts at 12.0 seconds.\nIt ends at 20.5 seconds.", [(12, 20.5)], [], [Repair.PAIRED]),
    ("start time: 5, end time: 9", [(5, 9)], [], [Repair.PAIRED]),
    ("from 5 ... until 9", [(5, 9)], [], [Repair.PAIRED]),
    ("from 5 … until 9", [(5, 9)], [], [Repair.PAIRED]),
    ("she starts at 5 with 3 dogs and ends at 9", [(5, 9)], [], [Repair.PAIRED]),
    ("starts at 00:00:18 and ends at 00:00:23.", [(18, 23)], [], [Repair.PAIRED]),
    ("He starts to run at 5 s and stops at 9 s", [(5, 9)], [], [Repair.PAIRED]),
    ("He comes from the left at 5 s and goes to the right at 9 s", [], [5, 9], []),
    ("It ends at 9 s. It starts at 3 s.", [], [9, 3], []),
    # time tokens
    ("<t3> <t9> a man walks", [(3, 9)], [], []),
    ("<t3><t9>", [(3, 9)], [], []),
    ("<t3> <t9> wash. <t10> <t12> dry.", [(3, 9), (10, 12)], [], []),
    ("The goal happens from <t6> to <t7> because <t1> points.", [(6, 7)], [1], []),
    ("<12.5> to <15>", [(12.5, 15)], [], []),
    (f"{TWENTY} - {THIRTY} seconds, a man opens the door.", [(20.5, 30)], [], []),
    ("<TIME_ONE><TIME_DOT><TIME_DOT>", [], [], [Repair.BROKEN]),
    # repairs
    ("10 - 5 s", [(5, 10)], [], [Repair.SWAPPED]),
    ("10 - 500 s", [(10, 99)], [], [Repair.CLAMPED]),
    ("500 - 10 s", [(10, 99)], [], [Repair.SWAPPED, Repair.CLAMPED]),
    ("100 - 110 s", [], [], [Repair.DROPPED]),
    ("at 100 s", [], [], [Repair.DROPPED]),
    ("<t3> <t120>", [(3, 99)], [], [Repair.CLAMPED]),
    ("from 10 to 10 s", [], [10], [Repair.EMPTY]),
    (f"{'9' * 400} s", [], [], [Repair.DROPPED]),
    # how long, not when
    ("it lasts 5-10 seconds", [], [], [Repair.LENGTH]),
    ("he jumps for 5 seconds", [], [], [Repair.LENGTH]),
    ("in the first 5 seconds", [], [], [Repair.LENGTH]),
    ("The video is 90 seconds long.", [], [], [Repair.LENGTH]),
    ("5 seconds before he falls", [], [], [Repair.LENGTH]),
    ("a 30-second clip", [], [], []),
    # might be, but nothing says so
    ("5", [], [], [Repair.UNSURE]),
    ("2 to 3 dogs run", [], [], [Repair.UNSURE]),
    ("between 5 and 10 people", [], [], [Repair.UNSURE]),
    ("looks at 2 or 3 dogs", [], [], [Repair.UNSURE]),
    ("call 555-1234", [], [], [Repair.UNSURE]),
    ("2024-01-05", [], [], [Repair.UNSURE]),
    ("1-2-3 s", [], [], [Repair.UNSURE]),
    ("from 2019 to 2020", [], [], [Repair.UNSURE]),
    ("1,234 to 1,300 s", [], [], [Repair.UNSURE]),
    ("at 1,5 s", [], [], [Repair.UNSURE]),
    ("-5 to 10 s", [], [], [Repair.UNSURE]),
    ("from -3s to 5s", [], [], [Repair.UNSURE]),
    ("from 3s to -5s", [], [], [Repair.UNSURE]),
    ("from 3 to -5", [], [], [Repair.UNSURE]),
    ("from -5 to 10 seconds", [], [], [Repair.UNSURE]),
    ("1:02 to 7", [], [], [Repair.UNSURE]),
    ("(3.5, 9.5)", [], [], [Repair.UNSURE]),
    ("in the 90s", [], [], [Repair.UNSURE]),
    ("3/4 s", [], [], [Repair.UNSURE]),
    ("5 to 10 kg", [], [], [Repair.UNSURE]),
    # no times
    ("", [], [], []),
    ("no numbers", [], [], []),
    ("2 dogs", [], [], []),
    ("scene 12", [], [], []),
    ("1,234 people", [], [], []),
    ("minus -5", [], [], []),
    ("frames 10 to 20", [], [], []),
    ("the score is 3-2", [], [], []),
    ("a rating of 4.5 to 5.0", [], [], []),
    ("room 5 to 10", [], [], []),
    ("he counts to 5", [], [], []),
    ("from minute 1 to minute 2", [], [], []),
    ("he starts 3 engines and ends 2 games", [], [], []),
    ("in 2019", [], [], []),
    ("the 1980s", [], [], []),
    ("50% to 75%", [], [], []),
    ("5 to 10 percent", [], [], []),
    ("$5 - $10", [], [], []),
    ("at 10:30 am", [], [], []),
    ("at 5 o'clock", [], [], []),
    ("5 m to 10 m", [], [], []),
    ("H264, mp4, v1.2.3-4 and COVID-19", [], [], []),
    ("16:9", [], [], [Repair.BROKEN]),
    ("1:75", [], [], [Repair.BROKEN]),
    ("nan to inf s", [], [], []),
    ("1e3 to 1e4 s", [], [], []),
    # digits of other scripts
    ("٣ to ٥ seconds", [(3, 5)], [], []),
    ("３ s – ９ s", [(3, 9)], [], []),
    ("² s", [], [], []),
]


@pytest.mark.parametrize(("text", "spans", "points", "repairs"), PHRASES, ids=[phrase[0][:40] for phrase in PHRASES])
def test_phrase(text, spans, points, repairs):
    times = read_times(text, 99.0)
    assert [(span.start_seconds, span.end_seconds) for span in times.spans] == spans
    assert list(times.points) == points
    assert [note.repair for note in times.notes] == repairs
    assert times.status is expected_status(spans, points, repairs)


def expected_status(spans, points, repairs):
    if spans:
        return Status.SPANS
    if Repair.UNSURE in repairs:
        return Status.AMBIGUOUS
    if points:
        return Status.POINTS
    return Status.UNUSABLE if Repair.DROPPED in repairs else Status.NOTHING


@pytest.mark.parametrize(
    ("text", "leftover"),
    [
        ("From 37.8 to 59.9 seconds.", ""),
        ("24.3 - 30.4 seconds, a man opens the door.", "a man opens the door."),
        ("<t3> <t9> wash. <t10> <t12> dry.", "wash. dry."),
        ("The goal happens from <t6> to <t7> because he runs.", "The goal happens because he runs."),
        ("at 3 s, 9 s and 12-15 s he waves", "he waves"),
        ("he falls at the 12-second mark", "he falls"),
        ("2 dogs", "2 dogs"),
        ("10 - 500 s", ""),
        ("100 - 110 s go", "100 - 110 s go"),
    ],
)
def test_what_is_left_is_the_text_without_its_times(text, leftover):
    assert read_times(text, 99.0).leftover == leftover


def test_a_note_tells_the_words_that_it_is_about():
    (note,) = read_times("he runs from 10 - 5 s", 99.0).notes
    assert note.repair is Repair.SWAPPED and note.text == "10 - 5 s"


def test_a_bare_number_after_minutes_is_seconds_and_after_hours_minutes():
    assert read_times("1 min 30 to 2 min", 600).spans == (Span(90, 120),)
    assert read_times("2 min 5 to 2 min 15", 600).spans == (Span(125, 135),)
    assert read_times("1-2min", 600).spans == (Span(60, 120),)
    assert read_times("at 1 h 30", 9000).points == (5400,)


def test_without_a_duration_nothing_is_cut_off_but_relative_times_are_told():
    assert read_times("from 5 to 5000 s").spans == (Span(5, 5000),)
    times = read_times("<t3> <t9>")
    assert times.status is Status.UNUSABLE and times.notes[0].repair is Repair.NEEDS_DURATION
    assert read_times("<t3> <t5>", 10, LitaTimeTokens(6)).spans == (Span(6, 10),)
    assert read_times(f"{'9' * 400} s").status is Status.UNUSABLE
    with pytest.raises(ValueError):
        read_times("", 0)


@given(
    st.sampled_from([LitaTimeTokens(), VtgLlmTimeTokens(), TextTimes(), TextTimes(3)]),
    st.floats(1, 9000),
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)).filter(lambda f: f[0] != f[1]), min_size=1, max_size=3),
)
def test_what_a_codec_writes_is_read_as_it_reads_it(codec, duration, ends):
    spans = [Span(*sorted(end * duration for end in pair)) for pair in ends if abs(pair[0] - pair[1]) > 1e-9]
    written = codec.encode_spans(spans or [Span(0, duration)], duration)
    times = read_times(written, duration)
    assert list(times.spans) == codec.decode_spans(written, duration)
    assert times.status is Status.SPANS and not times.leftover


WORDS = "1 9.5 3, 12-15 s sec . : <t3> <5> to until from between and % dogs 1:02 - -- ٣ start end"
words = st.sampled_from([*WORDS.split(), "\n"])


@given(st.one_of(st.text(), st.lists(words, max_size=20).map(" ".join), st.lists(words, max_size=20).map("".join)))
def test_any_text_is_read_into_spans_inside_the_video(text):
    times = read_times(text, 60.0)
    assert all(0 <= span.start_seconds < span.end_seconds <= 60 for span in times.spans)
    assert all(0 <= point <= 60 for point in times.points)


@pytest.mark.alone
@pytest.mark.parametrize(
    "piece",
    [
        "1",
        "1-",
        "1:",
        "<",
        "<TIME_ONE> ",
        "3 s, ",
        "from 3 to 9 s ",
        "1.",
        "1,",
        "at ",
        "- ",
        "((5-6",
        "1 h 2 min ",
        "1 min 3 ",
        "1h:",
        "5th to 6th ",
        "<time>1</time",
        "[1 s, 2 s] ",
        "x",
    ],
)
def test_reading_takes_time_in_proportion_to_the_text(piece):
    text = piece * (25_000 // len(piece))
    short, long = (min(timed(text * times) for _ in range(2)) for times in (1, 4))
    assert long < 10 * short + 0.05  # four times as long; the square would be sixteen


def timed(text):
    gc.disable()  # as timeit does: what is collected belongs to the tests before
    try:
        started = time.process_time()  # what others take of the machine is not its own
        read_times(text, 60.0)
        return time.process_time() - started
    finally:
        gc.enable()
