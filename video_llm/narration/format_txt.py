"""Plain text: every line that is not blank is a sentence, a step or a title."""

import re
from itertools import pairwise

from tvu.video_llm.narration.cues import split_lines
from tvu.video_llm.narration.encodings import shown
from tvu.video_llm.narration.types import Line, Script

_NUMBER = re.compile(r"\s*(?:step\s+)?(\d{1,4})\s*[.):]\s+(?=\S)", re.IGNORECASE)
_BULLET = re.compile(r"\s*(?:[-*•‣◦–—·]|\[[ xX]\])\s+(?=\S)")
_LEAST_LISTED = 2
_LONG_WORDS = 60  # a line is given one stretch of time


def read_txt(text: str) -> Script:
    """Its lines. The numbers or bullets of a list, which nobody says, are told by the header as `list`."""
    raw = [line for line in split_lines(text.strip("\0\x1a")) if line.strip()]
    marks = [_NUMBER.match(line) for line in raw]
    numbers = [int(mark[1]) for mark in marks if mark]
    if len(numbers) == len(raw) >= _LEAST_LISTED and all(b == a + 1 for a, b in pairwise(numbers)):
        kind, bodies = "numbered", [_NUMBER.sub("", line, count=1) for line in raw]
    elif len(raw) >= _LEAST_LISTED and all(_BULLET.match(line) for line in raw):
        kind, bodies = "bullets", [_BULLET.sub("", line, count=1) for line in raw]
    else:
        kind, bodies = "", raw
    lines = (
        Line(" ".join(shown(body).split()), extra={"raw": line.rstrip("\r\n")})
        for body, line in zip(bodies, raw, strict=True)
    )
    long = sum(len(body.split()) > _LONG_WORDS for body in bodies)
    notes = (
        [f"{long} lines are longer than {_LONG_WORDS} words: put each sentence on a line of its own"] if long else []
    )
    return Script(tuple(lines), "txt", {"list": kind, "notes": notes} if kind else {"notes": notes})
