import pytest
import torch

from tests.video_llm.media.drawing import draw_video
from tests.video_llm.tiny_video_llm import tiny_video_llm
from tvu.video_llm.decode import open_video
from tvu.video_llm.generate import GenerateConfig, generate
from tvu.video_llm.models.new_tokens import VIDEO
from tvu.video_llm.prompt import (
    begins_with,
    build_prompt_without_video,
    prompt_of_batch,
    prompt_text,
    shared_beginning,
)
from tvu.video_llm.questions import captions_request, highlights_request, moment_question, presence_question
from tvu.video_llm.types import Prompt, Request
from tvu.video_llm.video_llm import VideoLLM


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return draw_video(tmp_path_factory.mktemp("prompt") / "a.mp4", num_frames=100, size=(64, 36))


def prompt_of(model: VideoLLM, video, *questions: str | Request) -> Prompt:
    seen = model.encode_frames(model.sample_frames(open_video(video)))
    return model.build_prompt(questions, model.compress_tokens(model.encode_time(seen), seen), seen)


@pytest.mark.parametrize("tells_times", ["list", "groups", None])
def test_a_prompt_is_what_the_processor_writes_about_the_same_file(video, tells_times) -> None:
    model = tiny_video_llm(tells_times=tells_times)
    prompt = prompt_of(model, video, "When?")
    turn = {"role": "user", "content": [{"type": "video", "video": str(video)}, {"type": "text", "text": "When?"}]}
    expected = model.processor.apply_chat_template([turn], tokenize=True, return_dict=True, add_generation_prompt=True)
    assert torch.equal(prompt.input_ids, expected["input_ids"])
    assert torch.equal(prompt.is_visual, expected["input_ids"] == model.tokenizer.convert_tokens_to_ids(VIDEO))


def test_what_the_model_sees_is_what_the_processor_prepares(video) -> None:
    model = tiny_video_llm(temporal={"name": "storm", "layers": 1, "d_state": 4})
    batch = model.processor.video_processor([str(video)])
    expected = model.model.visual_tokens(
        *(batch[name] for name in ("pixel_values_videos", "frame_spans", "frame_counts"))
    )
    seen = prompt_of(model, video, "When?").visual
    assert seen is not None and torch.equal(seen.spans, expected.spans)
    torch.testing.assert_close(seen.features, expected.features, atol=2e-2, rtol=1e-2)  # features are kept in float16


def test_all_questions_share_the_video_and_all_before_them(video) -> None:
    model = tiny_video_llm()
    prompt = prompt_of(model, video, "When?", "Who is it?")
    beginning = shared_beginning(prompt)
    assert prompt.lengths[0] < prompt.lengths[1] and begins_with(prompt, beginning)
    assert int(beginning.is_visual.sum()) == int(prompt.is_visual[0].sum()) == prompt.visual.features[0, ..., 0].numel()
    assert not begins_with(prompt_of(tiny_video_llm(fps=1.0), video, "When?"), beginning)


def test_without_the_video_the_question_stays() -> None:
    model = tiny_video_llm()
    blind = build_prompt_without_video(["Is it red?", "When?"], model.processor)
    assert not blind.is_visual.any() and blind.visual is None
    assert "Is it red?" in model.tokenizer.decode(blind.input_ids[0, : blind.lengths[0]])


def test_a_query_is_quoted_as_it_is_but_for_its_own_quotes_and_stop() -> None:
    assert moment_question(' the "best" dog jumps. ').startswith("When does \"the 'best' dog jumps\" happen")
    assert len({moment_question("x"), presence_question("x"), highlights_request("x"), captions_request()}) == 4


def test_an_answer_may_be_begun_after_a_system_turn(video) -> None:
    model = tiny_video_llm()
    prompt = prompt_of(model, video, Request("Which?", system="Watch.", prefill="Best option:("))
    text = prompt_text(prompt, model.processor)
    assert text.startswith(
        "<|im_start|>system\nWatch.<|im_end|>\n<|im_start|>user\n<|video_start|><|video|><|video_end|>"
    )
    assert text.endswith("Which?<|im_end|>\n<|im_start|>assistant\nBest option:(")


@pytest.mark.parametrize("with_motion", [False, True])
def test_a_batch_of_videos_is_answered_together_as_transformers_does(video, with_motion) -> None:
    network = {"layers": [1, 1, 1, 1], "is_bottleneck": False, "widths": [2, 2, 2, 4], "num_frames": 4}
    model = tiny_video_llm(fast_path={"network": network, "fps": 4.0, "side": 32} if with_motion else None)
    inputs = model.processor.apply_chat_template(
        [
            [{"role": "user", "content": [{"type": "video", "path": f"{video}#t={part}"}, {"type": "text", "text": q}]}]
            for part, q in (("0,3", "When?"), ("1,2", "What is it?"), ("0.5,2.5", "Who?"))
        ],
        tokenize=True,
        return_dict=True,
        add_generation_prompt=True,
    )
    told = generate(prompt_of_batch(inputs, model.model), model.language, model.tokenizer, GenerateConfig(8))
    expected = model.model.generate(**inputs, max_new_tokens=8, do_sample=False)[:, inputs["input_ids"].shape[1] :]
    assert [list(each.token_ids) for each in told] == [
        row[: len(each.token_ids)].tolist() for each, row in zip(told, expected, strict=True)
    ]


def test_a_prompt_with_two_videos_is_not_one_of_the_engine(video) -> None:
    model = tiny_video_llm()
    parts = [{"type": "video", "path": str(video)}, {"type": "video", "path": str(video)}]
    turns = [[{"role": "user", "content": parts}], [{"role": "user", "content": "And?"}]]
    inputs = model.processor.apply_chat_template(turns, tokenize=True, return_dict=True)
    with pytest.raises(ValueError, match="places for"):
        prompt_of_batch(inputs, model.model)
