"""`tvu models`: which weights there are, whether they are here, and getting them."""

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tvu.cli.options import AsJson, Offline

if TYPE_CHECKING:
    from tvu.weights.fetch import Progress
    from tvu.weights.manifest import Weights

models = typer.Typer(help="The weights that models need: list, pull, show.", no_args_is_help=True)


@models.command("list")
def list_models(json_: AsJson = False) -> None:
    """Every checkpoint: what it is for, its size and licence, and whether it is in the cache."""
    from tvu.weights.manifest import GROUPS, MANIFEST

    rows = [_facts(weights) for weights in MANIFEST]
    if json_:
        print(json.dumps({"weights": rows, "groups": GROUPS}, indent=1))
        return
    widths = [max(len(row[key]) for row in rows) for key in ("name", "state", "purpose")]
    for row in rows:
        columns = [row[key].ljust(width) for key, width in zip(("name", "state", "purpose"), widths, strict=True)]
        print("  ".join([*columns, f"{_size(row['bytes']):>7}", row["licence"]]))
    for group, names in GROUPS.items():
        print(f"{group} stands for {', '.join(names)}")


@models.command()
def pull(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Weights, or a group of them such as scout.")],
    force: Annotated[bool, typer.Option("--force", "--repair", help="Fetch again and replace what is there.")] = False,
    offline: Offline = False,
    local: Annotated[
        Path | None,
        typer.Option("--from", metavar="DIR", help="Look for the published files in this folder first."),
    ] = None,
) -> None:
    """Fetch weights, check their hashes, convert them once, and print the folders that hold them."""
    from tvu.weights.fetch import pull as fetch
    from tvu.weights.manifest import entry, names_of
    from tvu.weights.store import state_of

    wanted = list(dict.fromkeys(member for group in names for member in names_of(group)))
    is_new = force or any(state_of(entry(name))[0] != "ready" for name in wanted)
    with _progress() as progress:
        for name in wanted:
            print(f"{name}\t{fetch(name, progress=progress, offline=offline, force=force, local=local)}", flush=True)
    if "scout" in names and is_new:
        from tvu.video_llm.load import prepare_scout

        prepare_scout()  # the meanings of its classes take seconds, which the first question need not wait for


@models.command()
def show(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="A model, as -m takes it, or weights, as `tvu models list` calls them."),
    ],
    json_: AsJson = False,
) -> None:
    """The card of a model; or where weights come from, their licence and files, each held against its hash."""
    from tvu.video_llm.cards import card_of
    from tvu.weights.manifest import entry
    from tvu.weights.store import folder_of, read_inventory, require_whole, state_of

    card = card_of(name)
    if card is not None:
        from dataclasses import asdict

        print(json.dumps(asdict(card), indent=1) if json_ else "\n".join(card.lines()))
        return
    weights = entry(name)
    state, wrong = state_of(weights, every_byte=True)
    inventory = read_inventory(folder_of(weights))
    facts = _facts(weights) | {
        "state": state,
        "source": inventory.source if inventory else weights.origin,
        "revision": weights.revision,
        "parts": [{"file": part.filename, "bytes": part.bytes, "sha256": part.sha256} for part in weights.parts],
        "files": [
            {"file": file.path, "bytes": file.bytes, "sha256": file.sha256, "state": wrong.get(file.path, "ok")}
            for file in (inventory.files if inventory else ())
        ],
    }
    if json_:
        print(json.dumps(facts, indent=1))
    else:
        for key in ("name", "purpose", "licence", "source", "revision", "state", "folder"):
            print(f"{key:<9} {facts[key]}")
        for heading, files in (("published", facts["parts"]), ("here", facts["files"])):
            for file in files:
                told = f"  {file['state']}" if "state" in file else ""
                print(f"{heading:<9} {file['sha256']}  {file['bytes']:>11}  {file['file']}{told}")
    require_whole(weights, wrong)


def _facts(weights: "Weights") -> dict[str, Any]:
    """One checkpoint as plain values; what its folder holds is looked at, not read."""
    from tvu.weights.store import folder_of, state_of

    return {
        "name": weights.name,
        "purpose": weights.purpose,
        "needed_by": list(weights.needed_by),
        "licence": weights.licence,
        "bytes": weights.bytes,
        "state": state_of(weights)[0],
        "folder": str(folder_of(weights)),
    }


def _size(count: int) -> str:
    return f"{count / 1e6:.0f} MB" if count else "?"


@contextlib.contextmanager
def _progress() -> "Iterator[Progress]":
    """A bar on stderr where that is a terminal; elsewhere one line for each step."""
    if not sys.stderr.isatty():
        told: set[str] = set()

        def tell(what: str, done: int, total: int) -> None:
            if what not in told:
                told.add(what)
                print(what, file=sys.stderr, flush=True)

        yield tell
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        now = ""

        def draw(what: str, done: int, total: int) -> None:
            nonlocal now
            if what != now:
                for task in bars.task_ids:
                    bars.remove_task(task)
                bars.add_task(what, total=total or None)
                now = what
            bars.update(bars.task_ids[0], completed=done)

        yield draw
