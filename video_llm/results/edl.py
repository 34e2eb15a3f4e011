"""EDL (CMX 3600) in the dialect in which DaVinci Resolve writes and reads the markers of a timeline."""

from tvu.video_llm.results.frame_rates import timecode
from tvu.video_llm.results.one_video import Content, OneVideo, one_line
from tvu.video_llm.types import Evidence

TIMELINE_START_SECONDS = 3600  # where Resolve lets a timeline begin, by its time code, unless it is told otherwise
COLOURS: dict[Evidence, str] = {"visual": "Blue", "speech": "Yellow", "screen-text": "Purple"}


def edl(video: OneVideo) -> Content:
    """Markers for a timeline that begins at 01:00:00:00 with the video; drop-frame code at 29.97 and 59.94.

    An event a moment, from its first frame to the one after its last; the line below holds the note, the colour (by
    evidence), the query as the marker's name, and the length in frames. CRLF line ends; text in UTF-8, a `|` in it
    becomes `/`. It has no place for what failed: that is told in the notes.
    """
    return _edl(video, drop=bool(video.rate.dropped_each_minute))


def edl_non_drop(video: OneVideo) -> Content:
    """The same in non-drop code at every rate, for a timeline that counts so."""
    return _edl(video, drop=False)


def _edl(video: OneVideo, *, drop: bool) -> Content:
    hour = TIMELINE_START_SECONDS * video.rate.timebase - video.rate.dropped_each_minute * drop * 54
    lines = [f"TITLE: {_field(video.title)[:70]}", f"FCM: {'DROP FRAME' if drop else 'NON-DROP FRAME'}", ""]
    for number, moment in enumerate(video.moments, 1):
        start, end = video.frames_of(moment)
        first, last = (timecode(hour + frame, video.rate, drop=drop) for frame in (start, end))
        # The note comes first and begins with a word: one that begins with a number is read as an event.
        marker = f"|C:ResolveColor{COLOURS[moment.grounding.evidence]} |M:{_field(moment.question)} |D:{end - start}"
        lines += [f"{number:03d}  001      V     C        {first} {last} {first} {last}  "]
        lines += [f"{_field(moment.evidence)} {marker}", ""]
    notes = [*video.errors]
    if len(video.moments) > 999:
        notes.append(f"{len(video.moments)} events: CMX 3600 numbers 999, and some programs read no more")
    return Content("".join(f"{line}\r\n" for line in lines).encode("utf-8"), tuple(notes))


def _field(text: str) -> str:
    return one_line(text).replace("|", "/")
