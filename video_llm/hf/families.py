"""What each family of models needs to be told, and how it learns when a frame is."""

from dataclasses import dataclass
from typing import Literal

Times = Literal["stamps", "whole stamps", "positions", "text"]
"""How a model learns the time of a frame.

`stamps`:       its processor writes seconds with one decimal before each frame, from the metadata that we give.
`whole stamps`: the same in whole seconds, so they are rounded, not cut, and the exact times follow in the text.
`positions`:    the temporal position of a frame in the rotary embedding is its time.
`text`:         it has no input for times: they are told in the text after the video.
"""


@dataclass(frozen=True)
class Family:
    """One kind of model.

    times:       how it learns when a frame is.
    patch_frames: frames that its vision tower merges into one step of time.
    rotary:      whether text after a video continues behind its largest position in time, height and width
                 (M-RoPE: Wang et al. 2024, arXiv 2409.12191, section 2.1); otherwise positions are counted.
    fps, max_frames: how densely it looks where nothing else is asked: its published rate, and as many frames as leave
                 room for text. max_pixels: of a picture, where it takes pictures of any size.
    pixels_of:   whether the sizes that its processor is told are of a picture or of a whole video.
    bare_mark:   whether its processor puts the marks of a picture around every step itself, so that those which the
                 template puts around the whole video would be marks around marks.
    template:    the form of a conversation, for checkpoints that bring none.
    """

    times: Times = "text"
    patch_frames: int = 1
    rotary: bool = False
    fps: float = 1.0
    max_frames: int = 32
    max_pixels: int | None = None
    pixels_of: Literal["frame", "video"] | None = None
    bare_mark: bool = False
    template: str | None = None


_VICUNA = (
    "{% for message in messages %}{{ message['role'].upper() + ': ' }}{% for part in message['content'] %}"
    "{{ '<video>\n' if part['type'] == 'video' else part['text'] }}{% endfor %}{{ ' ' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
"""The conversations of LLaVA's Vicuna models, as the published prompts of its video models are."""

_PATCH = 28 * 28  # pixels of one token of Qwen2-VL, both sides of 14 merged in twos

FAMILIES: dict[str, Family] = {
    # One position a merged pair of frames, without seconds.
    "qwen2_vl": Family("text", 2, True, 2.0, 128, 160 * _PATCH, "frame"),
    "qwen2_5_vl": Family("positions", 2, True, 2.0, 128, 160 * _PATCH, "frame"),
    # `<1.5 seconds>` before each merged pair: the mean of its two times.
    "qwen3_vl": Family("stamps", 2, True, 2.0, 128, 160 * 32 * 32, "video", True),
    "qwen3_vl_moe": Family("stamps", 2, True, 2.0, 128, 160 * 32 * 32, "video", True),
    "llava_onevision": Family("text", fps=1.0, max_frames=32),
    "llava_next_video": Family("text", fps=1.0, max_frames=24, template=_VICUNA),
    "video_llava": Family("text", fps=1.0, max_frames=8, template=_VICUNA),
    # `Frame1:` before each frame.
    "internvl": Family("text", fps=1.0, max_frames=24),
    # `Frame from 00:07:` before each frame.
    "smolvlm": Family("whole stamps", fps=1.0, max_frames=64),
    # `Time 1.5s:` before each frame.
    "video_llama_3": Family("stamps", fps=1.0, max_frames=96, max_pixels=160 * _PATCH),
}
"""By `model_type`. Those that are missing here are told times in the text, and compute their positions themselves."""


def family_of(model_type: str) -> Family:
    """The family, or what is assumed of one that nobody looked at."""
    return FAMILIES.get(model_type, Family())
