"""TAN cases through our aligner and its text tower."""

from typing import Any

import torch
from torch import Tensor

from parity_runners.case import padding_of
from tvu.temporal.alignment.similarity import UnitVectors
from tvu.temporal.alignment.tan import TanConfig, TemporalAligner
from tvu.temporal.alignment.word_vectors import Word2VecText


def align(case: Any) -> dict[str, Tensor]:
    config, inputs = case.config, case.inputs
    video, text = inputs["video"], inputs["text"]
    aligner = TemporalAligner(
        TanConfig(
            encoder_layers=config["num_encoder_layers"],
            decoder_layers=config["num_decoder_layers"],
            text_width=text.shape[-1],
            pos_enc=config.get("pos_enc", "learned"),
            use_text_pos_enc=bool(config.get("use_text_pos_enc", False)),
            alignability_head="binary_head.weight" in case.weights,
        )
    )
    table = {"temporal_pos_embed": aligner.temporal_pos_embed}  # the fixed one is not always in the file
    aligner.load_state_dict(table | case.weights, strict=True)
    aligner.to(case.dtype).eval()

    rows = config.get("interpolate_from") or None
    video_rows, text_rows = rows if isinstance(rows, list) else (rows, None)
    output = aligner(
        video,
        text,
        padding_of(case, "video"),
        padding_of(case, "text"),
        interpolate_video_from=video_rows,
        interpolate_text_from=text_rows if isinstance(rows, list) else rows,
    )
    # The official per-video functions take no padding, and one number stretches the video's positions only.
    alone = aligner(video, text, interpolate_video_from=video_rows, interpolate_text_from=text_rows)
    answer = {
        "logits_dual": across(output.dual, *video.shape[:2]),
        "logits_joint": across(output.joint, *video.shape[:2]),
        "sim_dual": alone.dual.cosine().permute(1, 0, 3, 2),
        "sim_joint": alone.joint.cosine().permute(1, 0, 3, 2),
        "dual_feature_video": output.dual.video.transpose(0, 1),
        "dual_feature_text": output.dual.text[0],
    }
    if output.dual_alignability is not None:
        answer["dual_logits_alignability"] = output.dual_alignability[..., None]
        answer["joint_logits_alignability"] = output.joint_alignability.transpose(0, 1)[..., None]
        answer["alignability-dual"] = alone.dual_alignability[..., None]
        answer["alignability-joint"] = alone.joint_alignability.transpose(0, 1)[..., None]
    return answer


def across(vectors: UnitVectors, batch: int, frames: int) -> Tensor:
    """The official layout `[B, L, T, B, S]`: frames of each video against the texts of each."""
    logits = vectors.cosine_across_batch()
    return logits.unflatten(1, (batch, -1)).unflatten(3, (batch, frames)).permute(3, 0, 4, 1, 2)


def word2vec_text(case: Any) -> dict[str, Tensor]:
    config, ids = case.config, case.inputs["input_ids"]
    tower = Word2VecText(config["vocab"], config["word_dim"], config["hidden"], config["out"])
    tower.load_state_dict(case.weights, strict=True)
    tower.to(case.dtype).eval()
    return {
        "per_word": tower.each_word(ids),
        "pooled": tower(ids, case.inputs["attention_mask"].bool()),
        "pooled_without_mask": tower(ids, torch.ones_like(ids, dtype=torch.bool)),
    }


RUNNERS = {"tan.align": align, "tan.word2vec_text": word2vec_text}
