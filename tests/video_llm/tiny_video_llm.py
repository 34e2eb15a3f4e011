"""A Video-LLM of a few thousand random weights that can be asked, and a video for it."""

from typing import Any

import torch

from tests.video_llm.models.words import tiny_processor
from tvu.video_llm.models.modeling import TvuForConditionalGeneration
from tvu.video_llm.models.processing import TvuProcessor
from tvu.video_llm.video_llm import VideoLLM, VideoLLMConfig

FORWARD_STORM = {"name": "storm", "layers": 1, "d_state": 4, "bidirectional": False}
POOL = {"name": "pool", "frames": 2, "cells": 2}


def tiny_parts(**fields: Any) -> tuple[TvuForConditionalGeneration, TvuProcessor]:
    torch.manual_seed(0)
    config, processor = tiny_processor(**{"codec": {"name": "lita"}, "reductions": [POOL], "fps": 2.0, **fields})
    return TvuForConditionalGeneration(config).eval(), processor


def tiny_video_llm(
    config: VideoLLMConfig | None = None, *, cache: Any = None, proposer: Any = None, **fields: Any
) -> VideoLLM:
    """It tells every span, however unlikely."""
    model, processor = tiny_parts(**fields)
    config = config or VideoLLMConfig(least_score=0.0)
    return VideoLLM("tiny", model, processor, config, cache=cache, proposer=proposer)
