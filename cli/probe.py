"""`tvu probe`: what a file is, and what is odd about it."""

from typing import TYPE_CHECKING, Annotated

import typer

from tvu.cli.options import Video

if TYPE_CHECKING:
    from tvu.video_llm.media.probe import ProbeReport


def probe(
    video: Video,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Say what a video file is, and name what is odd in it and would mislead other programs."""
    from tvu.video_llm.media.probe import probe as examine

    report = examine(video)
    print(_as_json(report)) if as_json else _print(report)


def _as_json(report: "ProbeReport") -> str:
    import json
    from dataclasses import asdict
    from importlib.metadata import version

    document = asdict(report) | {"path": str(report.path), "tvu_version": version("tvu")}
    return json.dumps({"video": document.pop("path"), **document}, ensure_ascii=False)


def _print(report: "ProbeReport") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from tvu.cli.main import one_line
    from tvu.temporal.timecode import format_timecode

    size = "" if report.size_bytes is None else f", {report.size_bytes / 1e6:.3g} MB"
    rows = [
        ("container", f"{report.container}{size}"),
        ("picture", f"{report.codec}, {report.pixel_format}, {report.width}x{report.height}"),
        (
            "frames",
            f"{report.num_frames}, {report.num_key_frames} of them key frames, {report.fps:.3f} a second on average",
        ),
        ("duration", format_timecode(report.duration_seconds, 3)),
    ]
    if report.audio:
        audio = report.audio
        heard = f"{format_timecode(audio.start_seconds, 3)} to {format_timecode(audio.end_seconds, 3)}"
        rows.append(("sound", f"{audio.codec}, {audio.rate} Hz, {audio.channels} channels, {heard}"))
    else:
        rows.append(("sound", "none"))
    if not report.oddities:
        rows.append(("odd", "nothing"))
    console = Console(highlight=False)
    console.print(Text(one_line(str(report.path)), style="bold"), soft_wrap=True)
    for title, pairs in (("", rows), ("odd in this file", [(o.name, o.detail) for o in report.oddities])):
        if pairs and title:
            console.print(Text(title, style="bold"))
        table = Table.grid(padding=(0, 2))
        for name, value in pairs:
            table.add_row(Text(f"  {name}", style="cyan" if not title else "yellow"), Text(value))
        console.print(table)
