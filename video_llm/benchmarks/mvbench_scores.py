"""What a run over MVBench comes to: per task, over items, over tasks, and by the rule of every harness."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean

from tvu.temporal.metrics import wilson_interval
from tvu.video_llm.benchmarks.choice import MultipleChoice
from tvu.video_llm.benchmarks.examinee import statements
from tvu.video_llm.benchmarks.matching import RULES
from tvu.video_llm.benchmarks.mvbench_layout import TASKS
from tvu.video_llm.benchmarks.types import Item, Record, Summary, Table

ALL_ITEMS = 4000
SOME = 3  # names of missing videos that are told


def sum_up(items: Sequence[Item], records: Sequence[Record]) -> Summary:
    """Percent, rounded to two digits as the notebook prints them.

    `accuracy` is right / items, whether they were run or not, and `accuracy_run` right / run; so are the tasks (`AS` …
    `CI`) and `mean_of_tasks`, which differs from `accuracy` where tasks differ in size. Intervals are Wilson's at 95 %,
    of the items that were run. `accuracy_strict` and the like count the same texts by each rule, over the items that it
    counts: lmms-eval leaves empty answers out, VLMEvalKit counts failed calls as right. `random` is items / options,
    `guess` what a uniform guess comes to, `always_a` what the letter A does.
    """
    known = {item.id: item for item in items}
    done = {record.id: record for record in records if record.id in known}
    groups = {task.abbreviation: [item for item in items if item.group == task.abbreviation] for task in TASKS}
    groups = {name: group for name, group in groups.items() if group}
    rows = {name: _Row(group, done) for name, group in groups.items()}
    total = _Row(items, done)
    by_rule = {name: _accuracy_by(name, known, done) for name in RULES}
    states = Counter(record.status for record in done.values())
    numbers: dict[str, float | int | None] = {
        "accuracy": total.accuracy,
        "accuracy_run": total.accuracy_run,
        "accuracy_run_low": total.interval[0],
        "accuracy_run_high": total.interval[1],
        "mean_of_tasks": _rounded(fmean([100 * row.right / row.items for row in rows.values()])) if rows else None,
        **{name: row.accuracy for name, row in rows.items()},
        **{f"accuracy_{name.replace('-', '_')}": value for name, value in by_rule.items()},
        "random": _rounded(100 * len(items) / sum(len(item.options) for item in items)) if items else None,
        "guess": total.guess,
        "always_a": _percent(sum(item.truth == 0 for item in items), len(items)),
        "n_expected": len(items),
        "n_run": total.run,
        **{f"n_{state}": states[state] for state in ("missing", "undecodable", "unparsed", "failed")},
        "n_not_asked": len(items) - len(done),
    }
    tables = (
        Table(
            "MVBench: right / items, %",
            ("task", "items", "run", "unparsed", "accuracy", "of run", "95 % from", "to", "guess"),
            tuple(row.cells(name) for name, row in [*rows.items(), ("all", total)]),
        ),
        Table(
            "The same answers by the rule of each harness, % of the items that it counts",
            ("rule", "accuracy"),
            tuple(by_rule.items()),
        ),
    )
    shown = {*rows, *(f"accuracy_{name.replace('-', '_')}" for name in by_rule)}
    return Summary(numbers, tables, _notes(items, done, total), frozenset(shown))


class _Row:
    """Counts of some items."""

    def __init__(self, items: Sequence[Item], done: Mapping[str, Record]) -> None:
        records = [done[item.id] for item in items if item.id in done]
        self.items = len(items)
        self.run = sum(_has_run(record) for record in records)
        self.unparsed = sum(record.status == "unparsed" for record in records)
        self.right = sum(record.score == 1.0 for record in records if _has_run(record))
        self.guess = _rounded(100 * fmean(1 / len(item.options) for item in items)) if items else None

    @property
    def accuracy(self) -> float | None:
        return _percent(self.right, self.items)

    @property
    def accuracy_run(self) -> float | None:
        return _percent(self.right, self.run)

    @property
    def interval(self) -> tuple[float | None, float | None]:
        if not self.run:
            return None, None
        low, high = wilson_interval(self.right, self.run)
        return _rounded(100 * low), _rounded(100 * high)

    def cells(self, name: str) -> tuple[str | float | int | None, ...]:
        return (
            *(name, self.items, self.run, self.unparsed, self.accuracy, self.accuracy_run),
            *(*self.interval, self.guess),
        )


def _has_run(record: Record) -> bool:
    return record.status in ("parsed", "unparsed")


def _accuracy_by(rule: str, known: Mapping[str, Item], done: Mapping[str, Record]) -> float | None:
    """Of the items that were run and that the rule counts."""
    rights = []
    for record in done.values():
        item = known[record.id]
        if _has_run(record):
            rights.append(RULES[rule](record.text, item.options, item.truth).right)
        elif record.status == "failed" and rule == "vlmevalkit":
            rights.append(True)
    counted = [right for right in rights if right is not None]
    return _percent(sum(counted), len(counted))


def _notes(items: Sequence[Item], done: Mapping[str, Record], total: _Row) -> tuple[str, ...]:
    notes = []
    if len(items) != ALL_ITEMS:
        notes.append(f"{len(items)} items, not the {ALL_ITEMS} of MVBench: no published number is comparable")
    absent = [task.abbreviation for task in TASKS if not any(item.group == task.abbreviation for item in items)]
    if absent:
        notes.append(f"no questions of {', '.join(absent)}: their JSON files are not there")
    missing = [item for item in items if item.id in done and done[item.id].status == "missing"]
    if missing:
        names = ", ".join([item.video for item in missing[:SOME]] + ["…"] * (len(missing) > SOME))
        notes.append(
            f"{len(missing)} items have no video ({names}) and count as wrong in `accuracy`: some of STAR and CLEVRER "
            "come in data0613.zip, which is unpacked beside the others"
        )
    if any(item.group == "FP" for item in missing):
        notes.append(
            "the videos of FP (NTU RGB+D) are no longer in the release: their owners, the ROSE Lab of NTU Singapore, "
            "give them on request"
        )
    if total.run:
        share = total.right / total.run
        error = 100 * math.sqrt(share * (1 - share) / total.run)
        notes.append(f"one standard error of `accuracy_run` is {error:.2f} points")
    looks = [len(record.frame_seconds) for record in done.values() if record.frame_seconds]
    if looks:
        notes.append(f"the model looked at {min(looks)} to {max(looks)} frames an item, {fmean(looks):.1f} on average")
    if any(_was_searched(item, done[item.id]) for item in items if item.id in done):
        notes.append(
            "this model writes no text: it was given each option as a statement and chose the likeliest, which is no "
            "generative protocol and not comparable with published numbers"
        )
    return tuple(notes)


def _was_searched(item: Item, record: Record) -> bool:
    """Whether the options were searched for one by one; see `likeliest_option`."""
    return bool(record.prompt) and record.prompt == "\n".join(statements(MultipleChoice(item.question, item.options)))


def _percent(part: int, whole: int) -> float | None:
    return _rounded(100 * part / whole) if whole else None


def _rounded(value: float) -> float:
    return round(value, 2)
