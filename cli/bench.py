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
    seconds: Annotated[int, typer.Option(min=10, help="Length of the file that decoding is measured on.")] = 600,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Time a first and a second question, and sampling beside ffmpeg decoding the same file to nothing."""
    from dataclasses import asdict

    from tvu.video_llm.media.speed import measure_decoding, table
    from tvu.video_llm.speed import measure_questions

    questions = measure_questions(video)
    if not as_json:
        for row in questions:
            bar = f"  (bar {row.bar_seconds:.2f})" if row.bar_seconds is not None else ""
            print(f"{row.seconds:8.2f} s  {row.what}{bar}", flush=True)
        print()
    decoding = measure_decoding(seconds)
    if as_json:
        print(json.dumps({"questions": [asdict(r) for r in questions], "decoding": [asdict(r) for r in decoding]}))
    else:
        print(table(decoding))
