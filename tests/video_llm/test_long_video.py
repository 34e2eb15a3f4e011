"""Videos longer than one look: windows, the search for those worth one, and memory that does not grow."""

import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.video_llm.media.drawing import draw_video, picture
from tests.video_llm.tiny_video_llm import FORWARD_STORM, tiny_video_llm
from tvu.temporal.types import Span
from tvu.video_llm.cache import FeatureCache
from tvu.video_llm.decode import open_video
from tvu.video_llm.generate import GenerateConfig
from tvu.video_llm.generation.span_scores import SpanSearch
from tvu.video_llm.pipeline import PipelineConfig, ground_queries
from tvu.video_llm.types import Grounding, VideoClip
from tvu.video_llm.video_llm import VideoLLM, VideoLLMConfig
from tvu.video_llm.windows import WindowConfig

WINDOWS = WindowConfig(seconds=4.0, overlap=0.25, looks=None, scan_seconds=0.5)
CONFIG = VideoLLMConfig(
    least_score=0.0,
    windows=WINDOWS,
    generation=GenerateConfig(max_new_tokens=8),
    search=SpanSearch(count=2, beam=4),
)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> VideoClip:
    """16 seconds: windows at 0, 3, 6, 9 and 12."""
    options = [("g", "10")]
    return open_video(
        draw_video(tmp_path_factory.mktemp("long") / "a.mp4", num_frames=400, size=(64, 36), options=options)
    )


class Counted:
    """The frames that the tower of a model was given."""

    def __init__(self, model: VideoLLM) -> None:
        self.frames: list[int] = []
        model.model.vision_tower.register_forward_pre_hook(lambda _, given: self.frames.append(len(given[0])))

    @property
    def total(self) -> int:
        return sum(self.frames)


class Told:
    """A model that is sure of one span, and of nothing else."""

    name = "told"

    def __init__(self, span: Span) -> None:
        self.span = span

    def ground(self, clip: VideoClip, queries: Sequence[str]) -> list[list[Grounding]]:
        return [[Grounding(self.span, 0.9, "visual")] for _ in queries]

    find: Any = None
    answer: Any = None


def test_spans_of_all_windows_are_told_in_file_seconds(clip: VideoClip) -> None:
    (found,) = tiny_video_llm(CONFIG).ground(clip, ["a dog"])
    assert [g.score for g in found] == sorted([g.score for g in found], reverse=True)
    assert all(0 <= g.span.start_seconds < g.span.end_seconds <= 16 for g in found)
    assert min(g.span.start_seconds for g in found) < 4 and max(g.span.end_seconds for g in found) > 12


@pytest.mark.parametrize("codec", ["lita", "vtg-llm", "text"])
def test_the_same_content_later_in_the_file_gives_the_same_spans_later(tmp_path: Path, codec: str) -> None:
    for number in range(60):  # pictures of a tenth of a second: what is seen from 0 to 3 comes again from 3 to 6
        Image.fromarray(picture(number % 30, 32, 24)).save(tmp_path / f"{number}.png")
    duration = open_video(tmp_path).duration_seconds
    model = tiny_video_llm(replace(CONFIG, fps=4.0), codec={"name": codec})
    first, later = (
        ground_queries(tmp_path, ["a dog"], model, PipelineConfig(start, start + duration / 2))[0]
        for start in (0.0, duration / 2)
    )
    assert first and [g.score for g in later] == pytest.approx([g.score for g in first])
    for a, b in zip(first, later, strict=True):
        assert b.span.start_seconds - a.span.start_seconds == pytest.approx(duration / 2)
        assert b.span.end_seconds - a.span.end_seconds == pytest.approx(duration / 2)


def test_what_windows_share_is_encoded_once(clip: VideoClip) -> None:
    model = tiny_video_llm(CONFIG)
    counted = Counted(model)
    model.ground(clip, ["a dog", "a cat"])
    assert counted.total == 2 * 16  # two looks a second


def test_an_encoder_that_looks_back_carries_what_it_has_seen(clip: VideoClip) -> None:
    models = [
        tiny_video_llm(CONFIG, temporal=storm) for storm in (FORWARD_STORM, {**FORWARD_STORM, "bidirectional": True})
    ]
    config = PipelineConfig(3.0, 7.0)
    for model, carries in zip(models, (True, False), strict=True):
        (alone,) = ground_queries(clip.path, ["a dog"], model, config)
        with model.carrying_time():
            ground_queries(clip.path, ["a dog"], model, PipelineConfig(0.0, 4.0))
            (after,) = ground_queries(clip.path, ["a dog"], model, config)
        scores = [[g.score for g in found] for found in (alone, after)]
        assert (scores[0] != pytest.approx(scores[1])) == carries


def test_what_was_asked_before_does_not_change_an_answer(clip: VideoClip) -> None:
    one_look = replace(CONFIG, windows=replace(WINDOWS, looks=1))
    (alone,) = tiny_video_llm(one_look, temporal=FORWARD_STORM, proposer=Told(Span(6.5, 8.5))).ground(clip, ["a dog"])
    model = tiny_video_llm(CONFIG, temporal=FORWARD_STORM)
    part = open_video(clip.path, end=10.0)  # its last window is the one that is asked about next
    model.ground(part, ["a dog"])
    model.config, model.proposer = one_look, Told(Span(6.5, 8.5))
    assert model.ground(clip, ["a dog"]) == [alone]


def test_a_search_leaves_the_fast_path_out(clip: VideoClip) -> None:
    network = {"layers": [1, 1, 1, 1], "is_bottleneck": False, "widths": [2, 2, 2, 4], "num_frames": 4}
    few = replace(CONFIG, windows=replace(WINDOWS, looks=1))
    model = tiny_video_llm(few, fast_path={"network": network, "fps": 4.0, "side": 32})
    moved: list[int] = []
    model.model.fast_path.network.register_forward_pre_hook(lambda _, given: moved.append(len(given[0])))
    assert model.ground(clip, ["a dog"])[0]
    assert sum(moved) == 4  # snippets of four frames: those of the one window that is looked at closely


def test_a_search_looks_closely_only_where_something_is_promising(clip: VideoClip) -> None:
    few = replace(CONFIG, windows=replace(WINDOWS, looks=1))
    model = tiny_video_llm(few, proposer=Told(Span(9.5, 11)))
    counted = Counted(model)
    (found,) = model.ground(clip, ["a dog"])
    assert found and all(g.span.start_seconds >= 9 and g.span.end_seconds <= 13 for g in found)
    assert counted.total == 8


def test_without_a_proposer_the_model_searches_on_a_few_frames(clip: VideoClip) -> None:
    few = replace(CONFIG, windows=replace(WINDOWS, looks=2, scan_seconds=1.0))
    model = tiny_video_llm(few)
    counted = Counted(model)
    (found,) = model.ground(clip, ["a dog"])
    assert found and 16 + 8 < counted.total <= 16 + 16  # a look a second in the search, then two windows at most


def test_queries_are_asked_only_where_they_are_promising(clip: VideoClip) -> None:
    class Apart(Told):
        def ground(self, clip: VideoClip, queries: Sequence[str]) -> list[list[Grounding]]:
            spans = {"early": Span(0, 1), "late": Span(15, 16)}
            return [[Grounding(spans[q], 0.9, "visual")] if q in spans else [] for q in queries]

    few = replace(CONFIG, windows=replace(WINDOWS, looks=1))
    early, late, nowhere = tiny_video_llm(few, proposer=Apart(Span(0, 1))).ground(clip, ["early", "late", "nowhere"])
    assert max(g.span.end_seconds for g in early) <= 4 and min(g.span.start_seconds for g in late) >= 12
    assert nowhere == []


def test_when_time_is_up_the_most_promising_window_was_seen(clip: VideoClip) -> None:
    hurried = replace(CONFIG, windows=replace(WINDOWS, looks=None, budget_seconds=0.0))
    (found,) = tiny_video_llm(hurried, proposer=Told(Span(6.5, 9.5))).ground(clip, ["a dog"])
    assert found and all(g.span.start_seconds >= 6 and g.span.end_seconds <= 10 for g in found)


def test_a_free_answer_comes_from_a_window_that_may_hold_it(clip: VideoClip) -> None:
    few = replace(CONFIG, windows=replace(WINDOWS, looks=2))
    answer = tiny_video_llm(few).answer(clip, "What happens?")
    assert answer.text and answer.timing.generate_s > 0


def test_an_interruption_keeps_what_was_computed(clip: VideoClip, tmp_path: Path) -> None:
    model = tiny_video_llm(CONFIG, cache=FeatureCache(tmp_path))
    done = []

    def interrupt(stage: str, part: float) -> None:
        done.append(stage)
        if done.count("looking") == 4:
            raise KeyboardInterrupt

    model.report = interrupt
    with pytest.raises(KeyboardInterrupt):
        model.ground(clip, ["a dog"])
    again = tiny_video_llm(CONFIG, cache=FeatureCache(tmp_path))
    counted = Counted(again)
    assert again.ground(clip, ["a dog"]) == tiny_video_llm(CONFIG).ground(clip, ["a dog"])
    assert counted.total == 2 * (16 - 10)  # three windows, up to second 10, had been seen


def test_memory_does_not_grow_with_the_length_of_the_video(tmp_path: Path) -> None:
    film = draw_video(tmp_path / "a.mp4", num_frames=1500, size=(160, 90), options=[("g", "25")])
    model = tiny_video_llm(replace(CONFIG, fps=8.0, max_frames=32, windows=replace(WINDOWS, looks=2, scan_seconds=0.5)))
    peaks = []
    for seconds in (20.0, 60.0):
        tracemalloc.start()  # frames and features are arrays of NumPy, which tells it of them
        model.ground(open_video(film, end=seconds), ["a dog"])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.25 * peaks[0]
    assert peaks[1] < np.prod([60 * 8, 3, 90, 160]) / 2  # far from all that was decoded
