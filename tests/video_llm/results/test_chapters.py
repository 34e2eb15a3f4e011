from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tests.video_llm.results.some_rows import about, failed, row, text
from tvu.video_llm.results.chapters import youtube_chapters


def chapters(*moments, duration=4000.0):
    rows = [row("a.mp4", title, (start, start + 1), duration=duration) for start, title in moments]
    content = youtube_chapters(about(*(rows or [row(duration=duration)])))
    return text(content).splitlines(), content.notes


def test_chapters_begin_at_zero_and_where_moments_do():
    lines, notes = chapters((3605.9, "c"), (20.2, "a"), (75, "b"))
    assert lines == ["0:00 Start", "0:20 a", "1:15 b", "1:00:05 c"]
    assert notes == ()


def test_a_moment_in_the_first_ten_seconds_opens_the_list():
    lines, notes = chapters((4, "a"), (14, "b"), (30, "c"))
    assert lines == ["0:00 a", "0:14 b", "0:30 c"]
    assert notes == ("0:04 a is merged into the chapter at 0:00: it begins less than 10 s after it",)


def test_what_comes_too_soon_joins_the_chapter_before_and_is_told():
    lines, notes = chapters((0, "a"), (20, "b"), (29.9, "c"), (30, "d"), (31, "d"))
    assert lines == ["0:00 a", "0:20 b / c", "0:30 d"]
    assert [note.split(" is merged")[0] for note in notes] == ["0:29 c", "0:31 d"]


def test_no_chapter_is_shorter_than_ten_seconds_at_the_end():
    lines, notes = chapters((0, "a"), (20, "b"), (30, "c"), (91, "d"), duration=100.0)
    assert lines == ["0:00 a", "0:20 b", "0:30 c / d"]
    assert notes == ("1:31 d is merged into the chapter at 0:30: it begins less than 10 s before the end",)


def test_too_few_chapters_and_failures_are_told():
    assert chapters() == (["0:00 Start"], ("YouTube shows no chapters where there are fewer than 3, and here are 1",))
    content = youtube_chapters(about(failed()))
    assert content.notes[0] == "when?: the decoder -- failed"


def test_a_title_is_one_line_without_angle_brackets():
    assert chapters((0, "a <b>\nc"))[0] == ["0:00 a ‹b› c"]


@given(st.lists(st.floats(0, 500), max_size=20), st.floats(1, 600))
def test_chapters_always_ascend_by_ten_seconds_and_name_every_moment(starts, duration):
    lines, _ = chapters(*((start, f"q{number}") for number, start in enumerate(starts)), duration=duration)
    times = [sum(60**i * int(x) for i, x in enumerate(reversed(line.split()[0].split(":")))) for line in lines]
    assert times[0] == 0
    assert all(b - a >= 10 for a, b in pairwise(times))
    assert len(times) == 1 or duration - times[-1] >= 10
    told = {word for line in lines for word in line.split()}
    assert {f"q{number}" for number in range(len(starts))} <= told
