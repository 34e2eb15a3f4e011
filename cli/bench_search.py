"""`tvu bench search`: how long a search over many hours takes, measured here."""

import json
from typing import Annotated

import typer


def search(
    hours: Annotated[int, typer.Option("--hours", min=1, help="Hours of video in the index.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Time questions to a drawn index of real sizes: shots, sentences and lines of text of many hours.

    The questions are real and so is what reads them; the vectors and words are drawn, as their values cost nothing.
    """
    from dataclasses import asdict

    from tvu.video_llm.index_speed import measure

    costs = measure(hours)
    if as_json:
        print(json.dumps([asdict(cost) for cost in costs]))
        return
    for cost in costs:
        sizes = f"{cost.columns:,} vectors, {cost.bytes_kept / 1e6:.0f} MB kept, {cost.bytes_read / 1e6:.1f} MB read"
        bar = f"  (bar {cost.bar_seconds:.2f})" if cost.bar_seconds is not None else ""
        print(f"{cost.seconds:8.3f} s  {cost.what}: {sizes}{bar}", flush=True)
