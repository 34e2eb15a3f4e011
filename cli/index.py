"""`tvu index`: features of whole folders, kept so that later questions decode nothing and `tvu find` can search."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tvu.cli import options
from tvu.cli.exit_codes import ExitCode, UsageError

if TYPE_CHECKING:
    from tvu.video_llm.index.build import Outcome
    from tvu.video_llm.pipeline import Report
    from tvu.video_llm.scout.model import Scout
    from tvu.video_llm.types import Decoder, VideoModel

index = typer.Typer(help="Features of whole folders, for tvu find: build, info, verify, prune.", no_args_is_help=True)

Told = Callable[["Outcome", int], None]


@index.command()
def build(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="Videos, folders, patterns, or lists of them (.txt).")
    ],
    model: options.Model = "scout",
    evidence: options.EvidenceList = "",
    pull: options.Pull = False,
    offline: options.Offline = False,
    decoder: options.DecoderName = "pyav",
) -> None:
    """Look at every video once and keep what is needed to search it. What is indexed already is not decoded again.

    Exit code 0: all are indexed; 3: some files cannot be read, the others are indexed.
    """
    choice = options.ModelChoice(model, options.parse_evidence(evidence), None, pull, offline)
    reader = options.parse_decoder(decoder)

    from tvu.video_llm.batch.sources import videos_in

    addresses = videos_in(paths).addresses
    with build_progress(len(addresses)) as (report, tell):
        scout, other = models_of(choice, report)
        failed = index_all(scout, other, reader, addresses, tell)
    if failed:
        raise typer.Exit(ExitCode.UNREADABLE_INPUT)


@index.command()
def info(
    videos: Annotated[bool, typer.Option("--videos", help="List every video that is indexed.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """What is kept: bytes, hours, and videos."""
    from tvu.video_llm.index.ledger import IndexLedger
    from tvu.video_llm.index.models import feature_store
    from tvu.video_llm.index.upkeep import SEARCH, kept_in

    store = feature_store()
    entries, searched = list(kept_in(store.root)), list(kept_in(store.root / SEARCH))
    items = IndexLedger(store).items()
    models = {
        name: {
            "videos": len(own := [item for item in items if item.model == name]),
            "hours": round(sum(item.clip.span.seconds for item in own) / 3600, 3),
            "spoken": sum("speech" in item.channels for item in own),
            "written": sum("screen-text" in item.channels for item in own),
        }
        for name in sorted({item.model for item in items})
    }
    told: dict[str, Any] = {
        "folder": str(store.root),
        "limit_bytes": store.config.max_bytes,
        "entries": len(entries),
        "entry_bytes": sum(entry.bytes for entry in entries),
        "search_bytes": sum(entry.bytes for entry in searched),
        "ledger_bytes": sum(path.stat().st_size for path in store.root.glob("ledger.sqlite3*")),
        "models": models,
    }
    if videos:
        told["videos"] = [
            {
                "video": str(item.clip.path),
                "start_seconds": round(item.clip.span.start_seconds, 3),
                "end_seconds": round(item.clip.span.end_seconds, 3),
                "duration_seconds": round(item.clip.duration_seconds, 3),
                "model": item.model,
                "evidence": list(item.channels),
                "content": item.content,
                "indexed_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(item.indexed_at)),
            }
            for item in items
        ]
    if as_json:
        print(json.dumps(told))
        return
    limit = "no limit" if told["limit_bytes"] is None else f"{_size(told['limit_bytes'])} at most (TVU_CACHE_GB)"
    print(f"{told['folder']}: {_size(told['entry_bytes'])} of features in {told['entries']} entries, {limit}")
    print(f"searched: {_size(told['search_bytes'])} of vectors, {_size(told['ledger_bytes'])} of ledger and words")
    for name, row in models.items():
        print(
            f"{name}: {row['videos']} videos, {row['hours']:.2f} h; {row['spoken']} speak, {row['written']} show text"
        )
    if not models:
        print("no video is indexed: tvu index build FOLDER")
    for row in told.get("videos", ()):
        print("\t".join([row["video"], f"{row['duration_seconds']:.3f}", ",".join(row["evidence"]), row["indexed_at"]]))


@index.command()
def verify(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Read every byte that is kept; what is damaged is dropped, and made anew when it is next needed."""
    from dataclasses import asdict

    from tvu.video_llm.index.build import without_vectors
    from tvu.video_llm.index.ledger import is_damaged
    from tvu.video_llm.index.models import feature_store
    from tvu.video_llm.index.upkeep import verify as read_all

    store = feature_store()
    ledger_damaged = is_damaged(store)
    found = read_all(store.root)
    again = without_vectors(store)
    if as_json:
        print(json.dumps({**asdict(found), "ledger_damaged": ledger_damaged, "index_again": [str(p) for p in again]}))
        return
    print(f"{found.entries} entries, {_size(found.bytes)}: {len(found.damaged)} were damaged and are dropped")
    for damage in found.damaged:
        print(f"dropped: {damage}")
    if found.unsealed:
        print(f"{found.unsealed} entries carry no hashes: an early tvu wrote them, only their sizes were checked")
    if ledger_damaged:
        print(
            "the ledger was damaged and is set aside: tvu index build records the videos again, without decoding them"
        )
    for path in again:
        print(f"to be indexed again: {path}")


@index.command()
def prune(
    to: Annotated[
        float | None, typer.Option("--to", min=0, metavar="GB", help="Keep so many gigabytes; default: TVU_CACHE_GB.")
    ] = None,
) -> None:
    """Drop the features that were not used for longest, and what killed runs left behind.

    Videos stay searchable while their vectors, a hundredth of it all, fit; looking closely decodes them again.
    """
    from tvu.video_llm.index.build import prune as make_room
    from tvu.video_llm.index.models import feature_store

    store = feature_store()
    max_bytes = store.config.max_bytes if to is None else int(to * 1e9)
    pruned = make_room(store, max_bytes)
    print(f"{pruned.evicted} entries dropped, {pruned.swept} leftovers swept away, {_size(pruned.bytes)} are left")
    if pruned.forgotten:
        print(f"{pruned.forgotten} videos are no longer indexed: even what is searched did not fit")


def models_of(choice: options.ModelChoice, report: "Report") -> "tuple[Scout, VideoModel | None]":
    """What searches, and the model beside it where that is another: a Video-LLM looks closely at what `scout` found."""
    from tvu.video_llm.scout.model import Scout

    model = choice.load(report)
    if isinstance(model, Scout):
        return model, None
    scout = options.ModelChoice("scout", choice.evidence, None, choice.pull, choice.offline).load(report)
    if not isinstance(scout, Scout):
        raise UsageError(f"{choice.name} cannot search videos", hint="-m scout can")
    return scout, model


def index_all(
    scout: "Scout", other: "VideoModel | None", decoder: "Decoder", addresses: "tuple[str, ...]", tell: Told
) -> int:
    """Index every address and tell what came of each; returns how many failed."""
    from tvu.video_llm.index.build import Indexer

    assert scout.cache is not None  # `ModelChoice` gives one unless told otherwise
    failed = 0
    for number, outcome in enumerate(Indexer(scout, scout.cache, also=other, decoder=decoder).run(addresses), 1):
        failed += outcome.state == "failed"
        tell(outcome, number)
    if scout.cache.evicted:
        print(
            f"note: the features of {scout.cache.evicted} entries made room for others, and are decoded again for a"
            " close look; the videos stay searchable. TVU_CACHE_GB=40 would keep more",
            file=sys.stderr,
        )
    return failed


@contextmanager
def build_progress(total: int) -> "Iterator[tuple[Report, Told]]":
    """On a terminal one bar for all videos and one for the video in hand; elsewhere a line for each video."""
    from tvu.cli.main import one_line

    counts = {"indexed": 0, "known": 0, "failed": 0}
    seconds = 0.0
    notes: dict[str, None] = {}

    def sentence(outcome: "Outcome", number: int) -> str:
        nonlocal seconds
        counts[outcome.state] += 1
        seconds += outcome.seconds
        notes.update(dict.fromkeys(f"{outcome.address}: {note}" for note in outcome.notes))
        name = "" if outcome.address in outcome.error else f" {outcome.address}"
        why = f": {outcome.error}" if outcome.error else f" ({outcome.seconds:.1f} s of video)"
        return one_line(f"{number}/{total} {outcome.state}{name}{why}")

    if not sys.stderr.isatty():
        yield (
            lambda stage, done: None,
            lambda outcome, number: print(sentence(outcome, number), file=sys.stderr, flush=True),
        )
    else:
        from rich.console import Console
        from rich.markup import escape
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description:<12}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
            everything, now = bars.add_task("videos", total=total), bars.add_task("", total=100)

            def report(stage: str, done: float) -> None:
                bars.update(now, description=stage, completed=int(100 * done))

            def tell(outcome: "Outcome", number: int) -> None:
                told = sentence(outcome, number)
                if outcome.state == "failed":
                    bars.console.print(escape(told))
                bars.update(everything, completed=number)

            yield report, tell
    for note in notes:
        print(f"note: {one_line(note)}", file=sys.stderr)
    told = ", ".join(f"{count} {state}" for state, count in counts.items())
    print(f"{told}; {seconds / 3600:.2f} hours of video", file=sys.stderr)


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
