"""NSVA cases through our aligner."""

from typing import Any

import torch
from torch import Tensor

from parity_runners.case import padding_of
from tvu.temporal.alignment.loss import (
    AlignmentSample,
    collate,
    positive_seconds,
    text_to_video_loss,
)
from tvu.temporal.alignment.nsva import BACKBONE_WIDTHS, NsvaAligner, NsvaConfig
from tvu.temporal.alignment.similarity import TEMPERATURE, best_frames, feature_similarity, mask_padding


def align(case: Any) -> dict[str, Tensor]:
    config, inputs = case.config, case.inputs
    aligner = NsvaAligner(
        NsvaConfig(
            feature_width=BACKBONE_WIDTHS[config["visual_backbone"]],
            width=config["d_model"],
            similarity_width=config["d_proj"],
            heads=config["nhead"],
            encoder_layers=config["enc_layers"],
            decoder_layers=config["dec_layers"],
        )
    )
    table = {"visual_pos_enc.pe": aligner.visual_pos_enc.pe}  # fixed, and so not always in the file
    aligner.load_state_dict(table | case.weights, strict=True)
    aligner.to(case.dtype).eval()

    padding = padding_of(case, "video"), padding_of(case, "text")
    features = inputs["video"], inputs["text"]
    vectors = aligner(*features, *padding, ordered=config.get("text_position", False))
    cosine = vectors.cosine()[-1]
    layers = vectors.cosine_across_batch() / TEMPERATURE
    answer = {
        "cosine": cosine,
        "logits_flat_layers": layers,
        "logits_flat_last": layers[-1],
        "seconds": best_frames(mask_padding(cosine / TEMPERATURE, *padding)),
        "raw_feature_seconds": best_frames(feature_similarity(*features, *padding)),
    }
    if "positives" in inputs:
        per_layer = text_to_video_loss(vectors, inputs["positives"].bool(), padding[0])
        answer |= {"loss_per_layer": per_layer, "loss": per_layer.mean()[None]}
    return answer


def targets_and_padding(case: Any) -> dict[str, Tensor]:
    inputs = case.inputs
    per_text = {name: tensor.split(case.config["texts"]) for name, tensor in inputs.items() if name != "video"}
    videos = inputs["video"].split(case.config["seconds"])
    alignable = per_text.get("alignable", [None] * len(videos))
    batch = collate(
        [
            AlignmentSample(video, text, positive_seconds(start, end, len(video)), signs)
            for video, text, start, end, signs in zip(
                videos, per_text["text"], per_text["start"], per_text["end"], alignable, strict=True
            )
        ]
    )
    return {name: tensor for name, tensor in vars(batch).items() if isinstance(tensor, torch.Tensor)}


RUNNERS = {"nsva.align": align, "nsva.targets_and_padding": targets_and_padding}
