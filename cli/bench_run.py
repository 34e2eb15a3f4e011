"""`tvu bench NAME`: a benchmark run with a model; and runs merged, compared, and tried on drawn data."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tvu.cli import options
from tvu.cli.exit_codes import ExitCode, UsageError
from tvu.video_llm.benchmarks.registry import Entry, entry_named

if TYPE_CHECKING:
    from tvu.video_llm.benchmarks.runs import Part, Watch
    from tvu.video_llm.benchmarks.types import AskConfig, Benchmark, Summary
    from tvu.video_llm.types import VideoModel

Data = Annotated[Path, typer.Option("--data", metavar="DIR", help="Its data; `tvu bench list NAME` tells the layout.")]
Model = Annotated[
    str, typer.Option("-m", "--model", help="As `tvu ask` has it, align, or baseline:NAME, which looks at no video.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
ROOT = Path("tvu-runs")


def run_of(entry: Entry) -> Callable[..., None]:
    """The command that runs a benchmark."""

    def run(
        data: Data,
        model: Model = "scout",
        out: Annotated[
            Path | None, typer.Option("-o", "--out", metavar="DIR", help="Folder of the run: tvu-runs/NAME/MODEL….")
        ] = None,
        protocol: Annotated[
            str, typer.Option(help="Whose prompt, frames and rule: official, tvu, lmms-eval, ….")
        ] = entry.protocol,
        matching: Annotated[
            str | None, typer.Option(help="Whose rule reads the answer; that of the protocol by default.")
        ] = None,
        frames: Annotated[int | None, typer.Option(min=1, help="How many frames of a clip to look at.")] = None,
        subset: Annotated[int | None, typer.Option(min=1, metavar="N", help="Only N items, evenly per group.")] = None,
        seed: Annotated[int, typer.Option(help="Of the subset.")] = 0,
        shard: Annotated[
            str, typer.Option(metavar="i/n", help="Every n-th item from the i-th, counted from 0.")
        ] = "0/1",
        retry_errors: Annotated[
            bool, typer.Option("--retry-errors", help="Ask again what failed or could not be decoded.")
        ] = False,
        decoder: options.DecoderName = "pyav",
        no_cache: options.NoCache = False,
        offline: options.Offline = False,
        pull: options.Pull = False,
        as_json: AsJson = False,
    ) -> None:
        """Run it; the same command goes on where a run stopped."""
        from tvu.video_llm.benchmarks.runs import carry_out
        from tvu.video_llm.benchmarks.types import AskConfig
        from tvu.video_llm.load import weights_of

        part = _part(subset, seed, shard)
        benchmark = entry.benchmark()
        config = AskConfig(protocol, matching, frames, options.parse_decoder(decoder))
        _check(entry, benchmark, config)
        folder = out or ROOT / entry.name / _folder_name(entry, model, config, part)
        asked = _model(model, pull, offline, not no_cache)
        print(f"run: {folder}", file=sys.stderr, flush=True)
        with _keeping(folder), _progress() as watch:
            summary = carry_out(
                benchmark,
                data,
                asked,
                folder,
                config,
                part,
                weights=weights_of(model),
                retry_errors=retry_errors,
                watch=watch,
            )
        _tell(entry.name, summary, as_json)
        _stop_if_nothing_ran(folder)

    return run


def compare(
    run_a: Annotated[Path, typer.Argument(metavar="A", help="The folder of a run.")],
    run_b: Annotated[Path, typer.Argument(metavar="B", help="That of another.")],
    as_json: AsJson = False,
) -> None:
    """Say by how much B is better than A, item by item, and whether chance would do it."""
    from tvu.video_llm.benchmarks.compare import compare as compared
    from tvu.video_llm.benchmarks.run_folder import read_lock

    summary = compared(run_a, run_b)
    _tell(read_lock(run_a).benchmark, summary, as_json)


def merge(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="The folders of all shards of a run.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="DIR", help="A new folder.")],
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="Where the data is now, if not where it was.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Put the shards of a run together; the result equals that of a run over everything."""
    from tvu.video_llm.benchmarks.run_folder import data_of, read_lock
    from tvu.video_llm.benchmarks.runs import merge as merged
    from tvu.video_llm.errors import BenchmarkError

    name = read_lock(runs[0]).benchmark
    entry = entry_named(name)
    if entry is None:
        raise BenchmarkError(f"{runs[0]} is a run of {name!r}, which this version of tvu does not know")
    _tell(name, merged(entry.benchmark(), data or data_of(runs[0]), runs, out), as_json)


def make_mini(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder.")],
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same.")] = 0,
    force: options.Force = False,
) -> None:
    """Draw small sets to try the benchmarks with: MVBench's tasks, moments, the order of events."""
    from tvu.video_llm.benchmarks.mini import make_mini as drawn

    drawn(folder, seed, force=force)
    print(f"drawn: {folder}", file=sys.stderr)
    print(f"try: tvu bench mvbench --data {folder / 'mvbench'} -m baseline:random", file=sys.stderr)


def _part(subset: int | None, seed: int, shard: str) -> "Part":
    from tvu.video_llm.benchmarks.runs import Part

    return Part(subset, seed, options.parse_shard(shard))


def _check(entry: Entry, benchmark: "Benchmark", config: "AskConfig") -> None:
    """Raises UsageError for an option that makes no sense with this benchmark."""
    protocols = getattr(benchmark, "protocols", ("tvu",))
    matchings = getattr(benchmark, "matchings", ())
    if config.protocol not in protocols:
        raise UsageError(f"{entry.name} has no protocol {config.protocol!r}", hint=f"it has {', '.join(protocols)}")
    if config.matching is not None and config.matching not in matchings:
        hint = f"it has {', '.join(matchings)}" if matchings else "its answers are read in one way"
        raise UsageError(f"{entry.name} has no matching {config.matching!r}", hint=hint)
    if config.matching is not None and config.protocol in getattr(benchmark, "wordless", ()):
        others = ", ".join(each for each in protocols if each not in getattr(benchmark, "wordless", ()))
        raise UsageError(
            f"protocol {config.protocol} of {entry.name} reads no text by --matching {config.matching}",
            hint=f"add --protocol, one of {others}",
        )
    if config.frames is not None and not entry.takes_frames:
        raise UsageError(f"{entry.name} takes no --frames", hint="the model looks as it was trained to")


def _folder_name(entry: Entry, model: str, config: "AskConfig", part: "Part") -> str:
    """A name that tells what is not as usual, so that another run gets another folder."""
    told = [
        re.sub(r"[^\w.-]+", "-", model).strip("-.") or "model",
        *([config.protocol] if config.protocol != entry.protocol else []),
        *([config.matching] if config.matching else []),
        *([f"{config.frames}-frames"] if config.frames else []),
        *([config.decoder] if config.decoder != "pyav" else []),
        *([f"{part.subset}-items-seed-{part.seed}"] if part.subset else []),
        *(["{}-of-{}".format(*part.shard)] if part.shard[1] > 1 else []),
    ]
    return "-".join(told)


def _model(name: str, pull: bool, offline: bool, use_cache: bool) -> "VideoModel":
    from tvu.video_llm.types import EVIDENCE

    choice = options.ModelChoice(name, EVIDENCE, None, pull, offline, use_cache)
    with options.progress() as report:
        return choice.load(report)


@contextmanager
def _keeping(folder: Path) -> Iterator[None]:
    """Says what is kept of a run that ends early."""
    from tvu.video_llm.errors import OutputExists

    try:
        yield
    except OutputExists:  # it is the run of another command
        raise
    except BaseException:
        if (folder / "items.jsonl").is_file():
            with (folder / "items.jsonl").open("rb") as file:
                kept = sum(1 for _ in file)
            if kept:
                print(f"kept: {kept} items; the same command goes on from there", file=sys.stderr)
        raise


@contextmanager
def _progress() -> Iterator["Watch"]:
    """A bar with the rate and the time left on stderr where it is a terminal, silence elsewhere."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TextColumn, TimeRemainingColumn

    class Rate(TextColumn):
        def render(self, task: Task):  # type: ignore[no-untyped-def]
            self.text_format = f"{task.speed:.2f} items/s" if task.speed else ""
            return super().render(task)

    columns = (BarColumn(), MofNCompleteColumn(), Rate(""), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:

        def watch(done: int, total: int) -> None:
            if not bars.tasks:
                bars.add_task("", total=total, completed=done)
            bars.update(bars.task_ids[0], completed=done)

        yield watch


def _tell(name: str, summary: "Summary", as_json: bool) -> None:
    from tvu.video_llm.benchmarks.render import summary_json, summary_text

    print(summary_json(name, summary) if as_json else summary_text(summary))


def _stop_if_nothing_ran(folder: Path) -> None:
    """Exit with the code of what stood in the way of every item."""
    from tvu.video_llm.benchmarks.run_folder import read_records

    statuses = {record.status for record in read_records(folder)}
    if statuses and statuses <= {"missing", "undecodable"}:
        raise typer.Exit(ExitCode.UNREADABLE_INPUT)
    if statuses and statuses <= {"missing", "undecodable", "failed"}:
        raise typer.Exit(ExitCode.BACKEND_FAILED)
