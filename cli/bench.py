"""`tvu bench`: benchmarks run, scored and compared, and how fast tvu is."""

import typer

from tvu.cli.bench_batch import batch
from tvu.cli.bench_list import list_benchmarks
from tvu.cli.bench_resync import resync
from tvu.cli.bench_run import compare, make_mini, merge, run_of
from tvu.cli.bench_score import score
from tvu.cli.bench_search import search
from tvu.cli.bench_speed import kernels, speed, temporal
from tvu.video_llm.benchmarks.registry import ENTRIES

bench = typer.Typer(
    help="Run benchmarks, score predictions, and measure tvu on this machine.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

bench.command("list")(list_benchmarks)
bench.command()(score)
bench.command()(compare)
bench.command()(merge)
bench.command("make-mini")(make_mini)
for entry in ENTRIES:
    bench.command(entry.name, help=f"{entry.title[0].upper()}{entry.title[1:]}.")(run_of(entry))
for measured in (speed, temporal, kernels, search, batch, resync):
    bench.command()(measured)
