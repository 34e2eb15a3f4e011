"""LITA: video tokens by layout, and their place in a prompt."""

import torch
from torch import Tensor, nn

from parity_runners.case import Case
from tvu.temporal.compress import compress_tokens
from tvu.temporal.reduction.slowfast import VIDEO_ARCHS, slow_fast
from tvu.temporal.types import VisualTokens
from tvu.video_llm.splice import rows_of, splice


def projected(case: Case) -> VisualTokens:
    """Every patch in the language model's width, as the official code reduces it."""
    projector = nn.Linear(case.config["channels"], case.config["width"], dtype=case.dtype)
    projector.load_state_dict({key: case.weights[f"model.mm_projector.{key}"] for key in ("weight", "bias")})
    features = projector(case.inputs["features"])
    spans = torch.arange(features.shape[1], dtype=torch.float64)[:, None] + torch.tensor([0.0, 1.0])
    return VisualTokens.from_frames(features, spans.expand(features.shape[0], -1, -1), (16, 16))


def video_tokens(case: Case) -> dict[str, Tensor]:
    tokens = projected(case)
    return {
        arch: compress_tokens(tokens, VIDEO_ARCHS[arch]).flatten().features.squeeze(2) for arch in case.config["archs"]
    }


def spliced(case: Case) -> dict[str, Tensor]:
    rows = rows_of(compress_tokens(projected(case), slow_fast()))
    ids = case.inputs["input_ids"]
    given: list[list[Tensor]] = []
    start = 0
    for count in (ids == -200).sum(dim=1).tolist():
        given.append(rows[start : start + count])
        start += max(count, 1)  # a text without a video still carries a dummy one
    embed = nn.Embedding(case.config["vocab"], case.config["width"], dtype=case.dtype)
    embed.load_state_dict({"weight": case.weights["model.embed_tokens.weight"]})
    prompt = splice(ids, embed, given, case.inputs.get("attention_mask"), case.inputs.get("labels"))
    outputs = {"inputs_embeds": prompt.embeddings, "attention_mask": prompt.attention_mask}
    return outputs if prompt.labels is None else {**outputs, "labels": prompt.labels}


RUNNERS = {"lita.video_tokens": video_tokens, "lita.splice": spliced}
