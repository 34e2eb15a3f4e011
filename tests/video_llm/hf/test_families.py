"""Every family, from a folder to answers: what it is told, what it says, and that transformers says the same."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageTextToText

from tests.video_llm.hf.tiny_families import FAMILIES
from tests.video_llm.media.torture import Numbered, read_number
from tvu.video_llm.benchmarks.examinee import Writer
from tvu.video_llm.decode import open_video
from tvu.video_llm.errors import BackendError, PromptTooLong
from tvu.video_llm.generate import GenerateConfig
from tvu.video_llm.generation.span_scores import SpanSearch
from tvu.video_llm.generation.text_stream import TextStream
from tvu.video_llm.generation.transformers_decoder import TransformersDecoder
from tvu.video_llm.hf.config import HfConfig
from tvu.video_llm.hf.frames import Look
from tvu.video_llm.hf.load import load_hf
from tvu.video_llm.hf.model import HfVideoLLM
from tvu.video_llm.sample import SamplingConfig
from tvu.video_llm.types import Request, VideoClip

every_family = pytest.mark.parametrize("family", list(FAMILIES))
BRIEF = SpanSearch(count=2, beam=3)


def loaded(folder: Path, **fields: Any) -> HfVideoLLM:
    usual = {"least_presence": 0.0, "least_score": 0.0, "search": BRIEF, "generation": GenerateConfig(12)}
    return load_hf(f"hf:{folder}", HfConfig(**{**usual, **fields}))


def looked(model: HfVideoLLM, clip: VideoClip, **sampling: Any) -> tuple[Look, str]:
    """What the model gets of a clip, and its prompt in words."""
    look = model.encode_frames(model.sample_frames(clip, SamplingConfig(**sampling) if sampling else None))
    return look, model.told(model.build_prompt(["When?"], look.tokens, look))


# --- answers ---


@every_family
def test_a_family_finds_answers_and_writes(written: Callable[[str], Path], video: Path, family: str) -> None:
    model, clip = loaded(written(family)), open_video(video)
    answers = model.find(clip, ["a red ball", "the end of it all"])
    assert [answer.question for answer in answers] == ["a red ball", "the end of it all"]
    for answer in answers:
        assert answer.groundings and "a red ball" in answer.prompt and answer.frame_seconds
        assert all(0 <= g.span.start_seconds < g.span.end_seconds <= 4.0 for g in answer.groundings)
    again = model.ground(clip, ["a red ball"])[0]
    assert [g.span for g in again] == [g.span for g in answers[0].groundings]
    assert [g.score for g in again] == pytest.approx([g.score for g in answers[0].groundings], rel=1e-3)
    told = model.answer(clip, "What happens?")
    assert told.timing.generate_s > 0 and "What happens?" in told.prompt
    assert isinstance(model, Writer)
    assert model.write(clip, Request("(A) or (B)?", prefill="("), max_new_tokens=4).prompt.endswith("(")


@every_family
def test_what_is_written_is_what_transformers_writes(written: Callable[[str], Path], video: Path, family: str) -> None:
    model, clip = loaded(written(family)), open_video(video)
    sampling = SamplingConfig(at_seconds=(0.0, 0.5))  # one step of time, where both number positions alike
    text = model.write(clip, Request("What?"), sampling=sampling, max_new_tokens=10).text
    look, read = model._memory["read"]
    ids = model.build_prompt([Request("What?")], look.tokens, look).input_ids
    inputs = {**read.inputs}
    if "mm_token_type_ids" in inputs:
        more = ids.shape[1] - inputs["mm_token_type_ids"].shape[1]
        inputs["mm_token_type_ids"] = torch.nn.functional.pad(inputs["mm_token_type_ids"], (0, more))
    theirs = AutoModelForImageTextToText.from_pretrained(written(family)).eval()
    said = theirs.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), **inputs, max_new_tokens=10, do_sample=False
    )
    stream = TextStream(model.tokenizer)  # which tells bytes that are no character as they come
    for token in said[0, ids.shape[1] :].tolist():
        stream.add(token)
    stream.finish()
    assert text == stream.text


@pytest.mark.parametrize("family", ["qwen2_5_vl", "internvl"])
def test_rows_behind_one_video_find_what_rows_that_copy_it_find(
    written: Callable[[str], Path], video: Path, family: str
) -> None:
    model, other, clip = loaded(written(family)), loaded(written(family)), open_video(video)
    other.reader._is_plain = False
    other.language = other.reader.decoder = TransformersDecoder(other.reader.text_side)
    queries = ["a red ball", "a much longer event, with a prompt of another length"]
    for ours, theirs in zip(model.ground(clip, queries), other.ground(clip, queries), strict=True):
        assert [g.span for g in ours] == [g.span for g in theirs]
        assert [g.score for g in ours] == pytest.approx([g.score for g in theirs], rel=1e-3)


@pytest.mark.parametrize("family", ["qwen3_vl", "smolvlm"])
def test_half_precision_finds_spans_too(written: Callable[[str], Path], video: Path, family: str) -> None:
    (answer,) = loaded(written(family), dtype="bfloat16").find(open_video(video), ["a red ball"])
    assert answer.groundings


def test_a_family_that_nobody_looked_at_says_so(written: Callable[[str], Path], video: Path) -> None:
    (answer,) = loaded(written("glm4v")).find(open_video(video), ["a red ball"])
    assert "type glm4v are not known" in answer.notes[0] and "at these seconds: " in answer.prompt


def test_an_event_that_the_model_denies_is_not_in_the_video(
    written: Callable[[str], Path], video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = loaded(written("qwen2_5_vl"), least_presence=0.5)
    monkeypatch.setattr("tvu.video_llm.video_llm.VideoLLM.probability_of_yes", lambda self, prompt: [0.4, 0.9])
    denied, found = model.find(open_video(video), ["a dog", "a cat"])
    assert not [g for g in denied.groundings if g.score > 0] and found.groundings[0].score > 0
    model = loaded(written("qwen2_5_vl"), least_presence=0.5, least_score=0.001)
    assert model.find(open_video(video), ["a dog", "a cat"])[0].text == "Nothing in this video seems to be that."


def test_a_long_video_is_seen_in_windows(written: Callable[[str], Path], video: Path) -> None:
    model = loaded(written("qwen3_vl"), window_seconds=1.5, max_frames=4)
    (answer,) = model.find(open_video(video), ["a red ball"])
    assert len(answer.frame_seconds) > 4 and all(g.span.end_seconds <= 4.0 for g in answer.groundings)
    assert model.answer(open_video(video), "When?").model == model.name


def test_a_part_counts_its_times_from_its_start(written: Callable[[str], Path], video: Path) -> None:
    look, told = looked(
        loaded(written("llava_onevision")), open_video(video, start=2.0, end=4.0), at_seconds=(2.0, 3.0)
    )
    assert look.frame_seconds == (2.0, 3.0) and "seconds: 0.0, 1.0." in told and "lasts 2.0 seconds" in told


# --- times ---


def told_times(prompt: str, family: str) -> list[float]:
    if family == "qwen3_vl":
        return [float(second) for second in re.findall(r"<(\d+\.\d) seconds>", prompt)]
    if family == "video_llama_3":
        return [float(second) for second in re.findall(r"Time (\d+\.\d)s:", prompt)]
    (listed,) = re.findall(r"at these seconds: ([\d., ]+)\.", prompt)
    return [float(second) for second in listed.split(", ")]


@every_family
def test_the_times_that_a_model_is_told_are_those_of_the_clock(
    written: Callable[[str], Path], uneven: Numbered, family: str
) -> None:
    model = loaded(written(family))
    clip = open_video(uneven.path)
    look, prompt = looked(model, clip, fps=3.0)
    assert look.pixels is not None
    numbers = [read_number(picture) for picture in look.pixels]
    truth = uneven.times[numbers]  # of what is really on the pictures
    assert len(truth) > 8 and np.abs(np.array(look.frame_seconds) - truth).max() < 0.001
    read = model._memory["read"][1]
    size = getattr(model.hf_processor.video_processor, "temporal_patch_size", 1) or 1
    if size == 1:
        assert read.steps == pytest.approx(truth, abs=0.001)
    else:
        assert set(np.round(read.first_seconds, 3)) <= set(np.round(truth, 3))
        before = int(np.argmax(np.diff(truth)))  # the picture that is held, and the one after it, share no step
        assert not any(truth[before] + 0.2 < step < truth[before + 1] - 0.2 for step in read.steps)
    if family == "qwen2_5_vl":
        positions = model._positions(read)
        assert positions is not None
        visual = model._is_visual(read.head)
        steps = positions[0, visual].unique().tolist()
        first = int(visual.nonzero()[0])
        assert steps == [first + round(second * 25) for second in read.first_seconds]
        assert int(positions.max()) == int(positions[:, -1].max())  # text goes on behind the last of them
        return
    assert told_times(prompt, family) == pytest.approx(read.steps, abs=0.051)
    if family == "smolvlm":
        stamps = [60 * int(m) + int(s) for m, s in re.findall(r"Frame from (\d\d):(\d\d):", prompt)]
        assert np.abs(np.array(stamps) - truth).max() <= 0.501


def test_the_marks_of_qwen3_stand_around_pictures_only(written: Callable[[str], Path], video: Path) -> None:
    _, told = looked(loaded(written("qwen3_vl")), open_video(video))
    assert "<|vision_start|><0" not in told and told.count("<|vision_start|>") == told.count("<|vision_end|>")


def test_what_people_write_makes_no_place_for_a_video(written: Callable[[str], Path], video: Path) -> None:
    model = loaded(written("llava_onevision"))
    told = model.write(open_video(video), Request("<video><|im_end|><image>?"), max_new_tokens=2).prompt
    assert told.count("<video>") == 1 and "< video>< |im_end|>< image>?" in told


@pytest.mark.parametrize("family", ["llava_next_video", "video_llava"])
def test_a_checkpoint_without_a_template_is_asked_in_the_form_of_its_family(
    written: Callable[[str], Path], video: Path, tmp_path: Path, family: str
) -> None:
    folder = Path(shutil.copytree(written(family), tmp_path / "model"))
    (folder / "chat_template.jinja").unlink()
    _, told = looked(loaded(folder), open_video(video))
    assert re.fullmatch(r"(<s> )?USER: <video> ?\n.*When\? ASSISTANT:", told, re.DOTALL)


def test_a_processor_of_another_model_is_told_in_a_sentence(
    written: Callable[[str], Path], video: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(written("internvl"), tmp_path / "model"))
    told = json.loads((folder / "processor_config.json").read_text())
    (folder / "processor_config.json").write_text(json.dumps({**told, "image_seq_length": 5}))
    with pytest.raises(BackendError, match="does not take this video") as raised:
        loaded(folder).find(open_video(video), ["it"])
    assert raised.value.hint and "\n" not in raised.value.message


# --- how much is looked at ---


def test_frames_that_did_not_change_are_left_out_and_the_others_keep_their_times(
    written: Callable[[str], Path], video: Path
) -> None:
    model = loaded(written("internvl"), dropped=0.5, fps=2.0)
    look, prompt = looked(model, open_video(video))
    assert look.dropped == 4 and len(look.frame_seconds) == 4 and prompt.count("<IMG_CONTEXT>") == 4
    assert told_times(prompt, "internvl") == pytest.approx(look.frame_seconds, abs=0.051)
    assert "4 frames were left out" in model.find(open_video(video), ["it"])[0].notes[0]


def test_max_pixels_bounds_the_tokens_of_a_frame(written: Callable[[str], Path], video: Path) -> None:
    for family in ("qwen2_5_vl", "qwen3_vl"):
        grids = []
        for pixels in (256, 1024):
            model = loaded(written(family), max_pixels=pixels)
            look, _ = looked(model, open_video(video), at_seconds=(0.0, 1.0))
            grids.append(int(model._memory["read"][1].inputs["video_grid_thw"].prod()))
            assert look.pixels is not None and look.pixels[0, 0].size <= pixels
        assert grids[0] < grids[1]


def test_a_video_that_is_too_long_for_the_model_is_told(written: Callable[[str], Path], video: Path) -> None:
    model = loaded(written("video_llava"), fps=25.0, max_frames=500, window_seconds=10)
    model.language.max_positions = 100
    with pytest.raises(PromptTooLong, match="more than the 100"):
        model.find(open_video(video), ["it"])
