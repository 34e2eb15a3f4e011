"""Build the prompt: what a Video-LLM of ours is asked, around what it sees."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from tvu.temporal.types import VisualTokens
from tvu.video_llm.models.new_tokens import VIDEO
from tvu.video_llm.models.video_processing import VIDEO_INPUTS, SeenVideo, TimedFrames
from tvu.video_llm.splice import rows_of
from tvu.video_llm.types import Prompt, Request

if TYPE_CHECKING:
    from tvu.video_llm.frame_features import Seen
    from tvu.video_llm.models.modeling import TvuForConditionalGeneration
    from tvu.video_llm.models.processing import TvuProcessor

NO_PIXELS = np.empty((0, 3, 1, 1), np.uint8)  # a prompt holds times and places, the pixels have become tokens


def build_prompt(
    questions: Sequence[str | Request], tokens: VisualTokens, seen: "Seen", processor: "TvuProcessor"
) -> Prompt:
    """One prompt for each question, all of them about the same video, in the model's own form of a conversation.

    questions: a text alone is the user's turn.
    tokens: what the model gets of the video, at the width of its language model.
    seen:   what they were made of; the times that the model is told are those of its frames.
    """
    fast = None if seen.motion is None else TimedFrames(NO_PIXELS, seen.motion.frame_spans.numpy())
    video = SeenVideo(seen.part, TimedFrames(NO_PIXELS, seen.tokens.spans[0].cpu().numpy()), fast)
    return _prompt([_conversation(question, processor, video) for question in questions], processor, tokens)


def build_prompt_without_video(questions: Sequence[str | Request], processor: "TvuProcessor") -> Prompt:
    """The same questions without a video: what context-aware decoding holds against them."""
    return _prompt([_conversation(question, processor) for question in questions], processor)


def prompt_of_batch(inputs: Mapping[str, Tensor], model: "TvuForConditionalGeneration") -> Prompt:
    """What a processor prepared, as the engine takes it: a batch of videos, a question about each, answered together.

    inputs: of `TvuProcessor`, on the device of the model; a video in every prompt, or in none.
    Raises ValueError where prompts have places for another number of visual tokens than their videos have.
    """
    visual = None
    if "pixel_values_videos" in inputs:
        pixels, spans, counts, *fast = (cast(Any, inputs.get(name)) for name in VIDEO_INPUTS)
        with torch.inference_mode():
            motion = None if fast[0] is None else (fast[0], fast[1], fast[2])
            visual = model.visual_tokens(pixels, spans, counts, motion)
    rows = [
        ids[is_real.bool()].cpu() for ids, is_real in zip(inputs["input_ids"], inputs["attention_mask"], strict=True)
    ]
    prompt = _prompt_of_rows(rows, model.config.video_token_id, visual)
    sizes = [0] * len(rows) if visual is None else [len(tokens) for tokens in rows_of(visual)]
    if prompt.is_visual.sum(dim=1).tolist() != sizes:
        raise ValueError(f"prompts have places for {prompt.is_visual.sum(dim=1).tolist()} visual tokens, not {sizes}")
    return prompt


def shared_beginning(prompt: Prompt) -> Prompt:
    """What all rows of a prompt begin with, as a prompt of one row."""
    ids = prompt.input_ids[:, : int(prompt.lengths.min())]
    length = int((ids == ids[:1]).all(dim=0).long().cumprod(dim=0).sum())
    return Prompt(ids[:1, :length], prompt.is_visual[:1, :length], torch.tensor([length]), prompt.visual)


def begins_with(prompt: Prompt, beginning: Prompt) -> bool:
    """Whether every row of `prompt` begins with the one row of `beginning`, and goes on."""
    length = int(beginning.lengths[0])
    goes_on = bool((prompt.lengths > length).all())
    return goes_on and bool((prompt.input_ids[:, :length] == beginning.input_ids).all())


def prompt_text(prompt: Prompt, processor: "TvuProcessor") -> str:
    """The first row of a prompt as it is read, with one `<|video|>` for each run of visual tokens."""
    text: str = processor.tokenizer.decode(prompt.input_ids[0, : int(prompt.lengths[0])])
    return re.sub(f"(?:{re.escape(VIDEO)})+", VIDEO, text)


def _conversation(question: str | Request, processor: "TvuProcessor", video: SeenVideo | None = None) -> str:
    request = Request(question) if isinstance(question, str) else question
    turns: list[Any] = []
    if request.system:
        turns.append({"role": "system", "content": [{"type": "text", "text": request.system}]})
    parts = [*([] if video is None else [{"type": "video"}]), {"type": "text", "text": request.user}]
    turns.append({"role": "user", "content": parts})
    if request.prefill:
        turns.append({"role": "assistant", "content": [{"type": "text", "text": request.prefill}]})
    text: str = processor.apply_chat_template(
        turns,
        tokenize=False,
        add_generation_prompt=not request.prefill,
        continue_final_message=bool(request.prefill),
    )
    return text if video is None else text.replace(VIDEO, processor.video_text(video), 1)


def _prompt(texts: Sequence[str], processor: "TvuProcessor", visual: VisualTokens | None = None) -> Prompt:
    tokenizer = processor.tokenizer
    starts = bool(tokenizer.bos_token) and texts[0].startswith(tokenizer.bos_token)
    rows = [torch.tensor(ids) for ids in tokenizer(list(texts), add_special_tokens=not starts).input_ids]
    return _prompt_of_rows(rows, tokenizer.convert_tokens_to_ids(VIDEO), visual)


def _prompt_of_rows(rows: Sequence[Tensor], video_token_id: int | None, visual: VisualTokens | None) -> Prompt:
    """Rows of ids `[L]`, padded on the right."""
    input_ids = pad_sequence(list(rows), batch_first=True)
    lengths = torch.tensor([len(row) for row in rows])
    is_real = torch.arange(input_ids.shape[1]) < lengths[:, None]
    return Prompt(input_ids, is_real & (input_ids == video_token_id), lengths, visual)
