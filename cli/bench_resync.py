"""`tvu bench resync`: subtitles put back in step, beside ffsubsync and alass where they are installed."""

import json
from pathlib import Path
from typing import Annotated

import typer

from tvu.cli.exit_codes import UsageError


def resync(
    half: Annotated[str, typer.Option("--half", help="development, or held-out: never looked at to choose.")] = (
        "held-out"
    ),
    recordings: Annotated[int, typer.Option(min=2, help="Films to draw, 5 to 7 minutes each.")] = 8,
    words: Annotated[bool, typer.Option("--words/--no-words", help="Also with recognised words: minutes more.")] = True,
    folder: Annotated[Path | None, typer.Option(help="Where the set is drawn, and kept for the next run.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Draw films with espeak-ng, put their subtitles out of step in thirteen ways, and time who mends them how well.

    Seconds are from the sound file to the times, of peers with the start of their process; recognising words is not in
    it. Every tool runs with its own defaults.
    """
    import tempfile
    from dataclasses import asdict

    from tvu.video_llm.narration.resync_set import HALVES, WRONG_FILM
    from tvu.video_llm.narration.resync_speed import measure, missing_peers, rows
    from tvu.weights.load import located

    if half not in HALVES:
        raise UsageError(f"there is no half {half!r}", hint=f"--half {' or '.join(HALVES)}")
    whisper = located("whisper-tiny.en") if words else None
    with tempfile.TemporaryDirectory() as passing:
        table = rows(measure(half, folder or Path(passing), whisper, recordings))
    if as_json:
        print(json.dumps({"half": half, "missing": missing_peers(), "rows": [asdict(row) for row in table]}))
        return
    print(f"{'':18} {'':26} files   50 ms  100 ms  400 ms  800 ms   s/file  cut lines found (wrongly)")
    shown = ""
    for row in table:
        shares = "  ".join(f"{share:6.1%}" for share in row.within)
        told = "" if row.kind != WRONG_FILM else f"moved anyway {row.moved:.0%}"
        if row.kind != WRONG_FILM and (row.cut or row.cut_wrongly):
            told = f"{row.cut_found}/{row.cut} ({row.cut_wrongly})"
        if row.kind == WRONG_FILM:
            shares = " " * 30
        kind = row.kind if row.kind != shown else ""
        print(f"{kind:18} {row.tool:26} {row.files:5}  {shares}  {row.seconds:7.2f}  {told}")
        shown = row.kind
    for peer, why in missing_peers().items():
        print(f"{peer}: not run, {why}")
