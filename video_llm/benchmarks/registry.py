"""The benchmarks that tvu knows: what they are, where their data is, and which code runs and scores them.

Listing them imports none of that code.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from tvu.video_llm.benchmarks.types import Benchmark, Summary

_HERE = "tvu.video_llm.benchmarks"


@dataclass(frozen=True)
class Entry:
    """A benchmark.

    name:    as the command line has it. title: in a line. metrics: the main ones.
    where:   where its data is to be had. layout: what `--data` has to hold. licence: of the data.
    make:    `module:function` that gives the Benchmark. score: the one that scores a file of predictions; "" for none.
    takes_frames: whether `--frames` makes sense: a multiple choice about so many frames.
    protocol: whose prompt and rule it is asked and read by unless told otherwise.
    """

    name: str
    title: str
    where: str
    layout: str
    licence: str
    metrics: str
    make: str
    score: str = ""
    takes_frames: bool = False
    protocol: str = "tvu"

    def benchmark(self) -> "Benchmark":
        """The benchmark itself."""
        return cast("Callable[[], Benchmark]", _found(self.make))()

    def scored(self, predictions: Path, truth: Path) -> "Summary":
        """What a file of predictions comes to. Raises BenchmarkError, and ValueError where nothing scores files."""
        return cast("Callable[[Path, Path], Summary]", _found(self.score))(predictions, truth)


def _found(name: str) -> object:
    module, separator, function = name.partition(":")
    if not separator:
        raise ValueError(f"{name!r} names no function")
    return getattr(import_module(f"{_HERE}.{module}"), function)


_R1 = "R1 and R5 at IoU 0.3, 0.5, 0.7; mIoU"

ENTRIES = (
    Entry(
        name="mvbench",
        title="MVBench: 4,000 multiple choices in 20 tasks",
        where="huggingface.co/datasets/OpenGVLab/MVBench (gated), branch main (raw) or video (cut)",
        layout="json/*.json beside video/ or the unpacked folders (star/, clevrer/, perception/, …)",
        licence="MIT, says its card; the videos keep their own terms; task FP's are given by ROSE Lab, NTU, on request",
        metrics="accuracy over items and over tasks",
        make="mvbench:MVBench",
        takes_frames=True,
        protocol="official",
    ),
    Entry(
        name="charades-sta",
        title="Charades-STA test: 3,720 queries, spans as published",
        where="annotations: github.com/jiyanggao/TALL; videos: prior.allenai.org/projects/charades (480p)",
        layout="charades_sta_test.txt (or TimeChat's test.caption_coco_format.json), Charades_v1_480/ or videos/",
        licence="Charades: non-commercial use",
        metrics=_R1,
        make="grounding:charades_sta",
        score="grounding_scores:score_charades_sta",
    ),
    Entry(
        name="charades-sta-clamped",
        title="Charades-STA test, spans cut at the end of the video as lighthouse has them",
        where="annotations: github.com/line/lighthouse; videos: prior.allenai.org/projects/charades (480p)",
        layout="charades_test_release.jsonl, or the file of charades-sta beside the videos",
        licence="Charades: non-commercial use",
        metrics=_R1,
        make="grounding:charades_sta_clamped",
        score="grounding_scores:score_charades_sta_clamped",
    ),
    Entry(
        name="activitynet-captions",
        title="ActivityNet Captions val_2: 17,031 queries, what papers on grounding test on",
        where="annotations: cs.stanford.edu/people/ranjaykrishna/densevid; videos: activity-net.org, on request",
        layout="val_2.json, videos/",
        licence="not stated with the annotations; the videos are YouTube's",
        metrics=_R1,
        make="grounding:activitynet_captions",
        score="grounding_scores:score_activitynet_captions",
    ),
    Entry(
        name="activitynet-captions-val-1",
        title="ActivityNet Captions val_1: 17,505 queries, what lighthouse reports",
        where="as activitynet-captions, or github.com/line/lighthouse",
        layout="val_1.json or activitynet_val_release.jsonl, videos/",
        licence="not stated with the annotations; the videos are YouTube's",
        metrics=_R1,
        make="grounding:activitynet_captions_val_1",
        score="grounding_scores:score_activitynet_captions",
    ),
    Entry(
        name="qvhighlights",
        title="QVHighlights val: 1,550 queries, moments and highlights",
        where="github.com/jayleicn/moment_detr, data/ and its link to the videos",
        layout="highlight_val_release.jsonl (or highlight_test_with_gt.jsonl), videos/",
        licence="CC BY-NC-SA 4.0",
        metrics="R1, mAP over IoU 0.5 to 0.95; highlights: mAP and HIT@1",
        make="grounding:qvhighlights",
        score="grounding_scores:score_qvhighlights",
    ),
    Entry(
        name="tacos",
        title="TACoS test: 4,001 queries about kitchens, in the version of 2D-TAN",
        where="annotations: github.com/line/lighthouse; videos: MPII Cooking 2, mpi-inf.mpg.de",
        layout="tacos_test_release.jsonl, videos/",
        licence="not stated with the annotations; MPII Cooking 2: research",
        metrics=_R1,
        make="grounding:tacos",
        score="grounding_scores:score_spans",
    ),
    Entry(
        name="activitynet-rtl",
        title="ActivityNet-RTL val: 229 questions that need thought to tell when",
        where="github.com/NVlabs/LITA; videos: activity-net.org, on request",
        layout="annot_val_1_q229.json, videos/",
        licence="see LITA's repository; the videos are YouTube's",
        metrics="mIoU and P@0.5, per video first",
        make="grounding:activitynet_rtl",
        score="grounding_scores:score_activitynet_rtl",
    ),
    Entry(
        name="nextgqa",
        title="NExT-GQA test: 5,553 multiple choices and where their answers are seen",
        where="github.com/doc-doc/NExT-GQA; videos: those of NExT-QA (VidOR)",
        layout="test.csv, gsub_test.json, map_vid_vidorID.json, NExTVideo/ or videos/",
        licence="see its repository; the videos are Flickr's (YFCC100M)",
        metrics="Acc@GQA, IoP, IoU",
        make="grounding:nextgqa",
        score="grounding_scores:score_nextgqa",
        takes_frames=True,
    ),
    Entry(
        name="timelens",
        title="TimeLens-Bench: Charades, ActivityNet and QVHighlights labelled anew",
        where="github.com/TencentARC/TimeLens",
        layout="charades-timelens.json, activitynet-timelens.json, qvhighlights-timelens.json, videos/",
        licence="see its repository; the videos keep the terms of the three sets",
        metrics=_R1,
        make="grounding:timelens",
        score="grounding_scores:score_timelens",
    ),
    Entry(
        name="moments",
        title="your own moments, in the format of QVHighlights",
        where="make it: a line is {qid, query, vid, duration, relevant_windows}; `tvu bench make-mini` draws one",
        layout="one *.jsonl, videos/",
        licence="yours",
        metrics=_R1,
        make="grounding:moments",
        score="grounding_scores:score_spans",
    ),
    Entry(
        name="youcook2",
        title="YouCook2 val: dense captions of 415 videos",
        where="youcook2.eecs.umich.edu; TimeChat's file: github.com/gyxxyg/VTG-LLM",
        layout="val.caption_coco_format.json or youcookii_annotations_trainval.json, videos/",
        licence="none stated, research use; the videos are YouTube's",
        metrics="SODA_c, CIDEr, METEOR (the first and the last need Java), F1",
        make="captions:youcook2",
        score="caption_scores:score_youcook2",
    ),
    Entry(
        name="activitynet-dense",
        title="ActivityNet Captions: dense captions",
        where="cs.stanford.edu/people/ranjaykrishna/densevid; videos: activity-net.org, on request",
        layout="val.caption_coco_format.json or val_1.json, videos/",
        licence="not stated with the annotations; the videos are YouTube's",
        metrics="SODA_c, CIDEr, METEOR (the first and the last need Java), F1",
        make="captions:activitynet_dense",
        score="caption_scores:score_activitynet_dense",
    ),
    Entry(
        name="htm-align",
        title="HTM-Align: when each sentence of 80 narrated videos is shown",
        where="github.com/TengdaHan/TemporalAlignNet; videos: HowTo100M, YouTube's",
        layout="htm_align.json, videos/",
        licence="see its repository; the videos are YouTube's",
        metrics="R@1 by both conventions of a hit, ROC-AUC of alignability",
        make="alignment:htm_align",
        score="alignment_scores:score_htm_align",
    ),
    Entry(
        name="ht-step",
        title="HT-Step: when each step of wikiHow's articles is shown; for its server, which keeps the labels",
        where="github.com/facebookresearch/htstep; videos: HowTo100M, YouTube's",
        layout="ht_step.json ({video: {step_headline: [text, …]}}), videos/",
        licence="see its repository; the videos are YouTube's",
        metrics="none here: the run writes submission.json",
        make="alignment:ht_step",
    ),
    Entry(
        name="crosstask",
        title="CrossTask: steps of 18 primary tasks, when they are shown",
        where="github.com/DmZhukov/CrossTask; the videos are YouTube's",
        layout="crosstask_release/ (tasks_primary.txt, annotations/, videos_val.csv), videos/",
        licence="see its repository; the videos are YouTube's",
        metrics="recall, the mean of 18 tasks",
        make="alignment:crosstask",
        score="alignment_scores:score_crosstask",
    ),
    Entry(
        name="shuffle",
        title="the shuffle test: what a score owes to the order of the frames",
        where="any data in the layout of MVBench; `tvu bench make-mini` draws some",
        layout="as mvbench",
        licence="that of the data",
        metrics="accuracy under each order, differences with intervals",
        make="order:shuffle",
        takes_frames=True,
    ),
    Entry(
        name="chronology",
        title="the chronology test: is the true order of events likelier than a wrong one",
        where="your own events in order, or captions of ActivityNet; `tvu bench make-mini` draws some",
        layout="chronology.jsonl, val_1.json or val_2.json, videos/",
        licence="that of the data",
        metrics="CAR, Kendall's tau",
        make="chronology:chronology",
    ),
)


def entry_named(name: str) -> Entry | None:
    """The benchmark of that name; None where there is none."""
    return next((entry for entry in ENTRIES if entry.name == name), None)
