"""What the model is told of a video: true seconds, and a place for every row."""

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForImageTextToText,
    AutoModelForMultimodalLM,
    AutoProcessor,
    AutoVideoProcessor,
)
from transformers.video_utils import VideoMetadata

from tests.video_llm.media.drawing import picture
from tests.video_llm.media.torture import ffmpeg
from tests.video_llm.models.test_modeling import FAST_PATH, POOL, told
from tests.video_llm.models.tiny import SIDE
from tests.video_llm.models.words import tiny_processor
from tvu.temporal.types import Span
from tvu.video_llm.models import register
from tvu.video_llm.models.modeling import TvuForConditionalGeneration
from tvu.video_llm.models.processing import TvuProcessor
from tvu.video_llm.models.video_processing import TvuVideoProcessor
from tvu.video_llm.types import FrameBatch

CONSTANT = list(range(60))
VARIABLE = [0, 1, 2, 3, 4, 5, 15, 16, 17, 25, 35, 36, 45, 55, 59]


def film(path: Path, tenths: Sequence[int]) -> Path:
    """A video whose pictures appear at these tenths of a second; what they show is the same at the same time."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"preset": "ultrafast", "bf": "0", "crf": "10"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for tenth in tenths:
            frame = av.VideoFrame.from_ndarray(picture(tenth, 64, 48), format="rgb24")
            frame.pts, frame.time_base = 100 * tenth, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def constant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("films") / "constant.mp4", CONSTANT)


@pytest.fixture(scope="module")
def variable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("films") / "variable.mp4", VARIABLE)


def asked(processor: TvuProcessor, video: Any, question: str = "When?", **processor_kwargs: Any) -> dict[str, Any]:
    turn = {"role": "user", "content": [{"type": "video", "video": video}, {"type": "text", "text": question}]}
    return processor.apply_chat_template(
        [turn], tokenize=True, return_dict=True, add_generation_prompt=True, processor_kwargs=processor_kwargs
    )


def read(processor: TvuProcessor, inputs: dict[str, Any]) -> str:
    return processor.decode(inputs["input_ids"][0]).replace("<|video|>", "#")


@pytest.mark.parametrize("codec", ["text", "vtg-llm", "lita"])
@pytest.mark.parametrize("telling", ["list", "groups"])
def test_the_same_content_at_constant_and_variable_rate_is_told_the_same_seconds(
    codec: str, telling: str, constant: Path, variable: Path
) -> None:
    _, processor = tiny_processor(codec={"name": codec}, tells_times=telling, reductions=[POOL])
    even, uneven = asked(processor, constant), asked(processor, variable)
    assert even["frame_spans"].tolist() == uneven["frame_spans"].tolist()
    assert even["frame_spans"][0].tolist() == [[0.5 + i, 1.5 + i] for i in range(5)] + [[5.5, 6.0]]
    assert read(processor, even) == read(processor, uneven)
    difference = even["pixel_values_videos"].int() - uneven["pixel_values_videos"].int()
    assert difference.abs().float().mean() < 3  # the same pictures, compressed twice


def test_a_prompt_holds_times_as_the_model_is_to_be_told() -> None:
    pixels, told = np.zeros((6, 3, SIDE, SIDE), np.uint8), {"pts_seconds": [np.arange(6) + 0.5], "spans": [Span(0, 6)]}

    def prompt_of(**fields: Any) -> str:
        _, processor = tiny_processor(reductions=[{"name": "pool", "frames": 2, "cells": 4}], **fields)
        return read(processor, asked(processor, pixels, **told))

    start, end = "<|im_start|>user\n<|video_start|>", "When?<|im_end|>\n<|im_start|>assistant\n"
    assert prompt_of(tells_times=None) == f"{start}###<|video_end|>\n{end}"
    listed = "The video contains 6 frames sampled at 0.5, 1.5, 2.5, 3.5, 4.5, 5.5 seconds.\n"
    assert prompt_of(tells_times="list") == f"{start}###<|video_end|>\n{listed}{end}"
    assert prompt_of(tells_times="groups") == f"{start}0.5s#2.5s#4.5s#<|video_end|>\n{end}"
    tokens = prompt_of(tells_times="groups", codec={"name": "lita"})
    assert tokens == f"{start}<t8>#<t41>#<t74>#<|video_end|>\n{end}"
    assert "<t8>#<t41>" not in prompt_of(tells_times="groups", codec={"name": "lita"}, times_in="seconds")


def test_to_the_model_a_part_is_a_video_of_its_own_and_answers_are_file_seconds(constant: Path) -> None:
    _, processor = tiny_processor()
    inputs = asked(processor, f"{constant}#t=1.2,4.2")
    assert inputs["frame_spans"][0].tolist() == [[1.7, 2.7], [2.7, 3.7], [3.7, 4.2]]
    assert "at 0.5, 1.5, 2.5 seconds" in read(processor, inputs)
    spans = processor.post_process_grounding(["0.5 - 1.5 seconds"], [3.0], [1.25])
    assert spans == [[Span(1.75, 2.75)]]


def test_a_file_that_starts_late_is_told_from_its_first_moment(constant: Path, tmp_path: Path) -> None:
    late = tmp_path / "late.ts"
    ffmpeg("-i", constant, "-c", "copy", "-output_ts_offset", "8.7", "-muxdelay", "0", late)
    _, processor = tiny_processor()
    on_time, delayed = asked(processor, constant), asked(processor, late)
    assert torch.equal(on_time["frame_spans"].round(decimals=3), delayed["frame_spans"].round(decimals=3))
    assert read(processor, on_time) == read(processor, delayed)


def test_a_picture_that_stays_is_looked_at_once(variable: Path) -> None:
    _, processor = tiny_processor(fps=10)
    starts = asked(processor, variable)["frame_spans"][0, :, 0]
    assert starts.tolist() == [tenth / 10 for tenth in VARIABLE]


def test_frames_and_arrays_with_their_times_are_as_good_as_the_file(constant: Path) -> None:
    _, processor = tiny_processor()
    (seen,) = processor.video_processor.seen(constant)
    pixels, pts_seconds = seen.frames.pixels, seen.frames.spans[:, 0]
    expected = asked(processor, constant)
    batch = FrameBatch(pixels[None], pts_seconds[None])
    for video, beside in ((batch, {}), (pixels, {"pts_seconds": [pts_seconds]})):
        inputs = asked(processor, video, spans=[Span(0, 6)], **beside)
        assert inputs.keys() == expected.keys()
        assert all(torch.equal(inputs[name], expected[name]) for name in inputs)


def test_frames_that_are_gone_when_the_part_begins_are_left_out() -> None:
    _, processor = tiny_processor()
    pixels = np.zeros((4, 3, SIDE, SIDE), np.uint8)
    (seen,) = processor.video_processor.seen(pixels, [[0.0, 1.0, 1.0, 2.0]], [Span(1.5, 3.0)])
    assert seen.frames.spans.tolist() == [[1.5, 2.0], [2.0, 3.0]]
    (seen,) = processor.video_processor.seen(pixels, [[0.0, 1.0, 1.5, 2.0]], [Span(1.5, 3.0)])
    assert seen.frames.spans.tolist() == [[1.5, 2.0], [2.0, 3.0]]


@pytest.mark.parametrize(
    ("beside", "says"),
    [
        ({}, "frames without times: give pts_seconds"),
        ({"pts_seconds": [[0, 1]]}, "and spans"),
        ({"pts_seconds": [[0, 1, 2]], "spans": [Span(0, 9)]}, "with .* times"),
        ({"pts_seconds": [[1, 0]], "spans": [Span(0, 9)]}, "times increase"),
        ({"pts_seconds": [[0, 1]], "spans": [Span(0, 1)]}, "before the end"),
        ({"video_metadata": VideoMetadata(total_num_frames=2, fps=25)}, "is not a time"),
        ({"do_sample_frames": False}, "is not a time"),
        ({"size": 3}, "does not know size"),
        ({"spans": []}, "0 spans for 1 videos"),
    ],
)
def test_a_time_is_never_assumed(beside: dict[str, Any], says: str) -> None:
    _, processor = tiny_processor()
    with pytest.raises(ValueError, match=says):
        asked(processor, np.zeros((2, 3, SIDE, SIDE), np.uint8), **beside)


@pytest.mark.parametrize("reduction", [POOL, {"name": "slow_fast"}, {"name": "keep_changed"}], ids=told)
@torch.no_grad()
def test_prompts_have_a_place_for_every_row(reduction: dict[str, Any]) -> None:
    config, processor = tiny_processor(reductions=[reduction])
    assert_in_a_batch_as_alone(TvuForConditionalGeneration(config).eval(), processor, 6, 2)


def assert_in_a_batch_as_alone(model: Any, processor: TvuProcessor, *num_frames: int) -> None:
    """Videos of noise, a frame each half second."""
    chance = np.random.default_rng(0)
    videos = [chance.integers(0, 256, (count, 3, SIDE, SIDE), np.uint8) for count in num_frames]
    told = {
        "pts_seconds": [np.arange(count) / 2 for count in num_frames],
        "spans": [Span(0, count / 2) for count in num_frames],
    }
    batch = processor(text=["<|video|>When?"] * len(videos), videos=videos, **told)
    assert batch["frame_counts"].tolist() == list(num_frames)
    for i, logits in enumerate(model(**batch).logits):
        one = {name: [values[i]] for name, values in told.items()}
        alone = model(**processor(text="<|video|>When?", videos=videos[i], **one)).logits[0]
        torch.testing.assert_close(logits[-len(alone) :], alone, rtol=1e-3, atol=1e-3)


@torch.no_grad()
def test_the_fast_path_looks_at_its_own_times_in_the_same_pass(constant: Path) -> None:
    config, processor = tiny_processor(fast_path=FAST_PATH | {"fps": 4.0, "side": 32}, reductions=[POOL])
    inputs = asked(processor, constant)
    assert inputs["pixel_values_videos"].shape == (1, 6, 3, SIDE, SIDE)
    assert inputs["fast_pixel_values_videos"].shape == (1, 24, 3, 32, 32)
    assert inputs["fast_frame_spans"][0, :3, 0].tolist() == [0.1, 0.3, 0.6]

    assert_in_a_batch_as_alone(TvuForConditionalGeneration(config).eval(), processor, 5, 9)


def test_text_alone_needs_no_video() -> None:
    _, processor = tiny_processor()
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    inputs = processor.apply_chat_template(turns, tokenize=True, return_dict=True)
    assert inputs.keys() == {"input_ids", "attention_mask"}
    expected = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n"
    assert processor.decode(inputs["input_ids"][0]) == expected


def test_marks_and_videos_must_be_as_many(constant: Path) -> None:
    _, processor = tiny_processor()
    with pytest.raises(ValueError, match="places for 2 videos, and 1 were given"):
        processor(text="<|video|> or <|video|>?", videos=constant)
    with pytest.raises(ValueError, match="takes text and videos"):
        processor(text="hello", images=[np.zeros((3, 8, 8))])


def test_a_question_may_name_the_marks_and_be_empty_or_in_any_script() -> None:
    config, processor = tiny_processor(tells_times=None)
    still = np.zeros((1, 3, SIDE, SIDE), np.uint8)
    for question in ("what is <|video|>?", "", "いつ? 🙂"):
        inputs = asked(processor, still, question, pts_seconds=[[0]], spans=[Span(0, 1)])
        assert inputs["input_ids"].eq(config.video_token_id).sum() == config.num_visual_tokens(1)
        assert read(processor, inputs).count(question.replace("<|", "< |"))


def test_code_that_a_folder_names_is_neither_run_nor_asked_about(tmp_path: Path) -> None:
    _, processor = tiny_processor()
    processor.save_pretrained(tmp_path)
    (tmp_path / "theirs.py").write_text("raise SystemExit('run')")
    told = json.loads((tmp_path / "tokenizer_config.json").read_text())
    told |= {"tokenizer_class": "Theirs", "auto_map": {"AutoTokenizer": ["theirs.Theirs", "theirs.Theirs"]}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(told))
    with pytest.raises(ValueError, match="trust_remote_code"):
        TvuProcessor.from_pretrained(tmp_path, trust_remote_code=True)


def test_seconds_stay_exact_in_half_precision(constant: Path) -> None:
    _, processor = tiny_processor()
    inputs = asked(processor, constant)
    assert inputs.to(torch.bfloat16)["frame_spans"].dtype == torch.float64


def test_answers_are_read_strictly_first_and_as_free_text_after() -> None:
    _, processor = tiny_processor(codec={"name": "lita"})
    answers = ["<t0> <t99>", "It happens from 2 to 4 seconds.", "Never."]
    assert processor.post_process_grounding(answers, [10.0] * 3) == [[Span(0, 10)], [Span(2, 4)], []]
    assert processor.read_answer(answers[2], 10.0).status.name == "NOTHING"


@torch.no_grad()
def test_auto_classes_load_what_was_saved(constant: Path, tmp_path: Path) -> None:
    config, processor = tiny_processor(tells_times="groups", reductions=[POOL])
    model = TvuForConditionalGeneration(config).eval()
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    assert register is not None
    again = AutoProcessor.from_pretrained(tmp_path)
    assert type(AutoConfig.from_pretrained(tmp_path)) is type(config)
    assert type(AutoVideoProcessor.from_pretrained(tmp_path)) is TvuVideoProcessor
    assert again.chat_template == processor.chat_template
    inputs, loaded = asked(processor, constant), asked(again, constant)
    assert all(torch.equal(inputs[name], loaded[name]) for name in inputs)
    expected = model(**inputs).logits
    for auto in (AutoModel, AutoModelForImageTextToText, AutoModelForMultimodalLM):
        assert torch.equal(auto.from_pretrained(tmp_path)(**loaded).logits, expected)
