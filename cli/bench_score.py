"""`tvu bench score`: the official metrics of predictions that exist, without a model."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from tvu.cli.bench_list import known
from tvu.cli.exit_codes import UsageError


def score(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A benchmark, as `tvu bench list` names it.")],
    predictions: Annotated[Path, typer.Option("--pred", metavar="FILE", help="Predictions, gzipped or not.")],
    truth: Annotated[Path, typer.Option("--gt", metavar="FILE", help="The official annotations, gzipped or not.")],
    is_sample: Annotated[
        bool, typer.Option("--sample", help="Predictions of some queries only are meant: say nothing about the others.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Score a file of predictions as the official script does."""
    entry = known(name)
    if not entry.score:
        raise UsageError(f"{name} is scored by running it", hint=f"tvu bench {name} --data DIR")
    import gc
    from dataclasses import replace

    gc.disable()  # half a million numbers, none of them in a circle
    from tvu.video_llm.benchmarks.render import summary_json, summary_text

    summary = entry.scored(predictions, truth)
    if is_sample:
        numbers = {name: value for name, value in summary.numbers.items() if not name.startswith("all/")}
        summary = replace(summary, numbers=numbers, notes=tuple(note for note in summary.notes if "all/" not in note))
    if as_json:
        print(summary_json(name, summary))
        return
    print(summary_text(replace(summary, notes=())))
    for note in summary.notes:
        print(f"note: {note}", file=sys.stderr)
