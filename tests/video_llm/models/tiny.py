"""Models of a few thousand random weights, and videos that fit them."""

from typing import Any

import torch
from torch import Tensor

from tvu.video_llm.models.configuration import TvuConfig
from tvu.video_llm.models.modeling import TvuForConditionalGeneration

VIDEO_ID, VOCABULARY, SIDE = 99, 100, 8

VISION = {
    "name": "siglip_vision_model",
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": SIDE,
    "patch_size": 2,
}


def text_config(model_type: str = "llama", **fields: Any) -> dict[str, Any]:
    return {
        "model_type": model_type,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 64,
        "vocab_size": VOCABULARY,
        "initializer_range": 0.2,  # so that answers differ
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": None,
        **fields,
    }


def tiny_config(**fields: Any) -> TvuConfig:
    """A grid of 4 x 4 tokens of 16 channels before a language model of width 32."""
    return TvuConfig(**{"vision_config": VISION, "text_config": text_config(), "video_token_id": VIDEO_ID, **fields})


def tiny_model(**fields: Any) -> TvuForConditionalGeneration:
    torch.manual_seed(0)
    return TvuForConditionalGeneration(tiny_config(**fields)).eval()


def frames(num_frames: int, seed: int = 0, side: int = SIDE) -> Tensor:
    """uint8 `[1, T, 3, side, side]`."""
    chance = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (1, num_frames, 3, side, side), dtype=torch.uint8, generator=chance)


def seconds(num_frames: int, each: float = 1.0) -> Tensor:
    """float64 `[1, T, 2]`: frames that follow each other."""
    edges = torch.arange(num_frames + 1, dtype=torch.float64) * each
    return torch.stack([edges[:-1], edges[1:]], dim=-1)[None]


def prompt(rows: int, *text: int) -> Tensor:
    """`[1, L]`: two tokens, the places of a video, and the text."""
    return torch.tensor([[5, 6, *[VIDEO_ID] * rows, *(text or (7, 8, 9))]])


def question(model: TvuForConditionalGeneration, num_frames: int, seed: int = 0) -> dict[str, Tensor]:
    """The inputs of one question about one video."""
    input_ids = prompt(model.num_visual_tokens(num_frames))
    return {
        "input_ids": input_ids,
        "attention_mask": torch.ones_like(input_ids),
        "pixel_values_videos": frames(num_frames, seed),
        "frame_spans": seconds(num_frames),
        "frame_counts": torch.tensor([num_frames]),
    }


def together(*questions: dict[str, Tensor]) -> dict[str, Tensor]:
    """Several questions as one batch: prompts padded on the left, videos with noise after their end."""
    length = max(each["input_ids"].shape[1] for each in questions)
    most = max(each["pixel_values_videos"].shape[1] for each in questions)

    def left(x: Tensor) -> Tensor:
        return torch.nn.functional.pad(x, (length - x.shape[1], 0))

    noise = [torch.cat([q["pixel_values_videos"], frames(most, 99)], 1)[:, :most] for q in questions]
    spans = [torch.cat([q["frame_spans"], q["frame_spans"].new_zeros(1, most, 2)], 1)[:, :most] for q in questions]
    return {
        "input_ids": torch.cat([left(each["input_ids"]) for each in questions]),
        "attention_mask": torch.cat([left(each["attention_mask"]) for each in questions]),
        "pixel_values_videos": torch.cat(noise),
        "frame_spans": torch.cat(spans),
        "frame_counts": torch.cat([each["frame_counts"] for each in questions]),
    }
