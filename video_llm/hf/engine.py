"""A multimodal model of transformers under our generation engine: the video is read once, text is written after it."""

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from tvu.video_llm.errors import BackendError
from tvu.video_llm.generation.language import LanguageModel, Prefix
from tvu.video_llm.generation.transformers_decoder import TransformersDecoder, cache_argument
from tvu.video_llm.hf.shared_video import SharedVideoDecoder, layers_of


class TextSide:
    """A multimodal model as `TransformersDecoder` takes a language model: text after what was read before.

    offset: how far the position of a token lies ahead of its place; above 0 where visual tokens share positions or
            times leave gaps. axes: positions of a token, 3 for time, row and column, 1 for a plain model.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._keeps = "logits_to_keep" in inspect.signature(model.forward).parameters
        self.offset, self.axes = 0, 1

    @property
    def config(self) -> Any:
        return self._model.config.get_text_config()

    @property
    def device(self) -> torch.device:
        found: torch.device = self._model.get_input_embeddings().weight.device
        return found

    @property
    def training(self) -> bool:
        return bool(self._model.training)

    @property
    def forward(self) -> Any:
        return self._model.forward

    def get_input_embeddings(self) -> Any:
        return self._model.get_input_embeddings()

    def __call__(self, *, position_ids: Tensor, logits_to_keep: int = 1, **inputs: Any) -> Any:
        """position_ids: int64 `[R, n]`, places in the sequence."""
        positions = position_ids + self.offset
        positions = positions.expand(self.axes, -1, -1) if self.axes > 1 else positions
        kept = {"logits_to_keep": logits_to_keep} if self._keeps else {}
        return self._model(**inputs, position_ids=positions, **kept)


class VideoReader:
    """Reads what comes before any text of ours, vision tower included, into the memory of `decoder`.

    decoder: `SharedVideoDecoder`; for models whose memory is more than keys and values (sliding windows, recurrences)
             `TransformersDecoder`, which copies it for every row.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self.text_side = TextSide(model)
        layers = DynamicCache(config=self.text_side.config).layers
        self._is_plain = all(type(layer) is DynamicLayer for layer in layers)
        self.decoder: LanguageModel
        self.decoder = SharedVideoDecoder(self.text_side) if self._is_plain else TransformersDecoder(self.text_side)

    @torch.inference_mode()
    def read(self, ids: Tensor, inputs: Mapping[str, Any], positions: Tensor | None) -> tuple[Prefix, int, int]:
        """The prefix, and the offset and axes of what follows it.

        ids:       int64 `[L]`. inputs: everything else that the model takes beside them.
        positions: int64 `[3, L]`, or None where the model computes its own.
        Raises BackendError where model and inputs do not fit each other, or the device is out of memory.
        """
        model, device = self._model, self.text_side.device
        memory = DynamicCache(config=self.text_side.config)
        if hasattr(model.model, "rope_deltas"):
            model.model.rope_deltas = None  # of another video
        told = {name: _placed(value, device, model.dtype) for name, value in inputs.items()}
        if positions is not None:
            told["position_ids"] = positions[:, None].to(device)
        elif "attention_mask" in inspect.signature(model.forward).parameters:
            told["attention_mask"] = torch.ones(1, len(ids), dtype=torch.long, device=device)
        told |= {cache_argument(model): memory, "use_cache": True}
        if self.text_side._keeps:
            told["logits_to_keep"] = 1
        try:
            logits = model(input_ids=ids[None].to(device), **told).logits[0, -1]
        except torch.OutOfMemoryError as error:
            hint = "look at fewer frames (?max_frames=16) or smaller ones (?max_pixels=50000)"
            raise BackendError(f"no memory on the {device.type} for {len(ids)} tokens of a video", hint=hint) from error
        except (ValueError, IndexError, RuntimeError, TypeError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            hint = "are its config and its processor of the same model?"
            raise BackendError(f"{type(model).__name__} does not take this video: {reason}", hint=hint) from error
        offset, axes = self._following(len(ids), positions)
        kept = layers_of(memory) if self._is_plain else memory
        return Prefix(len(ids), logits.to(device, torch.float32), kept), offset, axes

    def _following(self, length: int, positions: Tensor | None) -> tuple[int, int]:
        if positions is not None:
            return int(positions.max()) + 1 - length, len(positions)
        deltas = getattr(self._model.model, "rope_deltas", None)
        return (0, 1) if deltas is None else (int(deltas.flatten()[0]), 3)


def _placed(value: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """On the device; pixels in the dtype of the model."""
    if not isinstance(value, Tensor):
        return value
    return value.to(device, dtype) if value.is_floating_point() else value.to(device)
