"""From a finished run to a checkpoint that answers: weights in half precision, scores calibrated on held-out scenes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from tvu.temporal.spans import iou
from tvu.temporal.types import Span
from tvu.video_llm.errors import TrainingError
from tvu.video_llm.lite.checkpoint import Calibration, save_lite, without_words
from tvu.video_llm.logistic import fit_logistic, logit
from tvu.video_llm.training.config import TrainConfig
from tvu.video_llm.training.loop import motion_network

BETTER = 0.15  # more right answers than by chance make them worth reading
RIDGE = 1e-2  # keeps the fit finite where scores separate all


def export_lite(config: TrainConfig, folder: Path) -> str:
    """Writes the run of `config.out` into `folder`; returns what was written, in words. What stages "head" and "judge"
    train becomes a model that does not read.

    Raises TrainingError where there is no run, or `folder` holds something.
    """
    out = Path(config.out)
    if not (out / "model.safetensors").exists():
        raise TrainingError(f"{out} holds no trained model", hint='train it first, with stage = "lite"')
    check_export(config, folder)
    calibration, scores = Calibration(), dict[str, Any]()
    if (out / "held_out.jsonl").exists():
        lines = (out / "held_out.jsonl").read_text("utf-8").splitlines()
        calibration = calibrated([json.loads(line) for line in lines])
        scores = json.loads((out / "held_out.json").read_text("utf-8"))
    progress = json.loads((out / "progress.json").read_text("utf-8"))
    card = {
        "steps": progress["step"],
        "seconds": progress["seconds"],
        "seed": config.seed,
        "writes": config.trains_language and is_better_than_chance(scores, "captions"),
        "explains": config.trains_language and is_better_than_chance(scores, "what_next"),
        "right_about_next": scores.get("all", {}).get("what_next"),
        "judges": config.model.judges and is_better_than_chance(scores, "choice"),
        "held_out": scores,
    }
    trained, model = load_file(out / "model.safetensors"), config.model
    if not config.trains_language:
        model = replace(model, reads=False)
        trained = without_words(trained)
    motion = motion_network(config, torch.device("cpu")).state_dict()
    save_lite(folder, model, trained, motion, calibration, card)
    files = sorted(folder.iterdir())
    size = sum(file.stat().st_size for file in files) / 1e6
    return f"{folder}: {len(files)} files, {size:.1f} MB"


def is_better_than_chance(scores: Mapping[str, Any], kind: str) -> bool:
    """Whether a model's answers of a kind about held-out scenes are worth reading; True where nothing is known."""
    of_all = scores.get("all", {})
    return kind not in of_all or of_all[kind] - of_all[f"{kind}_chance"] >= BETTER


def check_export(config: TrainConfig, folder: Path) -> None:
    """Raises TrainingError where `config` makes no model to write, or `folder` is a file or holds something."""
    if config.stage == "motion":
        raise TrainingError("the motion network alone answers nothing", hint="export what another stage makes with it")
    if not config.trains_language and not config.model.has_prior:
        raise TrainingError("a head that is not told what questions mean answers none", hint="has_prior = true")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise TrainingError(f"{folder} is not an empty folder", hint="name another folder")


def calibrated(predicted: Sequence[Mapping[str, Any]]) -> Calibration:
    """Logistic fits: is what was asked for there at all, and if so, is the best span right at an IoU of 0.5.

    One fit of both at once would hardly heed presence, which scores of spans go along with on generated scenes; on real
    videos they do so less.
    """
    spans, right, presence, there = [], [], [], []
    for each in predicted:
        sample = each["sample"]
        if sample["is_present"] is None:
            continue
        sure = logit(each["present"])
        presence.append([sure])
        there.append(float(sample["is_present"]))
        if each["spans"] and sample["is_present"]:
            start, end, score = each["spans"][0]
            truth = [Span(span["start_seconds"], span["end_seconds"]) for span in sample["spans"]]
            best = max((iou(Span(start, end), span) for span in truth), default=0.0)
            spans.append([logit(score)])
            right.append(float(best >= 0.5))
    if not spans or len(set(right)) < 2 or len(set(there)) < 2:
        return Calibration()
    a, b = (float(w) for w in fit_logistic(np.array(spans), np.array(right), ridge=RIDGE))
    d, e = (float(w) for w in fit_logistic(np.array(presence), np.array(there), ridge=RIDGE))
    return Calibration((a, b), (d, e))
