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

    fields = asdict(report)
    document = {"video": str(fields.pop("path")), **fields, "tvu_version": version("tvu")}
    rounded = json.loads(json.dumps(document), parse_float=lambda number: round(float(number), 6))
    return json.dumps(rounded, ensure_ascii=False)


def _print(report: "ProbeReport") -> None:
    from rich.console import Console
    from rich.text import Text

    from tvu.cli.main import one_line
    from tvu.temporal.timecode import format_timecode

    rows = [
        ("container", report.container + ("" if report.size_bytes is None else f", {_size(report.size_bytes)}")),
        ("picture", f"{report.codec}, {report.pixel_format}, {report.width}x{report.height}"),
        (
            "frames",
            f"{report.num_frames}, {report.num_key_frames} of them key frames, {report.fps:.3f} a second on average",
        ),
        ("duration", format_timecode(report.duration_seconds, 3)),
    ]
    if report.audio:
        audio = report.audio
        channels = {1: "mono", 2: "stereo"}.get(audio.channels, f"{audio.channels} channels")
        heard = f"{format_timecode(audio.start_seconds, 3)} to {format_timecode(audio.end_seconds, 3)}"
        rows.append(("sound", f"{audio.codec}, {audio.rate} Hz, {channels}, {heard}"))
    else:
        rows.append(("sound", "none"))
    rows.append(("odd", f"{len(report.oddities) or 'nothing'}"))

    console = Console(highlight=False)
    console.print(Text(one_line(str(report.path)), style="bold"), soft_wrap=True)
    width = max([9, *(len(oddity.name) for oddity in report.oddities)])
    for name, value in rows:
        console.print(Text.assemble((f"  {name:<9}  ", "cyan"), value), soft_wrap=True)
    for oddity in report.oddities:
        console.print(Text.assemble((f"    {oddity.name:<{width}}  ", "yellow"), oddity.detail), soft_wrap=True)


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 1e6 else f"{size_bytes / 1e3:.1f} kB"
