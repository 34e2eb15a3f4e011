"""The shuffle test: how much of a model's score on questions about videos depends on the order of the frames.

After HiTeA (Ye et al., ICCV 2023): Δ = M(f, D) - E M(f, D permuted), where frames are sampled first and permuted then.
A Δ near zero tells of a model that is blind to order, or of questions that need none; hold both against the still.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tvu.temporal.metrics import wilson_interval
from tvu.temporal.sampling import times_evenly
from tvu.video_llm.benchmarks.baselines import told
from tvu.video_llm.benchmarks.choice import PROTOCOLS, MultipleChoice
from tvu.video_llm.benchmarks.examinee import choose
from tvu.video_llm.benchmarks.mvbench_layout import read_items, video_path
from tvu.video_llm.benchmarks.shuffled import BLOCKS, CONDITIONS, ORIGINAL, PERMUTED, order_under, reordered
from tvu.video_llm.benchmarks.types import AskConfig, Item, Record, Response, Summary, Table
from tvu.video_llm.decode import open_video
from tvu.video_llm.media.limits import PICTURES_PER_SECOND
from tvu.video_llm.types import VideoModel

FRAMES = 16
RESAMPLES = 2000

NOTES = (
    f"{FRAMES} frames a clip unless told otherwise, sampled before they are permuted; uniform permutations, seeded by "
    "the question's id, the same on every machine",
    "delta: percentage points under the original order; its interval is a paired bootstrap over questions",
    "the control with mean-pooled frames and the shuffle of frames with their positions need a model's inside and are "
    "not run here; `still` is the static ceiling",
)
_NONE = f"no question ran under all {len(CONDITIONS)} conditions, of which --subset counts each"


@dataclass(frozen=True)
class ShuffleTest:
    """Every question of a set in MVBench's layout under every condition of `CONDITIONS`.

    An item is a question and a condition, its id `QUESTION@CONDITION` and its group the condition. Answers are read by
    the strict rule. The protocol `tvu` shows the model every frame that was sampled, once; those with a rule of their
    own for picking frames apply it to the video of those frames.
    """

    name: str = "shuffle"

    @property
    def protocols(self) -> tuple[str, ...]:
        """What `AskConfig.protocol` may be."""
        return PROTOCOLS

    def read(self, data: Path) -> Sequence[Item]:
        """The questions in the official order, each under all conditions in turn. Raises BenchmarkError."""
        return [
            replace(item, id=f"{item.id}@{condition}", group=condition, facts={**item.facts, "task": item.group})
            for item in read_items(data)
            for condition in CONDITIONS
        ]

    def video_of(self, item: Item, data: Path) -> Path:
        """Where the question's video is."""
        return video_path(data, item.video)

    def ask(self, item: Item, video: Path, model: VideoModel, config: AskConfig) -> Response:
        """Ask about the frames in the condition's order; `frame_seconds` are the true times of those it looked at.

        A baseline is told of the question, not of the condition. Raises VideoError, and whatever the model raises.
        """
        question, _, condition = item.id.rpartition("@")
        # folders of pictures are read at a pace of their own; bounds are told at that of the set
        pace = item.facts["fps"] / PICTURES_PER_SECOND if item.facts["type"] == "frames" else 1.0
        start, end = (None, None) if item.bounds is None else (second * pace for second in item.bounds)
        clip = open_video(video, decoder=config.decoder, start=start, end=end)
        frames = config.frames or FRAMES
        order = order_under(condition, frames, question)
        asked = MultipleChoice(item.question, item.options, config.protocol)
        with reordered(clip, order, clip.span.seconds / pace) as seen:
            response = choose(told(model, replace(item, id=question)), seen, asked, replace(config, frames=frames))
            places = [int(second / seen.duration_seconds * frames + 1e-3) for second in response.frame_seconds]
        times = times_evenly(clip.span, frames) / pace
        shown = tuple(float(times[order[min(place, frames - 1)]]) for place in places)
        return replace(response, frame_seconds=shown)

    def judge(self, item: Item, response: Response) -> float | None:
        """1 for the right option, 0 for all else; None where there was nothing to answer."""
        if response.status not in ("parsed", "unparsed"):
            return None
        return float(response.prediction == item.truth)

    def sum_up(self, items: Sequence[Item], records: Sequence[Record]) -> Summary:
        """Accuracy under each condition and its difference to the original order, percent, over the questions that ran
        under all conditions."""
        ran = {record.id: float(record.score or 0) for record in records if record.status in ("parsed", "unparsed")}
        questions = list(dict.fromkeys(item.id.rpartition("@")[0] for item in items))
        complete = [q for q in questions if all(f"{q}@{condition}" in ran for condition in CONDITIONS)]
        numbers: dict[str, float | int | None] = {
            "n_expected": len(questions),
            "n_run": len(complete),
            "n_missing": _questions(records, "missing"),
            "n_unparsed": sum(record.status == "unparsed" for record in records),
            "n_failed": _questions(records, "failed", "undecodable"),
        }
        if not complete:
            return Summary(numbers, notes=(_NONE, *NOTES))
        right = {c: 100 * np.array([ran[f"{q}@{c}"] for q in complete]) for c in CONDITIONS}
        return Summary(numbers | _numbers(right), (_table(right), _curve(right)), NOTES)


def shuffle() -> ShuffleTest:
    """The shuffle test on any set in MVBench's layout."""
    return ShuffleTest()


def _questions(records: Sequence[Record], *statuses: str) -> int:
    """How many ended so under any condition."""
    return len({record.id.rpartition("@")[0] for record in records if record.status in statuses})


def _numbers(right: Mapping[str, NDArray[np.float64]]) -> dict[str, float | int | None]:
    original, permuted = right[ORIGINAL], np.stack([right[c] for c in PERMUTED])
    each = permuted.mean(1)  # of one seed
    loss = float(original.mean() - each.mean())
    low, high = paired_bootstrap(original - permuted.mean(0))
    numbers: dict[str, float | int | None] = {
        "accuracy_original": float(original.mean()),
        "accuracy_permuted": float(each.mean()),
        "accuracy_permuted_std": float(each.std(ddof=1)),
        "delta_abs": loss,
        "delta_abs_low": low,
        "delta_abs_high": high,
        "delta_rel": loss / float(original.mean()) if original.any() else None,
        "delta_rel_std": float(each.std(ddof=1) / original.mean()) if original.any() else None,
    }
    for condition in (c for c in CONDITIONS if c not in (ORIGINAL, *PERMUTED)):
        numbers[f"accuracy_{condition}"] = float(right[condition].mean())
        numbers[f"delta_{condition}"] = float((original - right[condition]).mean())
    return numbers


def paired_bootstrap(differences: NDArray[np.float64]) -> tuple[float, float]:
    """The 95 % percentile interval of the mean of `[N]` paired differences, from a fixed seed."""
    draw = np.random.default_rng(0)
    means = [differences[draw.integers(0, len(differences), len(differences))].mean() for _ in range(RESAMPLES)]
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def _table(right: Mapping[str, NDArray[np.float64]]) -> Table:
    rows: list[tuple[str | float | int | None, ...]] = []
    for condition in CONDITIONS:
        scores = right[condition]
        low, high = wilson_interval(round(scores.sum() / 100), len(scores))
        from_low, from_high = paired_bootstrap(right[ORIGINAL] - scores)
        delta = float((right[ORIGINAL] - scores).mean())
        rows.append((condition, float(scores.mean()), 100 * low, 100 * high, delta, from_low, from_high))
    columns = ("condition", "accuracy", "low", "high", "delta", "delta low", "delta high")
    return Table("What the order of the frames is worth", columns, tuple(rows))


def _curve(right: Mapping[str, NDArray[np.float64]]) -> Table:
    shuffled = {1: np.mean([right[c].mean() for c in PERMUTED])} | {b: right[f"blocks-{b}"].mean() for b in BLOCKS}
    whole = right[ORIGINAL].mean()
    rows = tuple((length, float(score), float(whole - score)) for length, score in shuffled.items())
    return Table("By the length of the runs of frames that stay together", ("frames", "accuracy", "delta"), rows)
