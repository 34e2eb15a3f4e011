"""Subtitles: every moment as a cue that tells the query, how likely it is, and why."""

import html

from tvu.video_llm.results.one_video import Content, Moment, OneVideo, one_line


def srt(video: OneVideo) -> Content:
    """SubRip: UTF-8, CRLF, a comma before the milliseconds. It has no comments: what failed is told in the notes."""
    cues = []
    for number, moment in enumerate(video.moments, 1):
        text = "\r\n".join(line.replace("-->", "->") for line in _told(moment))
        cues.append(f"{number}\r\n{_clock(moment, ',')}\r\n{text}\r\n\r\n")
    return Content("".join(cues).encode("utf-8"), video.errors)


def vtt(video: OneVideo) -> Content:
    """WebVTT: UTF-8, LF, `&`, `<` and `>` escaped, and a NOTE for every row that has no answer."""
    notes = [f"NOTE {error.replace('-->', '->')}\n\n" for error in video.errors]
    cues = []
    for number, moment in enumerate(video.moments, 1):
        text = "\n".join(html.escape(line, quote=False) for line in _told(moment))
        cues.append(f"{number}\n{_clock(moment, '.')}\n{text}\n\n")
    return Content("".join(["WEBVTT\n\n", *notes, *cues]).encode("utf-8"), video.errors)


def _told(moment: Moment) -> list[str]:
    """One or two lines, none of them empty: an empty line would end the cue."""
    phrase = one_line(moment.grounding.phrase)
    return [f"{one_line(moment.question)} ({moment.likelihood})", *([phrase] if phrase else [])]


def _clock(moment: Moment, point: str) -> str:
    """`00:01:02,500 --> 00:01:04,000`, at least a millisecond long."""
    span = moment.grounding.span
    start = round(span.start_seconds * 1000)
    end = max(start + 1, round(span.end_seconds * 1000))
    return " --> ".join(
        f"{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d}{point}{ms % 1000:03d}"
        for ms in (start, end)
    )
