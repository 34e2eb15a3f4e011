"""From a file to a script, and from an alignment to a file: which format it is, and how it is encoded."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from tvu.temporal.types import Span
from tvu.video_llm.errors import OutputExists, ScriptError, UnknownFormat
from tvu.video_llm.export import written_beside
from tvu.video_llm.narration import format_ass, format_vtt
from tvu.video_llm.narration.cues import Cue, simple_markup
from tvu.video_llm.narration.encodings import decode, encode, shown
from tvu.video_llm.narration.format_ass import is_ass, make_ass, read_ass, write_ass
from tvu.video_llm.narration.format_json import is_json, our_json, read_json, rewrite_json
from tvu.video_llm.narration.format_srt import is_srt, make_srt, read_srt, write_srt
from tvu.video_llm.narration.format_tables import audacity_labels, csv_table, text_grid
from tvu.video_llm.narration.format_txt import read_txt
from tvu.video_llm.narration.format_vtt import is_vtt, make_vtt, read_vtt, write_vtt
from tvu.video_llm.narration.types import Alignment, Line, Script

READABLE = (".srt", ".vtt", ".ass", ".ssa", ".txt", ".json")
WRITABLE = (".srt", ".vtt", ".ass", ".json", ".csv", ".tsv", ".TextGrid")
SILENT = (".srt", ".tsv", ".textgrid")  # that cannot tell of a line that it is not in the video
MAX_BYTES = 64 << 20  # an hour of subtitles is 0.1 MB

_rewriters: Mapping[str, Callable[[Script, Sequence[Span | None]], str]] = {
    "srt": write_srt,
    "vtt": write_vtt,
    "ass": write_ass,
}


def read_script(path: Path, video: Path | None = None) -> Script:
    """The lines of a file, in its order; its header holds what else there is, and `notes` on what is odd.

    The format is what the text looks like, whatever the name says: WebVTT is often called .srt, and subtitles .txt.
    video: whose lines are wanted, where the file is about several. Raises ScriptError.
    """
    try:
        if path.is_dir():
            raise ScriptError(f"{path} is a folder", hint="give a file with a text")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ScriptError(f"{path} cannot be read: {reason}", hint="check the path") from error
    return script_of_bytes(data, str(path), path.suffix, video)


def script_of_bytes(data: bytes, name: str, suffix: str = "", video: Path | None = None) -> Script:
    """`read_script` of what a file called `name` holds. Raises ScriptError."""
    if len(data) > MAX_BYTES:
        hint = "the video comes first: tvu align VIDEO NARRATION"
        raise ScriptError(f"{name} is too long for a text: more than {MAX_BYTES >> 20} MB", hint=hint)
    decoded = decode(data, name)
    script = _read(decoded.text, name, suffix.lower(), video)
    if not script.lines:
        raise ScriptError(f"{name} has no lines", hint=f"it was read as .{script.format}")
    notes = [*decoded.notes, *script.header.get("notes", ())]
    own = {"encoding": decoded.encoding, "has_mark": decoded.has_mark}
    if suffix and script.format not in (suffix.lower().lstrip("."), "json"):
        is_kin = (suffix.lower(), script.format) == (".ssa", "ass") or suffix.lower() not in READABLE
        notes += [] if is_kin else [f"the name ends in {suffix}, and the text is .{script.format}"]
    if "encoding" in script.header:  # a document of ours tells about the file that it was made from
        own = {}
    return replace(script, header={**script.header, **own, "notes": notes})


def _read(text: str, name: str, suffix: str, video: Path | None) -> Script:
    if is_vtt(text):
        return read_vtt(text)
    if is_ass(text):
        return read_ass(text)
    if suffix == ".json" or is_json(text):
        return read_json(text, name, video)
    if is_srt(text):
        return read_srt(text)
    if suffix in (".srt", ".vtt", ".ass", ".ssa"):
        hint = "lines without times are read from .txt"
        raise ScriptError(f"{name} has no cues with times", hint=hint)
    return read_txt(text)


def spans_of(alignment: Alignment) -> list[Span | None]:
    """When each line is shown: as aligned, or as the file says where that was good."""
    if not alignment.kept:
        return [aligned.span for aligned in alignment.lines]
    return [line.span for line in alignment.script.lines]


def check_suffix(out: Path) -> None:
    """Raises UnknownFormat where no format has that suffix."""
    if out.suffix.lower() not in [suffix.lower() for suffix in WRITABLE]:
        raise UnknownFormat(f"no format is known for {out}", hint=f"name it with one of {', '.join(WRITABLE)}")


def write_alignment(alignment: Alignment, out: Path, *, force: bool) -> tuple[str, ...]:
    """Write an alignment in the format of the suffix; returns what the format could not say, in sentences.

    In the format that the script came in, the file is what was read with other times and nothing else changed.
    Otherwise it is made anew, in UTF-8 and in order of time. A line that is not in the video has no times in .json and
    .csv, is a comment in .vtt and .ass, and is left out of formats that have neither.
    Raises UnknownFormat, OutputExists and OutputError.
    """
    check_suffix(out)
    if out.exists() and not force:
        raise OutputExists(f"{out} exists already", hint="add --force to overwrite it")
    told = told_as(alignment, out.suffix)
    with written_beside(out) as beside:
        beside.write_bytes(told)
    missing = [
        aligned.index + 1 for aligned, span in zip(alignment.lines, spans_of(alignment), strict=True) if not span
    ]
    kind = out.suffix.lower()
    if not missing or kind not in SILENT or (alignment.kept and kind == f".{alignment.script.format}"):
        return ()
    some = ", ".join(map(str, missing[:8])) + (", …" if len(missing) > 8 else "")
    many = "line is" if len(missing) == 1 else "lines are"
    return (f"{len(missing)} {many} not in the video and not in {out.name}: {some}",)


def told_as(alignment: Alignment, suffix: str) -> bytes:
    """What a file with that suffix holds."""
    script, kind = alignment.script, suffix.lower().lstrip(".")
    spans = spans_of(alignment)
    if kind == script.format and kind in _rewriters and all(Cue.of(line.extra) for line in script.lines):
        return _as_read(script, _untouched(script) if alignment.kept else _rewriters[kind](script, spans))
    if kind == "json":
        return (rewrite_json(alignment) or our_json(alignment, version("tvu"))).encode("utf-8")
    if kind == "csv":
        return shown(csv_table(alignment, spans)).encode("utf-8")
    cues = sorted(
        ((Span(max(0.0, span.start_seconds), span.end_seconds), line) for line, span in _shown(script, spans)),
        key=lambda cue: cue[0],
    )
    left_out = [line.text for line, span in zip(script.lines, spans, strict=True) if span is None]
    marked = [(span, _markup(script, line)) for span, line in cues]
    plain = [(span, line.text) for span, line in cues]
    makers: Mapping[str, Callable[[], str]] = {
        "srt": lambda: make_srt(marked),
        "vtt": lambda: make_vtt(marked, left_out),
        "ass": lambda: make_ass(marked, left_out),
        "tsv": lambda: audacity_labels(plain),
        "textgrid": lambda: text_grid(plain, alignment.duration_seconds),
    }
    return shown(makers[kind]()).encode("utf-8")


def _shown(script: Script, spans: Sequence[Span | None]) -> list[tuple[Line, Span]]:
    pairs = zip(script.lines, spans, strict=True)
    return [(line, span) for line, span in pairs if span is not None and span.end_seconds > 0]


def _untouched(script: Script) -> str:
    """The file as it was read."""
    cues = [cue for line in script.lines if (cue := Cue.of(line.extra)) is not None]
    return "".join(cue.timed(cue.start, cue.end) for cue in cues) + str(script.header.get("tail", ""))


def _as_read(script: Script, text: str) -> bytes:
    """In the encoding that the file came in."""
    encoding, has_mark = str(script.header.get("encoding", "utf-8")), bool(script.header.get("has_mark", False))
    try:
        return encode(text, encoding, has_mark)
    except LookupError:  # a document that somebody edited
        return encode(text, "utf-8", has_mark)


def _markup(script: Script, line: Line) -> str:
    """The text of a line with the markup that every format of subtitles knows, where it came with some."""
    cue = Cue.of(line.extra)
    if cue is None or script.format not in ("srt", "vtt", "ass"):
        return line.text
    if script.format == "ass":
        return format_ass.markup_of(cue)
    return format_vtt.markup_of(cue) if script.format == "vtt" else simple_markup(cue.body)
