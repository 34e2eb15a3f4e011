"""`tvu ground`: when each of many queries happens in each of many videos, for programs."""

import re
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tvu.cli import options
from tvu.cli.exit_codes import ExitCode, UsageError

if TYPE_CHECKING:
    from tvu.video_llm.batch.engine import Done, Engine
    from tvu.video_llm.batch.ledger import Ledger
    from tvu.video_llm.batch.run import Progress, Watch
    from tvu.video_llm.batch.work import BatchConfig, Item
    from tvu.video_llm.results.clips import MomentCut
    from tvu.video_llm.results.rows import Row

LEDGER = ".rows.jsonl"  # after the name of an output of another format: the rows that it is made of
NOTE_SECONDS = 10.0  # between lines of progress where there is no terminal


def ground(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            help="Videos, parts of them ('file.mp4#t=12.5,40'), folders, patterns, or lists of these in a .txt file.",
        ),
    ],
    queries: Annotated[
        list[str] | None, typer.Option("-q", "--query", metavar="TEXT", help="What to look for; may be repeated.")
    ] = None,
    query_file: Annotated[
        Path | None,
        typer.Option("--queries", metavar="FILE", help="Queries of .txt, .csv or .jsonl; `video` says of which video."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="FILE", help="Keep results, as they come; run it again to go on."),
    ] = None,
    file_format: Annotated[
        str | None, typer.Option("--format", metavar="F", help="Of the output, if its name does not tell.")
    ] = None,
    model: options.ModelOrBest = None,
    top: options.Top = None,
    min_score: options.MinScore = None,
    evidence: options.EvidenceList = "",
    max_vram: options.MaxVram = None,
    start: options.Start = None,
    end: options.End = None,
    workers: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Processes: one for each GPU or core by default.")
    ] = None,
    engine: Annotated[str, typer.Option(help="local, or ray: a Ray cluster.")] = "local",
    address: Annotated[str | None, typer.Option(help="Of the Ray cluster; else RAY_ADDRESS, or this machine.")] = None,
    shard: Annotated[str, typer.Option(metavar="i/n", help="Every n-th video from the i-th, counted from 0.")] = "0/1",
    timeout: Annotated[
        float | None, typer.Option(min=1, metavar="S", help="Give up a video after S seconds; 20 for each of its own.")
    ] = None,
    retry_errors: Annotated[
        bool, typer.Option("--retry-errors", help="Ask again what failed in an earlier run.")
    ] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Say what it will take, and do nothing.")] = False,
    clips: Annotated[
        Path | None, typer.Option("--clips", metavar="DIR", help="Cut every moment into this folder, to the frame.")
    ] = None,
    handles: Annotated[
        float,
        typer.Option(
            "--handles", parser=options.parse_seconds, metavar="T", help="Seconds more on both sides of a cut."
        ),
    ] = 0.0,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="PAGE.html", help="Write a page to look at, in one file.")
    ] = None,
    as_json: options.AsJson = False,
    pull: options.Pull = False,
    offline: options.Offline = False,
    force: options.Force = False,
    no_cache: options.NoCache = False,
    decoder: options.DecoderName = "pyav",
) -> None:
    """Find every query in every video: start, end, score, evidence and phrase, parted by tabs, or as JSON Lines.

    Exit code 0: found; 1: nothing found; 3: some videos could not be read, what is found in the others is told.
    """
    queries = queries or []
    if query_file is None or queries:
        options.check_questions(queries, hint='tvu ground VIDEO -q "a dog jumps", or --queries FILE')
    engine_name = _engine_named(engine, address)
    index, count = options.parse_shard(shard)
    channels, reader = options.parse_evidence(evidence), options.parse_decoder(decoder)
    options.limit_memory(max_vram)
    options.check_outputs([report], force)
    model = options.model_or_best(model, pull)
    choice = options.ModelChoice(model, channels, min_score, pull, offline, not no_cache)

    from tvu.video_llm.batch.queries import Query, queries_about, read_queries, unused
    from tvu.video_llm.batch.sources import videos_in
    from tvu.video_llm.batch.work import BatchConfig, Item
    from tvu.video_llm.load import weights_of
    from tvu.video_llm.results.formats import files_for, format_of

    told = [*map(Query, queries), *(read_queries(query_file) if query_file else [])]
    wanted = format_of(out, file_format) if out else None
    sources = videos_in(paths)
    addresses = _parts(sources.addresses, start, end)[index::count]
    for name in unused(told, sources.addresses):
        print(f"note: queries are about {name}, which is none of the videos", file=sys.stderr)
    items = [Item(each, tuple(some)) for each in addresses if (some := queries_about(told, each))]
    if not items:
        raise UsageError("no query is about any of the videos", hint="their `video` has to be the name of one")
    choice.fetch()
    config = BatchConfig(
        model, channels, min_score, top, reader, not no_cache, report is not None, tuple(weights_of(model).items())
    )
    ledger_path = None if out is None else out if wanted == "jsonl" else out.with_name(f"{out.name}{LEDGER}")
    if out is not None and ledger_path is not None and ledger_path != out:  # files that were made of it are ours
        options.check_outputs(list(files_for(addresses, out, wanted).values()), force or ledger_path.exists())
    if plan:
        _tell_plan(items, config, ledger_path, as_json)
        return
    with _opened(ledger_path, config, force) as ledger:
        show = _Show(as_json, len(addresses) > 1, len(told) > 1, quiet=out is not None)
        rows = _run(
            items, config, _engine(engine_name, address, workers, timeout, len(items)), ledger, retry_errors, show
        )
    if out is not None and wanted is not None and ledger_path != out:
        from tvu.video_llm.results.formats import write_results

        written = write_results(rows, out, wanted, force=True)
        for note in written.notes:
            print(f"note: {note}", file=sys.stderr)
        for file in written.files:
            print(f"written: {file}", file=sys.stderr)
    if clips is not None:
        _cut(rows, clips, handles, force)
    if report is not None:
        from tvu.video_llm.results.page import write_page

        write_page(rows, report, force=force)
        print(f"drawn: {report}", file=sys.stderr)
    _stop(rows)


def _engine_named(name: str, address: str | None) -> str:
    if name not in ("local", "ray"):
        raise UsageError(f"no engine is called {name!r}", hint="choose local or ray")
    if address is not None and name != "ray":
        raise UsageError("--address is that of a Ray cluster", hint="add --engine ray")
    return name


def _parts(addresses: Sequence[str], start: float | None, end: float | None) -> list[str]:
    """The part that --start and --end name of every video that is not named as a part itself."""
    if start is None and end is None:
        return list(addresses)
    part = f"#t={'' if start is None else f'{start:g}'}{'' if end is None else f',{end:g}'}"
    return [each if re.search(r"#t=[^/]*$", each) else f"{each}{part}" for each in addresses]


def _engine(name: str, address: str | None, workers: int | None, timeout: float | None, items: int) -> "Engine":
    if name == "ray":
        from tvu.video_llm.batch.cluster import RayEngine

        return RayEngine(address, workers)
    from tvu.video_llm.batch.local import LocalEngine
    from tvu.video_llm.batch.run import serially

    return serially() if items == 1 and timeout is None else LocalEngine(workers, timeout)


@contextmanager
def _opened(path: Path | None, config: "BatchConfig", force: bool) -> "Iterator[Ledger]":
    """The ledger that is kept, or one that is gone with this run."""
    from tvu.video_llm.batch.ledger import opened

    if path is not None:
        with opened(path, config.settings, force=force) as ledger:
            yield ledger
        return
    with (
        tempfile.TemporaryDirectory(prefix="tvu-") as folder,
        opened(Path(folder) / "rows.jsonl", config.settings) as ledger,
    ):
        yield ledger


def _run(
    items: "Sequence[Item]",
    config: "BatchConfig",
    engine: "Engine",
    ledger: "Ledger",
    retry_errors: bool,
    show: "_Show",
) -> "list[Row]":
    from tvu.video_llm.batch.run import run_batch

    def shown(items: "Sequence[Item]", config: "BatchConfig") -> "Iterator[Done]":
        for item, rows in engine(items, config):
            yield item, rows
            show.rows(rows)

    with _progress(len(items)) as watch:
        try:
            return run_batch(items, config, shown, ledger, retry_errors=retry_errors, watch=watch)
        except BaseException:
            if show.quiet:
                kept = len({video for video, _ in ledger.rows})
                print(f"kept: results of {kept} videos; the same command goes on from there", file=sys.stderr)
            raise


class _Show:
    """Tells rows as they come: spans on stdout, unless they are kept in a file (quiet), errors and notes on stderr."""

    def __init__(self, as_json: bool, names_video: bool, names_query: bool, quiet: bool) -> None:
        self._as_json, self._names_video, self._names_query, self.quiet = as_json, names_video, names_query, quiet
        self._noted: set[str] = set()

    def rows(self, rows: "Sequence[Row]") -> None:
        from tvu.cli.main import one_line
        from tvu.cli.render import grounding_row

        for row in rows:
            for note in (*([row.error] if row.error else []), *(f"note: {note}" for note in row.notes)):
                if note not in self._noted:
                    self._noted.add(note)
                    print(one_line(note) if row.error == note else note, file=sys.stderr)
            if self.quiet:
                continue
            if self._as_json:
                print(row.line())
            for grounding in () if self._as_json else row.groundings:
                named = [row.video] * self._names_video + [row.question] * self._names_query
                print(grounding_row(named, grounding))
        sys.stdout.flush()


def _tell_plan(items: "Sequence[Item]", config: "BatchConfig", ledger_path: Path | None, as_json: bool) -> None:
    import json
    from dataclasses import asdict

    from tvu.temporal.timecode import format_timecode
    from tvu.video_llm.batch.ledger import opened
    from tvu.video_llm.batch.plan import plan_of
    from tvu.video_llm.batch.run import still_to_do
    from tvu.weights.store import cache_root

    todo = list(items)
    if ledger_path is not None and ledger_path.exists():
        with opened(ledger_path, config.settings) as ledger:
            todo = still_to_do(items, config, ledger)
    known = len(items) - len(todo)
    plan = plan_of(todo, config.model, cache_root() / "features", known=known, use_cache=config.use_cache)
    if as_json:
        print(json.dumps({**asdict(plan), "fits": plan.fits}))
        return
    print(f"videos    {plan.videos}, {plan.known} done already, {plan.unreadable} cannot be read")
    print(f"queries   {plan.queries}")
    print(f"to see    {format_timecode(plan.seconds)} in {_bytes(plan.bytes_of_videos)} of files")
    print(f"frames    {'as the model looks' if plan.frames is None else plan.frames}")
    kept = "as the model looks" if plan.bytes_of_features is None else _bytes(plan.bytes_of_features)
    print(f"features  {kept}; {_bytes(plan.bytes_free)} are free where they are kept")
    if plan.core_seconds is not None:
        print(f"time      about {format_timecode(plan.core_seconds)} on one core, a guess from 720p with sound")
    if not plan.fits:
        print("note: the features do not fit: free some space, or add --no-cache", file=sys.stderr)


def _cut(rows: "Sequence[Row]", folder: Path, handles: float, force: bool) -> None:
    from tvu.temporal.timecode import format_timecode
    from tvu.video_llm.results.clips import cut_moments

    def tell(done: "MomentCut") -> None:
        if done.report is None:
            print(f"not cut: {done.error}", file=sys.stderr)
            return
        bounds = f"{format_timecode(done.report.start_seconds, 3)} - {format_timecode(done.report.end_seconds, 3)}"
        print(f"cut: {done.report.path} ({bounds}, {done.report.num_frames} frames)", file=sys.stderr)

    cut_moments(rows, folder, handles, force, tell)


def _stop(rows: "Sequence[Row]") -> None:
    """Exit as the rows deserve."""
    failed = {row.video for row in rows if row.error}
    if failed:
        print(f"{len(failed)} of {len({row.video for row in rows})} videos failed", file=sys.stderr)
        raise typer.Exit(ExitCode.UNREADABLE_INPUT)
    if not any(row.groundings for row in rows):
        raise typer.Exit(ExitCode.NOTHING_FOUND)


@contextmanager
def _progress(total: int) -> "Iterator[Watch]":
    """On a terminal a bar with rate and time left; elsewhere a line now and then, of more than one video."""
    if total == 1:
        yield lambda progress: None
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
            task = bars.add_task("", total=total)
            pace = _Pace()
            yield lambda progress: bars.update(task, completed=progress.done, description=pace.words(progress))
    else:
        yield _Pace().tell


class _Pace:
    """How fast a batch goes, from when it was first told of it."""

    def __init__(self) -> None:
        self._began = self._told = time.monotonic()

    def words(self, progress: "Progress") -> str:
        rate = (progress.done - progress.known) / max(time.monotonic() - self._began, 1e-3)
        return f"{rate:.2f} videos/s" + (f", {progress.failed} failed" if progress.failed else "")

    def tell(self, progress: "Progress") -> None:
        """A line on stderr, at most one in NOTE_SECONDS."""
        if time.monotonic() - self._told >= NOTE_SECONDS:
            self._told = time.monotonic()
            print(f"{progress.done} of {progress.total} videos, {self.words(progress)}", file=sys.stderr, flush=True)


def _bytes(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
