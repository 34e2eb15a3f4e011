"""What the formats of subtitles have in common: a file is literal text with two times in every cue.

A reader cuts the file into pieces and loses none of them, so that writing the pieces with other times in their places
changes nothing else: not the numbering, the positions, the styles, the comments, the line ends, nor a mistake.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tvu.video_llm.narration.encodings import shown

_LINES = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")
TIME = (
    r"-?\s?\d{1,4}\s?:\s?-?\d{1,2}\s?:\s?-?\d{1,2}(?:\s?[,.:;]\s?-?\d{1,9})?"  # 00:01:02,500 and how people mistype it
    r"|-?\d{1,4}:\d{1,2}[,.]\d{1,9}"  # 01:02.500
)
_STYLES = {"i", "b", "u"}  # that all formats know
_TAG = re.compile(r"<(/?)([A-Za-z]+|\d[\d:.]*)?([^<>\n]*)>")


@dataclass(frozen=True)
class Cue:
    """The pieces of one cue, in the order of the file.

    lead: what stands before it and is none of it (comments, styles, blank lines). head: its number or name.
    start, between, end: its times, and what parts them. settings: the rest of that line, with its end.
    body: its text as the file has it, up to where the next lead begins.
    """

    lead: str
    head: str
    start: str
    between: str
    end: str
    settings: str
    body: str

    def as_extra(self) -> dict[str, Any]:
        """For `Line.extra`, and for JSON."""
        return {"cue": list(vars(self).values())}

    @classmethod
    def of(cls, extra: Mapping[str, Any]) -> "Cue | None":
        """The inverse of `as_extra`; None where there is none."""
        pieces = extra.get("cue")
        if isinstance(pieces, list) and len(pieces) == 7 and all(isinstance(piece, str) for piece in pieces):
            return cls(*pieces)
        return None

    def timed(self, start: str, end: str, body: str | None = None) -> str:
        """It, with other times and perhaps another body."""
        body = self.body if body is None else body
        return "".join((self.lead, self.head, start, self.between, end, self.settings, body))


def split_lines(text: str) -> list[str]:
    """Lines with their ends, which are those of text files alone: a cue may hold other separators of Unicode."""
    return _LINES.findall(text)


def seconds_of(text: str) -> float:
    """The seconds of a time that matches `TIME`; a minus anywhere counts for the whole of it."""
    parts = re.split(r"[:,.;]", re.sub(r"[\s-]", "", text))
    has_fraction = re.search(r"[,.;]", text) is not None or len(parts) == 4
    fraction = float(f"0.{parts.pop()}") if has_fraction else 0.0
    whole = sum(int(part) * 60**power for power, part in enumerate(reversed(parts)))
    return -(whole + fraction) if "-" in text else whole + fraction


def clock(seconds: float, decimals: int = 3, separator: str = ".", hour_digits: int = 2) -> str:
    """`01:02:03.500`, never below zero, which no format of subtitles can say; rounded once."""
    units = round(max(0.0, seconds) * 10**decimals)
    whole, rest = divmod(units, 10**decimals)
    minutes, seconds_left = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:0{hour_digits}d}:{minutes:02d}:{seconds_left:02d}{separator}{rest:0{decimals}d}"


def rewritten(text: str, seconds: float, told: Callable[[float], str], precision: float) -> str:
    """`text` where it is that time already, to half of `precision`; else the time as `told` writes it."""
    try:
        is_same = abs(seconds_of(text) - seconds) <= precision / 2 + 1e-9
    except ValueError:
        is_same = False
    return text if is_same else told(seconds)


def plain(markup: str) -> str:
    """The words of a cue of SubRip or WebVTT without tags, without blank lines; line breaks stay."""
    text = re.sub(r"\{\\[^{}]*\}", "", _TAG.sub(lambda tag: "" if _is_tag(tag) else tag[0], markup))
    lines = (" ".join(line.split()) for line in shown(text).splitlines())
    return "\n".join(line for line in lines if line)


def simple_markup(markup: str) -> str:
    """A cue of SubRip or WebVTT with no tags but those that every format knows: italics, bold, underlined."""

    def kept(tag: re.Match[str]) -> str:
        if not _is_tag(tag):
            return tag[0]
        return f"<{tag[1]}{tag[2].lower()}>" if (tag[2] or "").lower() in _STYLES else ""

    text = re.sub(r"\{\\[^{}]*\}", "", _TAG.sub(kept, markup))
    return "\n".join(line.strip() for line in shown(text).splitlines() if line.strip())


def _is_tag(tag: re.Match[str]) -> bool:
    """Whether it is one, not `<3` or `<-`: names that subtitles use, or the time of a word."""
    name = (tag[2] or "").lower()
    names = {*_STYLES, "font", "c", "v", "s", "ruby", "rt", "lang", "span", "br", "em", "strong"}
    return name in names or re.fullmatch(r"\d[\d:.]*:[\d.]+", name) is not None


def cut_tail(body: str) -> tuple[str, str]:
    """A last cue whose file was cut off in the next cue's number or time: its own body, and that beginning."""
    found = re.search(r"(?:\r\n|\r|\n)[ \t]*(?:\r\n|\r|\n)(\d+[ \t]*(?:(?:\r\n|\r|\n)[-\d:,. \t>]*)?)\Z", body)
    return (body, "") if found is None else (body[: found.start(1)], found[1])


def notes_on_times(times: Sequence[tuple[float, float]]) -> list[str]:
    """What is odd about the times of cues, in sentences."""
    odd = {
        "end before they begin": sum(end < start for start, end in times),
        "have a time below zero": sum(min(start, end) < 0 for start, end in times),
    }
    return [f"{count} of {len(times)} cues {what}" for what, count in odd.items() if count]
