"""`tvu bench`: the numbers that the README quotes, measured here."""

import json
from pathlib import Path
from typing import Annotated

import typer

bench = typer.Typer(help="Measure tvu on this machine.", no_args_is_help=True, rich_markup_mode=None)


@bench.command("list")
def list_benchmarks() -> None:
    """Name the benchmarks."""
    print("speed   how long a question takes, and what decoding costs beside ffmpeg")


@bench.command()
def speed(
    video: Annotated[Path, typer.Argument(help="A video with sound, looped to 60 s of 720p.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Time a first and a second question, and sampling beside ffmpeg decoding the same file to nothing."""
    from dataclasses import asdict

    from tvu.video_llm.speed import measure_questions

    rows = measure_questions(video)
    if as_json:
        print(json.dumps([asdict(row) for row in rows]))
        return
    for row in rows:
        bar = f"  (bar {row.bar_seconds:.2f})" if row.bar_seconds is not None else ""
        print(f"{row.seconds:8.2f} s  {row.what}{bar}")
