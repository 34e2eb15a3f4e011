"""The chronology test: does a model hold the true order of events for likelier than a wrong one?

Chronologically accurate retrieval (CAR; Fujiwara et al., ECCV 2024), for any model that scores moments. The events of a
video are joined in the true order and in wrong ones, so only the order differs, and how well a list fits is the best
placement of its events one after another: max over t_1 < … < t_n of the sum of s(e_k, t_k). A tie is a failure. Where
the paper lets a language model split captions, events come split from the data.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import factorial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tvu.temporal.metrics import wilson_interval
from tvu.video_llm.benchmarks.baselines import find_texts
from tvu.video_llm.benchmarks.chronology_data import read_chronology
from tvu.video_llm.benchmarks.types import AskConfig, Item, Record, Response, Summary, Table
from tvu.video_llm.benchmarks.video_files import find_video
from tvu.video_llm.decode import open_video
from tvu.video_llm.types import Answer, VideoModel

MOST_PERMUTED = 4  # events whose orders are all compared
WRONG_ORDERS = 20  # compared where there are more
STEP_SECONDS = 0.25  # of the grid for models that tell spans and no curves

NOTES = (
    "CAR: share of videos whose true order fits better than one wrong order, drawn from a seed; ties fail, chance 50",
    "a reader of the text alone, who scores events one by one, ties every order: CAR 0",
)


def monotone_fit(scores: NDArray[np.float64]) -> float:
    """The best sum of `scores[k, t_k]` over t_1 < … < t_n, of float64 `[n, T]`, in O(nT).

    Raises ValueError if there are fewer moments than events.
    """
    events, moments = scores.shape
    if moments < events:
        raise ValueError(f"{events} events do not fit one after another into {moments} moments")
    best = scores[0].astype(np.float64)
    for row in scores[1:]:
        before = np.concatenate([[-np.inf], np.maximum.accumulate(best)[:-1]])
        best = before + row
    return float(best.max())


def wrong_orders(count: int, seed_text: str) -> list[tuple[int, ...]]:
    """Orders of `count` events other than the true one: all of them for up to four, else twenty; drawn from the text.

    They come in a random order, so that the first is a fair draw.
    """
    draw = np.random.default_rng(list(seed_text.encode(errors="surrogatepass")))
    right = tuple(range(count))
    if count <= MOST_PERMUTED:
        orders = [order for order in itertools.permutations(right) if order != right]
        return [orders[i] for i in draw.permutation(len(orders))]
    found: dict[tuple[int, ...], None] = {}
    while len(found) < WRONG_ORDERS:
        order = tuple(draw.permutation(count).tolist())
        if order != right:
            found[order] = None
    return list(found)


def kendall_tau(order: Sequence[int]) -> float:
    """Of an order of the events 0 … n - 1: 1 for the true one, -1 for its reverse."""
    pairs = list(itertools.combinations(order, 2))
    return sum(1 if a < b else -1 for a, b in pairs) / len(pairs)


def event_scores(answers: Sequence[Answer], start: float, end: float) -> NDArray[np.float64] | None:
    """float64 `[n, T]`: how well each of n events fits each of T moments; None where nothing was scored.

    From the curves of the answers, the best channel at each moment; from the scores of their spans where they have no
    curves, on a grid from `start` to `end` seconds.
    """
    curves = [[curve for curve in answer.curves if len(curve.times)] for answer in answers]
    if all(curves):
        times = np.unique(np.concatenate([curve.times for some in curves for curve in some]))
        return np.stack(
            [np.max([np.interp(times, c.times, c.scores, 0.0, 0.0) for c in some], axis=0) for some in curves]
        )
    if not any(answer.groundings for answer in answers):
        return None
    grid = np.linspace(start, end, max(len(answers), round((end - start) / STEP_SECONDS)), endpoint=False)
    scores = np.zeros((len(answers), len(grid)))
    for row, answer in zip(scores, answers, strict=True):
        for found in answer.groundings:
            inside = (grid >= found.span.start_seconds) & (grid < found.span.end_seconds)
            row[inside] = np.maximum(row[inside], found.score)
    return scores


@dataclass(frozen=True)
class ChronologyTest:
    """Videos with events that follow each other.

    An item is a video; its truth is its events in order, its group how many. `prediction` holds how well the true order
    fits (`right`), how well each wrong one does (`wrong`), and the order that fits best (`order`).
    """

    name: str = "chronology"

    def read(self, data: Path) -> Sequence[Item]:
        """See `read_chronology`. Raises BenchmarkError."""
        return read_chronology(data)

    def video_of(self, item: Item, data: Path) -> Path:
        """Under `videos/` or beside, with any usual ending."""
        return find_video(data, item.video)

    def ask(self, item: Item, video: Path, model: VideoModel, config: AskConfig) -> Response:
        """Have each event found on its own. Raises VideoError, and whatever the model raises."""
        clip = open_video(video, decoder=config.decoder)
        part = clip.span.seconds / len(item.truth)  # of the baseline that knows the order: nobody tells it when
        starts = [clip.span.start_seconds + number * part for number in range(len(item.truth))]
        answers = find_texts(model, item, clip, item.truth, [[(start, start + part)] for start in starts])
        prompt = "\n".join(dict.fromkeys(answer.prompt for answer in answers if answer.prompt))
        text = "\n".join(answer.text for answer in answers)
        seconds = tuple(sorted({second for answer in answers for second in answer.frame_seconds}))
        scores = event_scores(answers, clip.span.start_seconds, clip.span.end_seconds)
        if scores is None or scores.shape[1] < len(scores):
            return Response("unparsed", None, text, prompt, seconds)
        true_order = tuple(range(len(answers)))
        others = wrong_orders(len(answers), item.id)
        fits = [monotone_fit(scores[list(order)]) for order in (*others, true_order)]
        best = (*others, true_order)[int(np.argmax(fits))]  # of equals the first: the true order wins no tie
        prediction = {"right": fits[-1], "wrong": fits[:-1], "order": list(best)}
        return Response("parsed", prediction, text, prompt, seconds)

    def judge(self, item: Item, response: Response) -> float | None:
        """The share of the wrong orders that fit worse than the true one; None where there was nothing to answer."""
        if response.status not in ("parsed", "unparsed"):
            return None
        if response.prediction is None:
            return 0.0
        return float(np.mean([response.prediction["right"] > fit for fit in response.prediction["wrong"]]))

    def sum_up(self, items: Sequence[Item], records: Sequence[Record]) -> Summary:
        """CAR, the share of all wrong orders that are beaten, rank of the true order, Kendall's tau."""
        run = [record for record in records if record.status in ("parsed", "unparsed")]
        numbers: dict[str, float | int | None] = {
            "n_expected": len(items),
            "n_run": len(run),
            "n_missing": sum(record.status == "missing" for record in records),
            "n_unparsed": sum(record.status == "unparsed" for record in records),
            "n_failed": sum(record.status in ("failed", "undecodable") for record in records),
        }
        notes = (*_left_out(items), *NOTES)
        if not run:
            return Summary(numbers, notes=("no video was run", *notes))
        counts = sorted({record.group for record in run})
        rows = [(name, *_row([r for r in run if r.group == name])) for name in counts] + [("all", *_row(run))]
        car, low, high = _share([_beats_one(record) for record in run])
        few = [record for record in run if len(record.truth) <= MOST_PERMUTED]
        first, first_low, first_high = _share([record.score == 1.0 for record in few])
        numbers |= {
            "CAR": car,
            "CAR_low": low,
            "CAR_high": high,
            "CAR_all_orders": 100 * float(np.mean([record.score or 0.0 for record in run])),
            "R1_all_orders": first,
            "R1_low": first_low,
            "R1_high": first_high,
            "R1_chance": 100 * float(np.mean([1 / factorial(len(r.truth)) for r in few])) if few else None,
            "kendall_tau": float(np.mean([_tau(record) for record in run])),
        }
        columns = ("events", "videos", "CAR", "CAR, all orders", "true order first", "tau")
        return Summary(numbers, (Table("Chronology", columns, tuple(rows)),), notes)


def chronology() -> ChronologyTest:
    """The chronology test on a JSONL of events in order, or on captions in ActivityNet's format."""
    return ChronologyTest()


def _beats_one(record: Record) -> bool:
    return record.prediction is not None and record.prediction["right"] > record.prediction["wrong"][0]


def _tau(record: Record) -> float:
    """Of the order that fits best; 0, as of a random one, where nothing was scored or all orders fit alike."""
    found = record.prediction
    if found is None or len({found["right"], *found["wrong"]}) == 1:
        return 0.0
    return kendall_tau(found["order"])


def _share(right: Sequence[bool]) -> tuple[float | None, float | None, float | None]:
    """In percent, with Wilson's 95 % interval."""
    if not right:
        return None, None, None
    low, high = wilson_interval(sum(right), len(right))
    return 100 * sum(right) / len(right), 100 * low, 100 * high


def _row(records: Sequence[Record]) -> tuple[float | int | None, ...]:
    beaten = 100 * float(np.mean([record.score or 0.0 for record in records]))
    first = _share([record.score == 1.0 for record in records if len(record.truth) <= MOST_PERMUTED])[0]
    tau = float(np.mean([_tau(record) for record in records]))
    return len(records), _share([_beats_one(record) for record in records])[0], beaten, first, tau


def _left_out(items: Sequence[Item]) -> list[str]:
    counts: Mapping[str, int] = items[0].facts.get("left_out", {}) if items else {}
    return [f"left out: {count} {what}" for what, count in counts.items() if count]
