"""`path#t=12.5,40`: a file, or a part of one, in one word."""

from dataclasses import dataclass
from pathlib import Path

from tvu.temporal.timecode import parse_timecode
from tvu.video_llm.errors import VideoError

_HINT = "write seconds or time codes, as in video.mp4#t=12.5,40 or video.mp4#t=1:02"


@dataclass(frozen=True)
class Address:
    """Where to look: a file or folder, and the part of it that was asked for; None leaves that end open."""

    path: Path
    start_seconds: float | None = None
    end_seconds: float | None = None

    def __post_init__(self) -> None:
        if self.start_seconds is not None and self.end_seconds is not None and self.end_seconds <= self.start_seconds:
            raise ValueError(f"a part must end after it starts, not {self.start_seconds}..{self.end_seconds}")


def parse_address(text: str | Path) -> Address:
    """`path`, `path#t=a,b`, `path#t=a` or `path#t=,b` (W3C media fragments, with tvu's time codes).

    A file whose real name contains `#t=` wins over the fragment. Raises VideoError where the times cannot be read.
    """
    whole = Path(text)
    name, mark, fragment = str(text).rpartition("#t=")
    if not mark or not name or _exists(whole):
        return Address(whole)
    start_text, _, end_text = fragment.partition(",")
    try:
        start = parse_timecode(start_text) if start_text.strip() else None
        end = parse_timecode(end_text) if end_text.strip() else None
        if (start is None and end is None) or "," in end_text:  # a decimal comma would be taken for the one between
            raise ValueError("no part")
        return Address(Path(name), start, end)
    except ValueError as error:
        raise VideoError(f"the time after #t= cannot be read: {fragment!r}", hint=_HINT) from error


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name too long, or with a NUL in it, names nothing
        return False
