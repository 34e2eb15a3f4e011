"""`tvu bench batch`: what a batch costs beside its work, measured here."""

import json
from typing import Annotated

import typer


def batch(
    videos: Annotated[int, typer.Option(min=2, help="Videos that engines are held against each other on.")] = 200,
    kills: Annotated[int, typer.Option(min=0, help="How often a run is killed.")] = 20,
    tiny: Annotated[int, typer.Option(min=20, help="Files that the curve is drawn with.")] = 10_000,
    ray: Annotated[bool, typer.Option("--ray", help="Hold a Ray cluster against it too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON Lines.")] = False,
) -> None:
    """Hold engines and killed runs against one process, and time decoding, the ledger and very many files."""
    from dataclasses import asdict

    from tvu.video_llm.batch.speed import measure

    for cost in measure(videos, kills, tiny, ray):
        if as_json:
            print(json.dumps({**asdict(cost), "is_met": cost.is_met}), flush=True)
            continue
        side = "at most" if cost.at_most else "at least"
        bar = "" if cost.bar is None else f"  (bar: {side} {cost.bar:g}{'' if cost.is_met else ', missed'})"
        print(f"{cost.value:10.2f} {cost.unit:<8} {cost.what}{bar}", flush=True)
