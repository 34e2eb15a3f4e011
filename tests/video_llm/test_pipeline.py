"""One question, from file to answer, by a Video-LLM of random weights."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.video_llm.media.drawing import draw_video
from tests.video_llm.tiny_video_llm import FORWARD_STORM, tiny_video_llm
from tvu.temporal.types import Span
from tvu.video_llm import frame_features
from tvu.video_llm.cache import FeatureCache
from tvu.video_llm.decode import open_video
from tvu.video_llm.generate import GenerateConfig
from tvu.video_llm.generation.span_scores import SpanSearch
from tvu.video_llm.pipeline import PipelineConfig, answer_question, answer_questions, find_moments, ground_queries
from tvu.video_llm.sample import SamplingConfig
from tvu.video_llm.types import Request
from tvu.video_llm.video_llm import VideoLLMConfig

BRIEF = VideoLLMConfig(least_score=0.0, generation=GenerateConfig(max_new_tokens=12))


FAST: dict[str, Any] = {
    "network": {"layers": [1, 1, 1, 1], "is_bottleneck": False, "widths": [2, 2, 2, 4], "num_frames": 4},
    "hop": 3,
    "fps": 4.0,
    "side": 64,
}


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_video(tmp_path_factory.mktemp("pipeline") / "a.mp4", num_frames=150, size=(64, 36))


def test_a_question_is_answered_and_every_stage_is_timed(video: Path) -> None:
    _, (answer,) = answer_questions(video, ["What happens?"], tiny_video_llm(BRIEF), PipelineConfig())
    assert answer.text and answer.model == "tiny"
    timing = answer.timing
    assert min(timing.decode_s, timing.encode_s, timing.temporal_s, timing.generate_s) > 0
    assert timing.total_s >= timing.decode_s + timing.encode_s + timing.temporal_s + timing.generate_s


def test_the_story_and_the_model_tell_the_same(video: Path) -> None:
    told = answer_question(video, "What happens?", tiny_video_llm(BRIEF), PipelineConfig())
    answer = tiny_video_llm(BRIEF).answer(open_video(video), "What happens?")
    assert (answer.text, answer.groundings) == (told.text, told.groundings)


@pytest.mark.parametrize("codec", ["lita", "vtg-llm", "text"])
def test_every_query_has_spans_with_probabilities_inside_the_part(video: Path, codec: str) -> None:
    model = tiny_video_llm(BRIEF, codec={"name": codec}, temporal=FORWARD_STORM)
    clip, answers = find_moments(f"{video}#t=2,5", ["a dog", "a cat"], model, PipelineConfig(top=3))
    assert clip.span == Span(2, 5) and [answer.question for answer in answers] == ["a dog", "a cat"]
    for answer in answers:
        scores = [g.score for g in answer.groundings]
        assert (
            1 <= len(scores) <= 3 and scores == sorted(scores, reverse=True) and answer.text.startswith("Most likely")
        )
        assert all(2 <= g.span.start_seconds < g.span.end_seconds <= 5 for g in answer.groundings)
        assert all(g.evidence == "visual" for g in answer.groundings)


def test_queries_asked_together_are_answered_as_one_by_one(video: Path) -> None:
    queries = ["a dog", "a cat jumps", "red"]
    together = ground_queries(video, queries, tiny_video_llm(BRIEF), PipelineConfig())
    for query, found in zip(queries, together, strict=True):
        (alone,) = ground_queries(video, [query], tiny_video_llm(BRIEF), PipelineConfig())
        assert [g.span for g in alone] == [g.span for g in found]
        assert [g.score for g in alone] == pytest.approx([g.score for g in found], rel=1e-3)


def counted_reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    reads: list[int] = []
    read = frame_features.read_frames
    monkeypatch.setattr(
        frame_features, "read_frames", lambda clip, pts, **how: reads.append(len(pts)) or read(clip, pts, **how)
    )
    return reads


def test_nobody_who_asks_nothing_is_answered(video: Path) -> None:
    assert tiny_video_llm(BRIEF).ground(open_video(video), []) == []


def test_a_second_question_decodes_nothing(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads, model = counted_reads(monkeypatch), tiny_video_llm(BRIEF)
    _, (first, second) = answer_questions(video, ["Who?", "What?"], model, PipelineConfig())
    assert reads == [12] and first.timing.decode_s > 0 and second.timing.decode_s == 0
    assert second.text == tiny_video_llm(BRIEF).answer(open_video(video), "What?").text


def test_a_second_run_finds_its_features_in_the_cache(
    video: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    reads = counted_reads(monkeypatch)
    first = tiny_video_llm(BRIEF, cache=FeatureCache(tmp_path)).ground(open_video(video), ["a dog"])
    assert tiny_video_llm(BRIEF, cache=FeatureCache(tmp_path)).ground(open_video(video), ["a dog"]) == first
    assert reads == [12]
    other = tiny_video_llm(BRIEF, cache=FeatureCache(tmp_path))
    next(other.model.vision_tower.parameters()).data += 1  # another tower sees other features
    other.ground(open_video(video), ["a dog"])
    assert reads == [12, 12]


def test_it_looks_as_densely_as_it_was_trained_unless_told(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = counted_reads(monkeypatch)
    tiny_video_llm(BRIEF, fps=3.0).ground(open_video(video), ["a dog"])
    tiny_video_llm(replace(BRIEF, fps=1.0)).ground(open_video(video), ["a dog"])
    tiny_video_llm(replace(BRIEF, max_frames=5)).ground(open_video(video), ["a dog"])
    ground_queries(video, ["a dog"], tiny_video_llm(BRIEF), PipelineConfig(sampling=SamplingConfig(max_frames=4)))
    assert reads == [18, 6, 5, 4]


def test_unlikely_spans_are_not_told(video: Path) -> None:
    model = tiny_video_llm(VideoLLMConfig(least_score=1.0))
    (answer,) = model.find(open_video(video), ["a dog"])
    assert answer.groundings == () and answer.text == "Nothing in this video seems to be that."


def test_a_part_too_short_for_a_span_has_none(video: Path) -> None:
    model = tiny_video_llm(BRIEF, codec={"name": "text"})
    assert model.ground(open_video(video, start=1.0, end=1.05), ["a dog"]) == [[]]


def test_the_fast_path_sees_the_same_part(video: Path) -> None:
    model = tiny_video_llm(BRIEF, fast_path=FAST)
    seen = model.encode_frames(model.sample_frames(open_video(video, start=2, end=5)))
    assert seen.motion is not None and seen.motion.frame_spans.shape == (12, 2)
    assert 2 <= seen.motion.tokens.spans.min() < 2.25 and seen.motion.tokens.spans.max() == 5
    assert model.ground(open_video(video), ["a dog"])[0]


def test_the_fast_path_takes_as_many_frames_as_it_does_from_the_processor(video: Path) -> None:
    model = tiny_video_llm(BRIEF, fast_path={**FAST, "max_frames": 7})
    motion = model.encode_frames(model.sample_frames(open_video(video))).motion
    (expected,) = model.processor.video_processor.seen(str(video))
    assert motion is not None and expected.fast is not None
    assert motion.frame_spans.tolist() == expected.fast.spans.tolist() and len(motion.frame_spans) == 7


def test_an_answer_may_be_held_against_one_without_the_video(video: Path) -> None:
    config = replace(BRIEF, generation=GenerateConfig(max_new_tokens=6, contrast=0.5))
    assert tiny_video_llm(config).answer(open_video(video), "What happens?").text


def test_the_probability_of_yes_is_one(video: Path) -> None:
    model = tiny_video_llm(replace(BRIEF, search=SpanSearch(count=1)))
    seen = model.encode_frames(model.sample_frames(open_video(video)))
    tokens = model.compress_tokens(model.encode_time(seen), seen)
    (yes, other) = model.probability_of_yes(model.build_prompt(["Is it a dog?", "Is it?"], tokens, seen))
    assert 0 < yes < 1 and 0 < other < 1 and yes != other


def test_an_answer_tells_what_was_read_and_which_frames_were_seen(video: Path) -> None:
    answer = tiny_video_llm(BRIEF).answer(open_video(video), "What happens?")
    assert "<|video|>" in answer.prompt and "What happens?" in answer.prompt and len(answer.frame_seconds) == 12
    (found,) = tiny_video_llm(BRIEF).find(open_video(video), ["a dog"])
    assert "a dog" in found.prompt and found.frame_seconds == answer.frame_seconds


def test_what_a_model_writes_after_a_request_is_told_to_the_character(video: Path) -> None:
    looks = SamplingConfig(at_seconds=(0.5, 2.0, 4.0))
    request = Request("Which one?", prefill="Best option:(")
    answer = tiny_video_llm(BRIEF).write(open_video(video), request, sampling=looks, max_new_tokens=3)
    assert answer.frame_seconds == pytest.approx((0.5, 2.0, 4.0), abs=0.05)
    assert answer.prompt.endswith("Best option:(") and answer.text
