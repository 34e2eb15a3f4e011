"""Titles drawn over moving noise, read back with their times."""

import numpy as np

from tvu.temporal.spans import iou
from tvu.temporal.types import Span
from tvu.video_llm.scout.narrated import Title, _letters
from tvu.video_llm.scout.screen_text import ScreenText, TextTrack, _rows, _stitched, read_screen_text, units_of
from tvu.video_llm.types import FrameBatch


def frames(titles, seconds, fps=4.0, size=(240, 400)):
    """Batches of a soft pattern that drifts, with titles over it."""
    rng = np.random.default_rng(2)
    ground = rng.integers(60, 180, (size[0] // 20 + 1, size[1] // 20 + 40, 3)).repeat(20, 0).repeat(20, 1)
    times = np.arange(seconds * fps) / fps + 0.5 / fps
    for part in np.array_split(times, max(1, len(times) // 8)):
        pictures = []
        for t in part:
            picture = ground[: size[0], int(t * 30) : int(t * 30) + size[1]].astype(np.uint8)
            for title in titles:
                title.draw(picture, t)
            pictures.append(picture.transpose(2, 0, 1))
        yield FrameBatch(np.stack(pictures)[None], part[None])


def title(text, start, end, y=100, fade=0.0, x=40, speed=0.0):
    letters = _letters(text, 26, np.random.default_rng(3), 10_000)
    return Title(letters, x, y, Span(start, end), fade, speed)


def test_titles_are_read_with_their_times():
    shown = [("HARVEST FESTIVAL", 1.3, 2.4, 20), ("Room 214", 3.1, 6.0, 150), ("27 JUNE 1998", 4.6, 7.2, 60)]
    tracks = read_screen_text(frames([title(t, a, b, y) for t, a, b, y in shown], 9)).tracks
    assert [t.text for t in tracks] == [text for text, *_ in shown]
    for track, (_, start, end, _) in zip(tracks, shown, strict=True):
        assert abs(track.span.start_seconds - start) <= 0.26 and abs(track.span.end_seconds - end) <= 0.26


def test_a_title_that_fades_is_one_title():
    tracks = read_screen_text(frames([title("Slow Morning", 1, 5, fade=0.5)], 6)).tracks
    assert [t.text for t in tracks] == ["Slow Morning"] and iou(tracks[0].span, Span(1, 5)) > 0.8


def test_a_scrolling_line_is_one_line():
    ticker = title("Ferry service to the islands resumes tomorrow", 1, 9, x=400, speed=110)
    tracks = read_screen_text(frames([ticker], 10)).tracks
    longest = max(tracks, key=lambda t: t.span.seconds)
    assert iou(longest.span, Span(1, 9)) > 0.7 and "islands" in longest.text


def test_pictures_without_text_have_none():
    assert read_screen_text(frames([], 3)).tracks == ()
    assert read_screen_text(iter(())).tracks == ()


def test_glimpses_of_a_scrolling_line_become_its_text():
    assert _stitched(["Ferry ser", "y service to", "ice to the isles", "the isles"]) == "Ferry service to the isles"


def test_words_on_one_row_are_one_line():
    assert _rows([(0, 0, 40, 20), (50, 1, 90, 21), (0, 60, 40, 80)]) == [(0, 0, 90, 21), (0, 60, 40, 80)]


def test_lines_that_come_and_go_together_are_also_one_answer():
    box = (0.1, 0.1, 0.5, 0.2)
    text = ScreenText(
        (
            TextTrack("Dr. Vera Holm", Span(1, 4), 0.9, box),
            TextTrack("Geologist", Span(1.2, 4), 0.9, (0.1, 0.3, 0.5, 0.4)),
            TextTrack("LIVE", Span(6, 9), 0.9, box),
        )
    )
    assert [u.text for u in units_of(text)][3:] == ["Dr. Vera Holm Geologist"]
    assert ScreenText.from_arrays(text.to_arrays()).tracks[1].text == "Geologist"
