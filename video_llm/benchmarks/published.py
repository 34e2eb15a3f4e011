"""Numbers that others published, to hold one's own against: as their tables have them, in percent.

What was only found in a compilation of others' results is marked so; what nobody could check is left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass

_TABLES = "tables of its paper or repository"
_COMPILED = "a compilation of others' results, not checked"


@dataclass(frozen=True)
class Published:
    """What a model came to on a benchmark. setting: frames, split, training. source: where the numbers were read."""

    benchmark: str
    model: str
    numbers: Mapping[str, float]
    setting: str = ""
    source: str = _TABLES

    @property
    def is_checked(self) -> bool:
        """Whether the numbers were read where they were first published, or in a table of the model's makers."""
        return self.source != _COMPILED


_TASKS = "AS AP AA FA UA OE OI OS MD AL ST AC MC MA SC FP CO EN ER CI accuracy"
_MVBENCH_PAPER = "MVBench paper (arXiv 2311.17005) and its repository"


def _tasks(model: str, numbers: str, setting: str = "", source: str = _TABLES) -> Published:
    values = dict(zip(_TASKS.split(), map(float, numbers.split()), strict=True))
    return Published("mvbench", model, values, setting, source)


def _row(benchmark: str, columns: str, model: str, numbers: str, setting: str = "", source: str = _TABLES) -> Published:
    """`-` in `numbers` is a cell that the table leaves empty."""
    pairs = zip(columns.split(), numbers.split(), strict=True)
    return Published(benchmark, model, {name: float(n) for name, n in pairs if n != "-"}, setting, source)


def _grounding(benchmark: str, model: str, numbers: str, setting: str, source: str = _TABLES) -> Published:
    return _row(benchmark, "R1@0.3 R1@0.5 R1@0.7 mIoU", model, numbers, setting, source)


_MVBENCH = (
    _tasks(
        "GPT-4V",
        "55.5 63.5 72.0 46.5 73.5 18.5 59.0 29.5 12.0 40.5 83.5 39.0 12.0 22.5 45.0 47.5 52.0 31.0 59.0 11.0 43.5",
        "16 frames",
        _MVBENCH_PAPER,
    ),
    _tasks(
        "VideoChat2 Vicuna",
        "66.0 47.5 83.5 49.5 60.0 58.0 71.5 42.5 23.0 23.0 88.5 39.0 42.0 58.5 44.0 49.0 36.5 35.0 40.5 65.5 51.1",
        "16 frames",
        _MVBENCH_PAPER,
    ),
    _tasks(
        "VideoChat2 Mistral",
        "75.5 58.0 83.5 50.5 60.5 87.5 74.5 45.0 47.5 44.0 82.5 37.0 64.5 87.5 51.0 66.5 47.0 35.0 37.0 72.5 60.4",
        "16 frames",
        _MVBENCH_PAPER,
    ),
    _tasks(
        "TimeChat 7B",
        "40.5 36.0 61.0 32.5 53.0 53.5 41.5 29.0 19.5 26.5 66.5 34.0 20.0 43.5 42.0 36.5 36.0 29.0 35.0 35.0 38.5",
    ),
    _tasks(
        "PLLaVA 7B",
        "58.0 49.0 55.5 41.0 61.0 56.0 61.0 36.0 23.5 26.0 82.0 39.5 42.0 52.0 45.0 42.0 53.5 30.5 48.0 31.0 46.6",
    ),
    _tasks(
        "ST-LLM 7B",
        "66.0 53.5 84.0 44.0 58.5 80.5 73.5 38.5 42.5 31.0 86.5 36.5 56.5 78.5 43.0 44.5 46.5 34.5 41.5 58.5 54.9",
    ),
    _tasks(
        "VideoGPT+ 3.8B",
        "69.0 60.0 83.0 48.5 66.5 85.5 75.5 36.0 44.0 34.0 89.5 39.5 71.0 90.5 45.0 53.0 50.0 29.5 44.0 60.0 58.7",
    ),
    _tasks(
        "TRACE-uni 7B",
        "68.1 58.5 72.5 41.5 73.5 55.1 71.5 40.5 25.0 53.0 88.5 63.5 38.5 51.0 52.5 49.0 59.5 33.5 49.5 32.5 53.8",
        "items are missing: its scores of tasks are no multiples of 0.5",
    ),
    _tasks(
        "VideoMind 2B",
        "77.0 78.0 77.0 46.5 70.5 87.0 71.5 33.0 48.0 39.5 91.0 53.0 78.0 89.0 43.5 53.5 61.5 37.5 49.5 53.0 61.9",
    ),
    _tasks(
        "VideoMind 7B",
        "74.0 71.5 81.0 50.0 77.0 93.0 75.0 38.0 48.5 46.0 91.0 39.0 80.0 94.5 49.5 55.5 70.0 40.5 57.0 61.0 64.6",
    ),
    *(
        Published("mvbench", model, {"accuracy": accuracy}, setting)
        for model, accuracy, setting in (
            ("InternVideo2.5-8B", 75.7, ""),
            ("Eagle2.5-8B", 74.8, ""),
            ("InternVL2.5+HiCo", 74.4, ""),
            ("InternVL2.5-8B", 72.0, ""),
            ("STORM", 71.3, "32 frames, temporal pooling"),
            ("STORM", 70.3, "32 frames, no pooling"),
            ("Qwen2.5-VL-7B", 69.6, "its own report; other harnesses found 64.6 to 65.6 (lmms-eval)"),
            ("TimeMarker", 67.4, ""),
            ("Qwen2-VL-7B", 67.0, ""),
            ("LongVU", 66.9, ""),
            ("VideoChat-TPO", 66.8, ""),
            ("InternVL2-8B", 66.4, ""),
            ("GPT-4o", 64.6, ""),
            ("VideoChat2-HD", 62.3, ""),
            ("Kangaroo", 61.1, ""),
            ("Grounded-VideoLLM", 59.4, ""),
            ("LLaVA-OneVision-7B", 56.7, ""),
            ("Video-XL", 55.3, ""),
            ("VideoLLaMA2", 54.6, ""),
        )
    ),
)

_ZERO_SHOT, _TUNED = "zero-shot", "trained on its training set"

_CHARADES = (
    _grounding("charades-sta", "Time-R1 7B", "78.1 60.8 35.3 -", _ZERO_SHOT),
    _grounding("charades-sta", "VideoMind 7B", "73.5 59.1 31.2 50.2", _ZERO_SHOT),
    _grounding("charades-sta", "VideoChat-Flash 7B", "74.5 53.1 27.6 -", _ZERO_SHOT),
    _grounding("charades-sta", "TimeSuite (VideoChat-T)", "69.9 48.7 24.0 -", _ZERO_SHOT),
    _grounding("charades-sta", "E.T. Chat", "65.7 45.9 20.0 42.3", _ZERO_SHOT),
    _grounding("charades-sta", "TRACE-uni", "63.7 43.7 21.0 41.5", _ZERO_SHOT),
    _grounding("charades-sta", "VTimeLLM 13B", "55.3 34.3 14.7 34.6", _ZERO_SHOT),
    _grounding("charades-sta", "VTG-LLM", "52.0 33.8 15.7 -", _ZERO_SHOT),
    _grounding("charades-sta", "TimeChat 7B", "51.5 32.2 13.4 -", _ZERO_SHOT),
    _grounding("charades-sta", "Eagle2.5-8B", "- - - 65.9", _ZERO_SHOT),
    _grounding("charades-sta", "Qwen2.5-VL-7B", "- - - 43.6", _ZERO_SHOT),
    _grounding("charades-sta", "GPT-4o", "- - - 35.7", _ZERO_SHOT),
    _grounding("charades-sta", "Time-R1 7B", "82.8 72.2 50.1 -", _TUNED),
    _grounding("charades-sta", "TimeSuite (VideoChat-T)", "79.4 67.1 43.0 -", _TUNED),
    _grounding("charades-sta", "EaTR", "- 68.4 44.9 -", _TUNED),
    _grounding("charades-sta", "R2-Tuning", "70.9 59.8 37.0 50.9", _TUNED),
    _grounding("charades-sta", "HawkEye", "72.5 58.3 28.8 -", _TUNED),
    _grounding("charades-sta", "UniTime", "- 75.3 56.9 -", _TUNED, _COMPILED),
    _grounding("charades-sta", "LLaVA-MR", "- 70.6 49.6 59.8", _TUNED, _COMPILED),
    _grounding("charades-sta", "FlashVTG", "- 70.3 49.9 -", _TUNED, _COMPILED),
    _grounding("charades-sta", "SG-DETR", "- 70.2 49.5 59.1", _TUNED, _COMPILED),
    _grounding("charades-sta-clamped", "CG-DETR (lighthouse)", "- 57.6 35.1 -", _TUNED),
)

_ACTIVITYNET = (
    _grounding("activitynet-captions", "Time-R1", "58.6 39.0 21.4 -", _ZERO_SHOT),
    _grounding("activitynet-captions", "HawkEye", "49.1 29.3 10.7 32.7", _ZERO_SHOT),
    _grounding("activitynet-captions", "VideoMind 7B", "48.4 30.3 15.7 33.3", _ZERO_SHOT),
    _grounding("activitynet-captions", "Grounded-VideoLLM", "46.2 30.3 19.0 36.1", _ZERO_SHOT),
    _grounding("activitynet-captions", "TRACE-uni", "53.2 38.2 24.7 39.4", ""),
    _grounding("activitynet-captions", "Time-R1", "73.3 55.6 34.0 -", _TUNED),
    _grounding("activitynet-captions", "EaTR", "- 58.2 37.6 -", _TUNED),
    _grounding("activitynet-captions", "MMN", "64.5 48.2 29.4 46.6", _TUNED),
    _grounding("activitynet-captions", "UniTime", "- 53.7 35.9 -", _TUNED, _COMPILED),
)

_MOMENTS = "MR-full-R1@0.5 MR-full-R1@0.7 MR-full-mAP@0.5 MR-full-mAP@0.75 MR-full-mAP"
_HIGHLIGHTS = "HL-min-VeryGood-mAP HL-min-VeryGood-Hit1"

_QVHIGHLIGHTS = (
    _row("qvhighlights", _MOMENTS, "VideoMind 7B", "78.53 61.09 76.07 58.17 54.19", "test, trained"),
    _row("qvhighlights", _MOMENTS, "R2-Tuning", "68.03 49.35 69.04 47.56 46.17", "test, trained"),
    _row("qvhighlights", _MOMENTS, "QD-DETR", "62.40 44.98 - - 39.86", "test, trained"),
    _row("qvhighlights", _MOMENTS, "Moment-DETR", "59.78 40.33 - - 36.14", "test, trained"),
    _row("qvhighlights", _MOMENTS, "UniTime", "76.72 62.65 - - -", "test, trained", _COMPILED),
    _row("qvhighlights", _MOMENTS, "Mr.BLIP", "74.77 60.51 - - -", "test, trained", _COMPILED),
    _row("qvhighlights", _MOMENTS, "CG-DETR", "65.92 50.44 65.50 45.62 44.76", "test, trained", _COMPILED),
    _row("qvhighlights", _HIGHLIGHTS, "CG-DETR (lighthouse)", "40.7 67.0", "val, trained"),
    _row("qvhighlights", _HIGHLIGHTS, "TR-DETR (lighthouse)", "40.8 66.2", "val, trained"),
    _row("qvhighlights", _HIGHLIGHTS, "TRACE", "26.8 42.7", "val, zero-shot"),
    _row("qvhighlights", _HIGHLIGHTS, "TRACE retrieval", "27.9 44.3", "val, zero-shot"),
    _row("qvhighlights", _HIGHLIGHTS, "VTG-LLM", "16.5 33.5", "val, zero-shot"),
)

_OTHERS = (
    _grounding("tacos", "VideoMind 7B", "49.5 36.2 21.4 -", _TUNED),
    _grounding("tacos", "CG-DETR (lighthouse)", "- 39.8 25.1 -", _TUNED),
    _grounding("tacos", "UniTime", "66.9 55.1 - -", _TUNED, _COMPILED),
    _grounding("tacos", "SG-DETR", "- 44.7 29.9 -", _TUNED, _COMPILED),
    _row("activitynet-rtl", "mIoU P@0.5", "VideoMind 7B", "31.3 28.0", _ZERO_SHOT),
    _row("activitynet-rtl", "mIoU P@0.5", "LITA 13B", "28.6 25.9"),
    _row("activitynet-rtl", "mIoU P@0.5", "LITA 7B", "24.1 21.2"),
    _row("nextgqa", "Acc@GQA mIoP mIoU", "Grounded-VideoLLM", "29.4 37.4 27.0"),
    _row("nextgqa", "Acc@GQA mIoP mIoU", "VideoMind 7B", "28.2 39.0 31.4"),
    _row("nextgqa", "Acc@GQA mIoP mIoU", "VideoChat-TPO", "25.5 35.6 27.7"),
    *(
        Published(
            "timelens", model, dict(zip(("charades/mIoU", "activitynet/mIoU", "qvhighlights/mIoU"), n, strict=True))
        )
        for model, n in (
            ("TimeLens-8B", (55.2, 53.2, 65.5)),
            ("Qwen3-VL-8B", (48.3, 46.8, 59.4)),
            ("TimeLens-7B", (48.8, 46.2, 56.0)),
            ("Qwen2.5-VL-7B", (39.3, 31.4, 31.6)),
        )
    ),
    _row("youcook2", "CIDER METEOR SODA_c_2 F1_Score", "TRACE-uni", "8.6 2.9 2.3 22.4", _ZERO_SHOT),
    _row("youcook2", "CIDER METEOR SODA_c_2 F1_Score", "VTG-LLM", "5.0 1.9 1.5 17.5", _ZERO_SHOT),
    _row("activitynet-dense", "CIDER METEOR SODA_c_2 F1_Score", "TRACE-uni", "29.2 6.9 6.4 40.4"),
    _row("activitynet-dense", "CIDER METEOR SODA_c_2 F1_Score", "VTG-LLM", "20.7 5.9 5.1 34.8"),
    _row("activitynet-dense", "CIDER METEOR SODA_c_2 F1_Score", "Grounded-VideoLLM", "- 6.8 6.0 -"),
    _row("htm-align", "R1-NSVA", "NSVA, released files", "69.8"),
    _row("htm-align", "R1-TAN AUC", "TAN (HTM-370K)", "49.8 75.1", "numbers corrected by its repository"),
    _row("htm-align", "R1-TAN AUC", "InternVideo-MM-L14", "43.7 -", "windowed"),
    _row("htm-align", "R1-TAN AUC", "MIL-NCE", "34.2 73.4", "windowed"),
    _row("htm-align", "R1-TAN AUC", "CLIP L/14", "30.9 -", "windowed"),
    _row("htm-align", "R1-TAN AUC", "CLIP B/32", "23.4 70.9", "windowed"),
    _row("crosstask", "average_recall", "BaGLM", "59.8", "without training", _COMPILED),
    _row("crosstask", "average_recall", "MPTVA", "47.9"),
    _row("crosstask", "average_recall", "NSVA", "46.7"),
    _row("crosstask", "average_recall", "VINA", "44.8", source=_COMPILED),
)

NUMBERS = (*_MVBENCH, *_CHARADES, *_ACTIVITYNET, *_QVHIGHLIGHTS, *_OTHERS)


def published(benchmark: str) -> list[Published]:
    """What others published on a benchmark."""
    return [told for told in NUMBERS if told.benchmark == benchmark]
