"""Advanced SubStation Alpha, and SubStation Alpha: sections of an INI file, one line an event."""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from tvu.temporal.types import Span
from tvu.video_llm.narration.cues import TIME, Cue, clock, notes_on_times, rewritten, seconds_of, split_lines
from tvu.video_llm.narration.encodings import shown
from tvu.video_llm.narration.types import Line, Script

_FIELDS = "Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text"
_told = partial(clock, decimals=2, hour_digits=1)
_HEADER = """[Script Info]
ScriptType: v4.00+
WrapStyle: 0
ScaledBorderAndShadow: yes
PlayResX: 384
PlayResY: 288

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, \
StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,16,&H00FFFFFF,&H000000FF,&H00000000,&H00000000,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,1

[Events]
"""


def is_ass(text: str) -> bool:
    """Whether it has the section that every file begins with, or that of events."""
    return re.search(r"(?:\A|[\r\n])[ \t]*\[(?:Script Info|Events)\]", text, re.IGNORECASE) is not None


def read_ass(text: str) -> Script:
    """The dialogue of a file; what is none of it stays where it is: styles, comments, fonts, and what follows."""
    lines = split_lines(text)
    cues: list[Cue] = []
    is_events = False
    fields = _named(_FIELDS)
    lead = ""
    for line in lines:
        cue = None
        if section := re.match(r"\s*\[([^\]]+)\]", line):
            is_events = section[1].strip().lower() == "events"
        elif is_events and (names := re.match(r"\s*Format:(.*)", line, re.IGNORECASE)):
            fields = _named(names[1])
        elif is_events and line.lstrip().lower().startswith("dialogue:"):
            cue = _cue(lead, line, fields)
        if cue is None:
            lead += line
        else:
            cues.append(cue)
            lead = ""
    seconds = [(seconds_of(cue.start), seconds_of(cue.end)) for cue in cues]
    notes = notes_on_times(seconds)
    return Script(
        tuple(
            Line(_plain(cue.body), start, end, cue.as_extra()) for cue, (start, end) in zip(cues, seconds, strict=True)
        ),
        "ass",
        {"tail": lead, "notes": notes},
    )


def write_ass(script: Script, spans: Sequence[Span | None]) -> str:
    """The file with these times; dialogue that has none becomes a comment, which players do not show."""
    told = []
    for line, span in zip(script.lines, spans, strict=True):
        cue = Cue.of(line.extra)
        assert cue is not None  # as `read_ass` made it
        if span is None:
            event = replace(cue, lead="").timed(cue.start, cue.end)
            told += [cue.lead, re.sub("dialogue:", "Comment:", event, count=1, flags=re.IGNORECASE)]
            continue
        start = rewritten(cue.start, max(0.0, span.start_seconds), _told, 0.01)
        told.append(cue.timed(start, rewritten(cue.end, span.end_seconds, _told, 0.01)))
    return "".join(told) + str(script.header.get("tail", ""))


def make_ass(cues: Sequence[tuple[Span, str]], left_out: Sequence[str]) -> str:
    """A new file: cues with `<i>`, `<b>` and `<u>` as their markup, and lines that are not in the video as comments."""
    told = [f"Comment: 0,0:00:00.00,0:00:00.00,Default,,0,0,0,,not in the video: {_escaped(text)}" for text in left_out]
    told += [
        f"Dialogue: 0,{_told(span.start_seconds)},{_told(span.end_seconds)},Default,,0,0,0,,{_escaped(markup)}"
        for span, markup in cues
    ]
    return "\n".join([f"{_HEADER}Format: {_FIELDS}", *told, ""])


def markup_of(cue: Cue) -> str:
    """The text with the tags of WebVTT in place of the overrides that every format knows, each closed where it ends.

    An override holds to the end of the event; tags are nested, so those within one that ends are opened anew.
    """
    open_tags: list[str] = []

    def tags(override: re.Match[str]) -> str:
        told = ""
        for style, is_on in re.findall(r"\\([biu])([01])(?!\d)", override[0]):
            if is_on == "1" and style not in open_tags:
                open_tags.append(style)
                told += f"<{style}>"
            elif is_on == "0" and style in open_tags:
                within = open_tags[open_tags.index(style) + 1 :]
                told += "".join(f"</{each}>" for each in (*reversed(within), style))
                told += "".join(f"<{each}>" for each in within)
                open_tags.remove(style)
        return told

    text = re.sub(r"\{[^{}]*\}", tags, _without_drawings(cue.body).replace("<", "‹").replace(">", "›"))
    text = text.rstrip("\r\n") + "".join(f"</{style}>" for style in reversed(open_tags))
    return "\n".join(line.strip() for line in _broken(shown(text)).splitlines() if line.strip())


def _named(told: str) -> list[str]:
    return [name.strip().lower() for name in told.split(",")]


def _cue(lead: str, line: str, fields: Sequence[str]) -> Cue | None:
    """The pieces of an event; None where it has too few fields, or its times are none."""
    body = line.rstrip("\r\n")
    values = body.split(",", len(fields) - 1)
    if len(values) < len(fields) or not {"start", "end", "text"} <= set(fields):
        return None
    start, end = fields.index("start"), fields.index("end")
    if end != start + 1 or fields[-1] != "text":
        return None
    times = [re.fullmatch(rf"(\s*(?:[A-Za-z]+:\s*)?)({TIME})(\s*)", values[at]) for at in (start, end)]
    if times[0] is None or times[1] is None:
        return None
    head = "".join(value + "," for value in values[:start]) + times[0][1]
    middle = values[end + 1 : -1]
    settings = times[1][3] + "," + "".join(value + "," for value in middle)
    return Cue(
        lead,
        head,
        times[0][2],
        times[0][3] + "," + times[1][1],
        times[1][2],
        settings,
        values[-1] + line[len(body) :],
    )


def _without_drawings(text: str) -> str:
    """Vector drawings are numbers between `{\\p1}` and `{\\p0}`, and no words."""
    return re.sub(r"\{[^{}]*\\p[1-9][^{}]*\}.*?(?=\{[^{}]*\\p0|\Z)", "", text, flags=re.DOTALL)


def _broken(text: str) -> str:
    return text.replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " ")


def _plain(body: str) -> str:
    text = _broken(re.sub(r"\{[^{}]*\}", "", _without_drawings(shown(body))))
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def _escaped(markup: str) -> str:
    text = markup.replace("{", "\\{").replace("}", "\\}")
    text = re.sub(r"<(/?)([biu])>", lambda tag: f"{{\\{tag[2]}{0 if tag[1] else 1}}}", text)
    return text.replace("\n", "\\N")
