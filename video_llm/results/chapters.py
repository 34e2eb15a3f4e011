"""Chapters for the description of a video on YouTube."""

from dataclasses import dataclass

from tvu.temporal.timecode import format_timecode
from tvu.video_llm.results.one_video import Content, OneVideo, one_line

SHORTEST_SECONDS = 10  # YouTube takes no chapters at all where one is shorter, or where fewer than FEWEST are listed
FEWEST = 3
OPENING = "Start"


@dataclass
class _Chapter:
    start: int  # whole seconds, as YouTube shows
    titles: list[str]


def youtube_chapters(video: OneVideo) -> Content:
    """`0:00 Start`, then `M:SS query` a line, at the start of each moment: ascending, 10 seconds apart at least.

    A moment in the first 10 seconds opens the list at 0:00. One that begins less than 10 seconds after a chapter, or
    before the end of the video, joins the chapter before; the notes tell which, and where there are too few chapters
    for YouTube. `<` and `>`, which descriptions may not hold, become `‹` and `›`.
    """
    chapters, notes = [_Chapter(0, [])], list(video.errors)
    for moment in video.moments:
        title = one_line(moment.question).replace("<", "‹").replace(">", "›") or OPENING
        start = int(moment.grounding.span.start_seconds)
        is_late = video.duration_seconds is not None and video.duration_seconds - start < SHORTEST_SECONDS
        last = chapters[-1]
        if start - last.start >= SHORTEST_SECONDS and not is_late:
            chapters.append(_Chapter(start, [title]))
            continue
        if last.titles or start > 0:
            why = f"less than {SHORTEST_SECONDS} s {'before the end' if is_late else 'after it'}"
            notes.append(f"{_clock(start)} {title} is merged into the chapter at {_clock(last.start)}: it begins {why}")
        if not last.titles and start >= SHORTEST_SECONDS:
            last.titles.append(OPENING)  # what comes late does not alone name what comes first
        if title not in last.titles:
            last.titles.append(title)
    lines = [f"{_clock(chapter.start)} {' / '.join(chapter.titles) or OPENING}\n" for chapter in chapters]
    if len(chapters) < FEWEST:
        notes.append(f"YouTube shows no chapters where there are fewer than {FEWEST}, and here are {len(chapters)}")
    return Content("".join(lines).encode("utf-8"), tuple(notes))


def _clock(seconds: int) -> str:
    """`0:00`, `12:05`, `1:00:00`."""
    text = format_timecode(seconds, 0)
    return text.removeprefix("0")
