"""Two runs over the same items, item by item: which is better, and by how much more than chance would have it."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import numpy as np

from tvu.video_llm.benchmarks.order import paired_bootstrap
from tvu.video_llm.benchmarks.run_folder import read_lock, read_records
from tvu.video_llm.benchmarks.types import Summary, Table
from tvu.video_llm.errors import BenchmarkError

COLUMNS = ("", "items", "A", "B", "B - A", "95 % from", "to", "B better", "B worse", "same", "p")


def compare(run_a: Path, run_b: Path) -> Summary:
    """What the run in `run_b` has over that in `run_a`, on the items that both have a score of.

    numbers, of everything and of each group (`GROUP/…`): `items`; `mean_a`, `mean_b` and `difference` (B - A), scores
    in percent; `low` and `high`, its 95 % interval by a paired bootstrap over items from a fixed seed; `better`,
    `worse`, `same`; and `p` (`sign_test`). Raises BenchmarkError for runs of different benchmarks, or without scores
    in common.
    """
    lock_a, lock_b = read_lock(run_a), read_lock(run_b)
    if lock_a.benchmark != lock_b.benchmark:
        raise BenchmarkError(f"{run_a} is a run of {lock_a.benchmark} and {run_b} one of {lock_b.benchmark}")
    a = {record.id: record for record in read_records(run_a) if record.score is not None}
    b = {record.id: record for record in read_records(run_b) if record.score is not None}
    common = [id_ for id_ in a if id_ in b and (a[id_].question, a[id_].truth) == (b[id_].question, b[id_].truth)]
    if not common:
        raise BenchmarkError(f"{run_a} and {run_b} have no scores of the same items")
    groups: dict[str, list[tuple[float, float]]] = {"": []}
    for id_ in common:
        pair = (a[id_].score or 0.0, b[id_].score or 0.0)
        groups[""].append(pair)
        groups.setdefault(a[id_].group, []).append(pair) if a[id_].group else None
    if len(groups) == 2:
        groups = {"": groups[""]}
    numbers: dict[str, float | int | None] = {}
    rows = []
    for name, pairs in groups.items():
        told = _compared(pairs)
        numbers |= {f"{name}/{key}" if name else key: value for key, value in told.items()}
        rows.append((name or "all", *told.values()))
    differs = lock_a.differences(lock_b)
    notes = [f"{name}: {here!s:.60} in A, {there!s:.60} in B" for name, (here, there) in differs.items()]
    if left := len(a) + len(b) - 2 * len(common):
        notes.append(f"{left} scores are of items that the other run has no score of, and are not compared")
    return Summary(numbers, (Table(f"{lock_a.benchmark}: A {run_a}, B {run_b}", COLUMNS, tuple(rows)),), tuple(notes))


def sign_test(better: int, worse: int) -> float:
    """The two-sided p of as uneven a split if both were as likely, exact; of right and wrong it is McNemar's test."""
    number = better + worse
    term = total = 1  # of the binomial coefficients
    for k in range(min(better, worse)):
        term = term * (number - k) // (k + 1)
        total += term
    return min(1.0, 2 * total / 2**number) if number else 1.0


def _compared(pairs: Sequence[tuple[float, float]]) -> dict[str, float | int | None]:
    differences = 100 * np.array([b - a for a, b in pairs])
    low, high = paired_bootstrap(differences)
    better, worse = int((differences > 0).sum()), int((differences < 0).sum())
    return {
        "items": len(pairs),
        "mean_a": 100 * fmean(a for a, _ in pairs),
        "mean_b": 100 * fmean(b for _, b in pairs),
        "difference": float(differences.mean()),
        "low": low,
        "high": high,
        "better": better,
        "worse": worse,
        "same": len(pairs) - better - worse,
        "p": sign_test(better, worse),
    }
