"""`tvu doctor`: what works here, and how to mend the rest."""

import json
import sys
from typing import Annotated

import typer


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False) -> None:
    """Say what works on this machine, and how to mend what does not."""
    from tvu.video_llm.checkup import examine

    findings = examine()
    if as_json:
        print(json.dumps([{**vars(f)} for f in findings], indent=1))
        return
    colour = sys.stdout.isatty()
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False)
    signs = {"works": "[green]works[/]", "missing": "[red]missing[/]", "not here": "[yellow]not here[/]"}
    for finding in findings:
        table.add_row(finding.what, signs[finding.state], finding.detail, finding.mend)
    Console(width=None if colour else 200, highlight=False).print(table)
