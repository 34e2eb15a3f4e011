"""Files of the published narration aligners to models: `NSVA_narration.pth`, `NSVA_step.pth`, and TAN's `.pth.tar`.

No machine that this was written on could reach the released files. The names of parameters are read from the official
code, of which model and trainer disagree, so every spelling that either of them writes is tried; what a file did and
did not hold comes back with the model.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from torch import Tensor, nn

from tvu.temporal.alignment.nsva import NsvaAligner, NsvaConfig
from tvu.temporal.alignment.tan import TanConfig, TemporalAligner
from tvu.temporal.alignment.word_vectors import Word2VecText
from tvu.temporal.checkpoint_keys import KeyReport, load_matching
from tvu.video_llm.word_tokens import WordTokenizer
from tvu.weights.checkpoints import read_checkpoint
from tvu.weights.errors import WeightsError

Model = TypeVar("Model", bound=nn.Module)


@dataclass(frozen=True)
class LoadedAligner(Generic[Model]):
    """model: in evaluation mode, on the CPU. report: what became of the keys of its file."""

    model: Model
    report: KeyReport


def load_nsva(path: str | Path, heads: int = 8) -> LoadedAligner[NsvaAligner]:
    """NSVA from a file; widths and layers are read from the shapes in it, `heads` cannot be.

    Whether texts are ordered is told to `NsvaAligner.align`: they are for `NSVA_narration.pth`, and are not for
    `NSVA_step.pth`.
    Raises WeightsError if the file cannot be read, or is not of an NSVA.
    """
    state, prefix = _bare(read_checkpoint(path), "visual_proj.0.weight", path)
    rows = {"visual_pos_enc.pe": 5000, "text_pos_enc.weight": 1024}
    max_frames, max_texts = (state[key].shape[-2] if key in state else usual for key, usual in rows.items())
    try:
        config = NsvaConfig(
            feature_width=state["visual_proj.0.weight"].shape[1],
            width=state["visual_proj.0.weight"].shape[0],
            similarity_width=state["v_sim_proj.weight"].shape[0],
            heads=heads,
            encoder_layers=_layers(state, "visual_encoder.layers"),
            decoder_layers=_layers(state, "decoder.layers"),
            feedforward=len(state["decoder.layers.0.linear1.weight"]),
            max_frames=max_frames,
            max_texts=max_texts,
        )
    except (KeyError, IndexError, ValueError) as error:
        raise _not_ours(path, "NSVA") from error
    return _loaded(NsvaAligner(config), state, prefix)


def load_tan(path: str | Path, *, averaged: bool = False, heads: int = 8) -> LoadedAligner[TemporalAligner]:
    """TAN with its text tower from a file; widths and layers are read from the shapes in it, `heads` cannot be.

    Files of the second training stage hold two models: the one that was trained (`online`), and its running average,
    which taught it (`target`), taken where `averaged`; the other one is not in the report. The text tower is `bert` in
    the model's code and `lang_model` in the trainer's, and lies inside each of the two or beside them. The table of
    video positions is taken to be a learned one: a fixed one in the file is loaded into it and answers the same. Texts
    do not carry their place in the list, as in the published file.
    Raises WeightsError if the file cannot be read, or is not of a TAN.
    """
    inner = "target." if averaged else "online."
    state, prefix = _bare(read_checkpoint(path), "video_pre_proj.weight", path, inner)
    state = {re.sub(r"^lang_model\.", "bert.", name): tensor for name, tensor in state.items()}
    try:
        words = None
        if "bert.word_embd.weight" in state:
            vocabulary, word_width = state["bert.word_embd.weight"].shape
            width, hidden = state["bert.fc2.weight"].shape
            words = Word2VecText(vocabulary, word_width, hidden, width)
        config = TanConfig(
            encoder_layers=_layers(state, "video_temporal_encoder.resblocks"),
            decoder_layers=_layers(state, "joint_temporal_encoder.resblocks"),
            video_width=state["video_pre_proj.weight"].shape[1],
            text_width=state["text_pre_proj.weight"].shape[1],
            width=state["video_pre_proj.weight"].shape[0],
            heads=heads,
            positions=len(state["temporal_pos_embed"]),
            alignability_head="binary_head.weight" in state,
        )
    except (KeyError, IndexError, ValueError) as error:
        raise _not_ours(path, "TAN") from error
    return _loaded(TemporalAligner(config, words), state, prefix)


def load_word_tokenizer(path: str | Path, max_words: int = 32) -> WordTokenizer:
    """The tokenizer of TAN's text tower from the vocabulary that MIL-NCE ships, `s3d_dict.npy`: an array of words.

    Raises WeightsError if the file cannot be read, or is no list of words.
    """
    try:
        words = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} is no vocabulary", hint="it is the s3d_dict.npy of MIL-NCE's S3D") from error
    if not isinstance(words, np.ndarray) or words.ndim != 1 or words.dtype.kind != "U":
        raise WeightsError(f"{path} is no list of words", hint="it is the s3d_dict.npy of MIL-NCE's S3D")
    return WordTokenizer(words.tolist(), max_words)


def _bare(
    state: Mapping[str, Tensor], landmark: str, path: str | Path, inner: str = ""
) -> tuple[dict[str, Tensor], str]:
    """The names as our models have them, and the prefix that was taken off: what stands before `landmark` in the file.

    Of several prefixes the one that ends in `inner`, if any. A text tower may lie beside its model, so what is under
    none of the prefixes stays, unless the same name is inside.
    """
    prefixes = [name.removesuffix(landmark) for name in state if name.endswith(landmark)]
    if not prefixes:
        raise _not_ours(path, "an aligner")
    prefix = next((prefix for prefix in prefixes if inner and prefix.endswith(inner)), prefixes[0])
    outer = prefix.removesuffix(inner)
    outside = {name.removeprefix(outer): tensor for name, tensor in state.items() if not name.startswith(prefix)}
    others = tuple(other.removeprefix(outer) for other in prefixes if other != prefix)
    inside = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    return {name: tensor for name, tensor in outside.items() if not name.startswith(others)} | inside, prefix


def _layers(state: Mapping[str, Tensor], prefix: str) -> int:
    """How many layers are numbered after `prefix`."""
    numbers = (re.match(rf"{re.escape(prefix)}\.(\d+)\.", name) for name in state)
    return 1 + max((int(number[1]) for number in numbers if number), default=-1)


def _loaded(model: Model, state: Mapping[str, Tensor], prefix: str) -> LoadedAligner[Model]:
    report = load_matching(model, state)
    return LoadedAligner(model.eval(), replace(report, prefix=prefix))


def _not_ours(path: str | Path, kind: str) -> WeightsError:
    return WeightsError(f"{path} does not hold {kind}", hint="it lacks parameters that every file of it has")
