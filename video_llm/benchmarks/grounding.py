"""Temporal grounding as benchmarks: when does a sentence, or the answer to a question, happen?

Items come in the order of the official files. Consecutive ones mostly share a video, and are to be asked in that order:
a model remembers the video that it looked at last.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from tvu.temporal.metrics import span_iop
from tvu.video_llm.benchmarks.baselines import told
from tvu.video_llm.benchmarks.choice import PROTOCOLS
from tvu.video_llm.benchmarks.grounding_ask import (
    PARSERS,
    WORDS,
    ask_for_choice_and_spans,
    ask_for_spans,
    ask_in_words,
    check_no_matching,
    clip_saliency,
    response_of,
    scored_spans,
)
from tvu.video_llm.benchmarks.grounding_files import (
    CHARADES_PLACES,
    NEXTGQA_PLACES,
    TIMELENS_PLACES,
    activitynet_items,
    any_moments,
    charades_items,
    clamped_charades_items,
    moments_items,
    nextgqa_items,
    rtl_items,
    timelens_items,
)
from tvu.video_llm.benchmarks.grounding_summary import (
    LENGTHS,
    THRESHOLDS,
    Asked,
    Numbers,
    by_length,
    counts,
    has_run,
    honesty,
    notes,
    percent,
    recall_table,
    recalls,
    without_a_model,
)
from tvu.video_llm.benchmarks.qvhighlights_scores import average_precisions, qvhighlights_scores, qvhighlights_tables
from tvu.video_llm.benchmarks.types import AskConfig, Item, Json, Record, Response, Summary, Table
from tvu.video_llm.benchmarks.video_files import PLACES, find_video
from tvu.video_llm.decode import open_video
from tvu.video_llm.types import VideoModel


@dataclass(frozen=True)
class MomentRetrieval:
    """Queries, each with the spans that it happens in; a prediction is `[[start, end, score], …]`, best first.

    title:      of the dataset, as prompts tell it.
    read_items: from a folder of data. places: where in it the videos are looked for.
    """

    name: str
    title: str
    read_items: Callable[[Path], list[Item]]
    places: tuple[str, ...] = PLACES

    @property
    def protocols(self) -> tuple[str, ...]:
        """What `AskConfig.protocol` may be."""
        return ("tvu", *WORDS)

    @property
    def wordless(self) -> tuple[str, ...]:
        """The protocols under which no text is read, so that no matching makes sense."""
        return ("tvu",)

    @property
    def matchings(self) -> tuple[str, ...]:
        """What `AskConfig.matching` may be, with any protocol but `tvu`."""
        return tuple(PARSERS)

    def read(self, data: Path) -> Sequence[Item]:
        """In the order of the official file. Raises BenchmarkError, which names the file and the line or key."""
        return self.read_items(data)

    def video_of(self, item: Item, data: Path) -> Path:
        """The video by its name, with any usual ending, or a folder of pictures."""
        return find_video(data, item.video, self.places)

    def ask(self, item: Item, video: Path, model: VideoModel, config: AskConfig) -> Response:
        """See `ask_for_spans`. Raises VideoError, BenchmarkError for an unknown protocol, and what the model raises."""
        return ask_for_spans(item, open_video(video, decoder=config.decoder), model, config, self.title)

    def judge(self, item: Item, response: Response) -> float | None:
        """IoU of the first span with the true one that it meets best.

        Of a query that nothing answers: 1 if the model told nothing, else 0. None where the model was not asked.
        """
        if response.status in ("missing", "undecodable"):
            return None
        return self.score_of(self.asked(item, response))

    def sum_up(self, items: Sequence[Item], records: Sequence[Record], absent: str = "were not asked") -> Summary:
        """The scores of the items that were run (`scores`); where some were not, those of all items under `all/`.

        Beside them those of each group, `GROUP/…`, R1 and mIoU by length, `length-short/…`, what published tables leave
        out (`honesty`), and the counts.
        absent: what a note says of items without a record.
        """
        known = {item.id for item in items}
        by_id = {record.id: record for record in records if record.id in known}
        asked = [self.asked(item, by_id[item.id]) for item in items if item.id in by_id and has_run(by_id[item.id])]
        numbers = self.scores(asked)
        if len(asked) < len(items):
            done = {each.item.id: each for each in asked}
            everything = [done.get(item.id) or self.asked(item, None).lost() for item in items]
            numbers |= {f"all/{key}": value for key, value in self.scores(everything).items()}
        groups = {name: [each for each in asked if each.item.group == name] for name in _groups(items)}
        for name, some in groups.items():
            numbers |= {f"{name}/{key}": value for key, value in self.scores(some).items()}
        for name, some in zip(LENGTHS, by_length(asked).values(), strict=True):
            binned: Numbers = {"queries": len(some), **recalls(some, firsts=(1,))} if some else {}
            numbers |= {f"length-{name}/{key}": value for key, value in binned.items()}
        tables = (
            recall_table(f"{self.title}: first spans, percent of queries", {"all": asked, **groups}),
            recall_table("By the longest true span", by_length(asked)),
            recall_table("The same queries answered without a model", without_a_model(asked)),
        )
        shown = tuple(table for table in (*self.official_tables(numbers), *tables) if table.rows)
        told = notes(items, by_id, asked, absent, self.silence)
        return Summary({**numbers, **honesty(asked), **counts(items, by_id)}, shown, told, self.details(numbers))

    @property
    def silence(self) -> str:
        """What becomes of a query to which nothing was told."""
        return "count as missed"

    def asked(self, item: Item, answer: Response | Record | None) -> Asked:
        """The item with what was understood of an answer."""
        prediction = answer.prediction if answer else None
        is_parsed = answer is not None and answer.status == "parsed"
        return Asked(item, prediction, self.truth_of(item), self.told_in(item, prediction), is_parsed)

    def scores(self, asked: Sequence[Asked]) -> Numbers:
        """`R1@0.3` … `R5@0.7`, `mIoU` and `mAP` (QVHighlights'), percent, of the queries that something answers."""
        return {**recalls(asked), **average_precisions(asked)}

    def official_tables(self, numbers: Numbers) -> tuple[Table, ...]:
        """What the benchmark's own tables show, beside those of any moments."""
        return ()

    def details(self, numbers: Numbers) -> frozenset[str]:
        """See `Summary`."""
        return frozenset()

    def score_of(self, asked: Asked) -> float:
        """See `judge`."""
        return asked.iou if asked.true else float(asked.is_parsed and not asked.told)

    def truth_of(self, item: Item) -> list[list[float]]:
        """The spans that are right."""
        return list(item.truth)

    def told_in(self, item: Item, prediction: Json) -> list[list[float]]:
        """The spans in a prediction; none where nothing was understood."""
        return list(prediction or [])


@dataclass(frozen=True)
class QVHighlights(MomentRetrieval):
    """Moments and highlights; a prediction is `{"pred_relevant_windows": […], "pred_saliency_scores": […]}`.

    These are the lists of an official file of predictions. Saliency is of clips of two seconds.
    """

    def ask(self, item: Item, video: Path, model: VideoModel, config: AskConfig) -> Response:
        """Spans, and the saliency of every clip of the same look (`clip_saliency`), which only protocol `tvu` tells."""
        clip = open_video(video, decoder=config.decoder)
        if config.protocol != "tvu":
            response = ask_for_spans(item, clip, model, config, self.title)
            windows = response.prediction
            return replace(response, prediction=None if windows is None else {"pred_relevant_windows": windows})
        check_no_matching(config)
        (answer,) = told(model, item).find(clip, [item.question])
        saliency = clip_saliency(answer, item.facts["duration"])
        prediction = {"pred_relevant_windows": scored_spans(answer), "pred_saliency_scores": saliency}
        return response_of(answer, prediction)

    def scores(self, asked: Sequence[Asked]) -> Numbers:
        """Those of any moments, and the official ones (`qvhighlights_scores`)."""
        return {**recalls(asked), **qvhighlights_scores(asked)}

    def submission(self, items: Sequence[Item], records: Sequence[Record]) -> Mapping[str, str]:
        """What the official script reads, one query a line; queries to which nothing was told are left out of it."""
        told = {record.id: record.prediction for record in records if record.prediction}
        lines = [
            json.dumps({"qid": _number(item.id), "query": item.question, "vid": item.video, **told[item.id]})
            for item in items
            if item.id in told
        ]
        return {"submission.jsonl": "".join(f"{line}\n" for line in lines)}

    def official_tables(self, numbers: Numbers) -> tuple[Table, ...]:
        """Moments by the length of the true ones, and highlights."""
        return qvhighlights_tables(numbers)

    def details(self, numbers: Numbers) -> frozenset[str]:
        """All that the official tables show, and the thresholds between."""
        return frozenset(name for name in numbers if name.startswith(("MR-", "HL-")))

    def told_in(self, item: Item, prediction: Json) -> list[list[float]]:
        """The windows."""
        return list(prediction.get("pred_relevant_windows") or []) if prediction else []


@dataclass(frozen=True)
class ReasoningLocalization(MomentRetrieval):
    """ActivityNet-RTL: questions that need thought to tell when. Explanations are not judged."""

    @property
    def protocols(self) -> tuple[str, ...]:
        """`official` reads text as LITA does."""
        return ("tvu", "official")

    @property
    def matchings(self) -> tuple[str, ...]:
        """None: times are read in one way."""
        return ()

    def ask(self, item: Item, video: Path, model: VideoModel, config: AskConfig) -> Response:
        """See `ask_in_words`. Raises VideoError, BenchmarkError for an unknown protocol, and what the model raises."""
        return ask_in_words(item, open_video(video, decoder=config.decoder), model, config)

    def scores(self, asked: Sequence[Asked]) -> Numbers:
        """`mIoU` and `P@0.5`, percent, averaged over the questions of each video first, then over the videos."""
        videos: dict[str, list[float]] = {}
        for each in asked:
            videos.setdefault(each.item.video, []).append(each.iou)
        if not videos:
            return {"mIoU": None, "P@0.5": None}
        return {
            "mIoU": 100 * fmean(fmean(ious) for ious in videos.values()),
            "P@0.5": 100 * fmean(fmean(iou >= 0.5 for iou in ious) for ious in videos.values()),
        }

    def told_in(self, item: Item, prediction: Json) -> list[list[float]]:
        """An answer without a span counts as the whole video, as in the official evaluation."""
        return list(prediction or [[0.0, item.facts["duration"]]])


@dataclass(frozen=True)
class GroundedQA(MomentRetrieval):
    """NExT-GQA: a multiple choice and where its answer is seen; a prediction is `{"choice": 2, "spans": [[…], …]}`."""

    @property
    def protocols(self) -> tuple[str, ...]:
        """Those of a multiple choice."""
        return PROTOCOLS

    @property
    def matchings(self) -> tuple[str, ...]:
        """None: options are read in one way, and moments come from no text."""
        return ()

    def ask(self, item: Item, video: Path, model: VideoModel, config: AskConfig) -> Response:
        """See `ask_for_choice_and_spans`. Raises VideoError, and what the model raises."""
        return ask_for_choice_and_spans(item, open_video(video, decoder=config.decoder), model, config)

    def scores(self, asked: Sequence[Asked]) -> Numbers:
        """`Acc@GQA`, `mIoP`, `IoP@0.3`, `IoP@0.5`, `mIoU`, `IoU@0.3`, `IoU@0.5`, percent of the queries with a span.

        That is what the official script divides by; `Acc@GQA` counts right options of an IoP of 0.5 and more,
        `Acc@GQA_of_all` the same of all queries, and `Acc@QA` the right options of all queries.
        """
        spans = [each for each in asked if each.told]
        iops = [_best_iop(each) for each in spans]
        ious = [each.iou for each in spans]
        numbers: Numbers = {"Acc@GQA": percent(sum(self.score_of(each) == 1.0 for each in spans), len(spans))}
        for name, values in (("IoP", iops), ("IoU", ious)):
            numbers[f"m{name}"] = 100 * fmean(values) if values else None
            for least in THRESHOLDS[:2]:
                numbers[f"{name}@{least}"] = percent(sum(value >= least for value in values), len(values))
        numbers["Acc@GQA_of_all"] = percent(sum(self.score_of(each) == 1.0 for each in asked), len(asked))
        return {**numbers, "Acc@QA": percent(sum(_is_right(each) for each in asked), len(asked))}

    @property
    def silence(self) -> str:
        """As in the official script, a model that tells little is scored by what it tells."""
        return "are in no score but Acc@QA and Acc@GQA_of_all"

    def score_of(self, asked: Asked) -> float:
        """1 for the right option with an IoP of 0.5 and more, else 0."""
        return float(_is_right(asked) and bool(asked.told) and _best_iop(asked) >= 0.5)

    def truth_of(self, item: Item) -> list[list[float]]:
        """The spans that are right."""
        return list(item.truth["spans"])

    def told_in(self, item: Item, prediction: Json) -> list[list[float]]:
        """The spans, also where no option was understood."""
        return list(prediction["spans"]) if prediction else []


def _number(item_id: str) -> int | str:
    return int(item_id) if item_id.isdecimal() else item_id


def _is_right(asked: Asked) -> bool:
    return bool(asked.prediction) and asked.prediction["choice"] == asked.item.truth["choice"]


def _best_iop(asked: Asked) -> float:
    return max((span_iop(asked.told[0], true) for true in asked.true), default=0.0)


def _groups(items: Sequence[Item]) -> list[str]:
    """The groups of items, where there is more than one."""
    groups = list(dict.fromkeys(item.group for item in items))
    return groups if len(groups) > 1 else []


def charades_sta() -> MomentRetrieval:
    """Charades-STA test, 3,720 queries; 562 spans end after their video, and stay so as in tables of Video-LLMs."""
    return MomentRetrieval("charades-sta", "Charades", charades_items, CHARADES_PLACES)


def charades_sta_clamped() -> MomentRetrieval:
    """Charades-STA test with spans cut at the end of the video, as in tables of lighthouse."""
    return MomentRetrieval("charades-sta-clamped", "Charades", clamped_charades_items, CHARADES_PLACES)


def activitynet_captions() -> MomentRetrieval:
    """ActivityNet Captions val_2, 17,031 sentences: what papers on grounding test on."""
    return MomentRetrieval("activitynet-captions", "ActivityNet", activitynet_items("val_2.json"))


def activitynet_captions_val_1() -> MomentRetrieval:
    """ActivityNet Captions val_1, 17,505 sentences: what lighthouse reports."""
    files = ("val_1.json", "activitynet_val_release.jsonl")
    return MomentRetrieval("activitynet-captions-val-1", "ActivityNet", activitynet_items(*files))


def qvhighlights() -> QVHighlights:
    """QVHighlights val, 1,550 queries, or its test set where the file with the truth is there instead."""
    files = ("highlight_val_release.jsonl", "highlight_test_with_gt.jsonl")
    return QVHighlights("qvhighlights", "QVHighlights", moments_items(*files))


def tacos() -> MomentRetrieval:
    """TACoS test, 4,001 queries, in lighthouse's form."""
    return MomentRetrieval("tacos", "TACoS", moments_items("tacos_test_release.jsonl"))


def activitynet_rtl() -> ReasoningLocalization:
    """ActivityNet-RTL val, 229 questions."""
    return ReasoningLocalization("activitynet-rtl", "ActivityNet", rtl_items)


def nextgqa() -> GroundedQA:
    """NExT-GQA test, 5,553 questions."""
    return GroundedQA("nextgqa", "NExT-GQA", nextgqa_items, NEXTGQA_PLACES)


def timelens() -> MomentRetrieval:
    """TimeLens-Bench: Charades, ActivityNet and QVHighlights labelled anew; the sets that are there."""
    return MomentRetrieval("timelens", "TimeLens", timelens_items, TIMELENS_PLACES)


def moments() -> MomentRetrieval:
    """Any set in the form of QVHighlights."""
    return MomentRetrieval("moments", "Moments", any_moments)
