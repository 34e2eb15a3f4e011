"""LITA-13B (Huang et al. 2024, arXiv 2403.19046) from its published files.

A folder holds what `deahuang/lita-vicuna-v1-3-13b` publishes (`config.json`, the tokenizer, the shards), and in a
folder inside it, whose name holds `clip`, what `openai/clip-vit-large-patch14` does. Where that is missing, the frozen
copy of the tower is taken that a checkpoint may carry. Instead of the whole model an adapter does: `mm_projector.bin`
beside `config.json`, and the base model in a folder whose name holds `vicuna`; of the adapter's tables the time tokens
alone are taken.

Frames `[T, 3, 224, 224]` -> CLIP's last but one block `[T, 256, 1024]` -> 100 fast and 256 slow tokens -> one linear
layer to `[356, 5120]` -> Vicuna-13B, which tells time in `<t0>` .. `<t99>`. The weights are CC-BY-NC-SA-4.0.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import AddedToken
from torch import Tensor, nn

from tvu.temporal.reduction.slowfast import VIDEO_ARCHS
from tvu.temporal.sampling import lita_frame_indices
from tvu.temporal.time_tokens.lita import LitaTimeTokens, official_span
from tvu.temporal.types import VisualTokens
from tvu.video_llm.generate import GenerateConfig
from tvu.video_llm.models.transformers_towers import ClipTower
from tvu.video_llm.official_prompts import LITA_SYSTEM, LITA_TRAINING_SYSTEM, lita_event_questions
from tvu.video_llm.pipeline import Report, be_silent
from tvu.video_llm.published.differences import Difference
from tvu.video_llm.published.files import find_folder, has_shards, own_config, read_json, read_shards
from tvu.video_llm.published.keys import KeyReport, Loading, LoadReport, require_complete
from tvu.video_llm.published.language import empty_language_model
from tvu.video_llm.published.memory import PublishedConfig, plan_memory, put
from tvu.video_llm.published.model import Loaded, Pixels, PublishedModel, Seconds, in_batches
from tvu.video_llm.published.words import ids_of, llama_tokenizer
from tvu.video_llm.types import Generation, Request, VideoClip
from tvu.weights.checkpoints import read_checkpoint
from tvu.weights.errors import WeightsError

NAME = "lita-13b"
ORIGIN = "huggingface.co/deahuang/lita-vicuna-v1-3-13b (CC-BY-NC-SA-4.0, not for commercial use)"
CLIP_ORIGIN = "huggingface.co/openai/clip-vit-large-patch14, in a folder inside whose name holds clip"
PLACE = "<image>"
TOWER = "model.vision_tower.vision_tower."
PROJECTOR = "model.mm_projector."
FRAMES_AT_ONCE = 16

CLIP_HEAD = 64  # channels of one head of every CLIP, which no shape in a file tells


@dataclass(frozen=True)
class LitaConfig:
    """What `config.json` says beside the language model.

    Raises ValueError where it is none of LITA's.
    """

    num_frames: int = 100
    num_time_tokens: int = 100
    time_token_ids: tuple[int, ...] = ()
    video_arch: str = "temporal_spatial_pool"
    select_layer: int = -2

    def __post_init__(self) -> None:
        if self.video_arch not in VIDEO_ARCHS:
            raise ValueError(f"its video_arch is {self.video_arch!r}, not one of {', '.join(VIDEO_ARCHS)}")
        if self.num_frames < 2 or self.num_time_tokens < 2:
            raise ValueError(f"it has {self.num_frames} frames and {self.num_time_tokens} time tokens")
        if len(self.time_token_ids) != self.num_time_tokens:
            raise ValueError(f"it names {len(self.time_token_ids)} ids for {self.num_time_tokens} time tokens")

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> "LitaConfig":
        """Raises ValueError."""
        if told.get("model_type") != "lita":
            raise ValueError(f"it is of type {told.get('model_type')!r}")
        if told.get("mm_use_im_start_end") or told.get("mm_use_im_patch_token"):
            raise ValueError("it puts tokens of its own around a video, as no published LITA does")
        try:
            return cls(
                int(told.get("num_frames", 100)),
                int(told.get("num_time_tokens", 100)),
                tuple(int(each) for each in told["time_token_ids"]),
                told.get("video_arch", ""),
                int(told.get("mm_vision_select_layer", -2)),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"its config lacks or garbles {error}") from error


class Lita(PublishedModel):
    """LITA, whole."""

    codec_name = "lita"
    most_new_tokens = 1024
    DIFFERENCES = (
        Difference(
            "frames",
            "frame round(i (n - 1) / 99) of n",
            "on the screen at i L / 99 s, which is the time of token i",
            "a frame apart at most at a constant rate; at a variable one an index is no time",
        ),
        Difference(
            "length L of the video",
            "frames over mean rate",
            "by the clock",
            "files that were cut, or start late, have another length than that",
        ),
        Difference(
            "resizing",
            "stored size to 224 in one step",
            "shrunk while it is decoded, then to 224",
            "fewer pixels leave the decoder",
        ),
        Difference("system prompt", "a curious human", "a curious user", "the words that it was trained with"),
        Difference("projector", "before tokens are averaged", "after", "equal but for rounding, 72 times less work"),
        Difference("last token of an answer cut short", "stays `<t12>`", "is read as a time", "it is one"),
        Difference(
            "seconds", "rounded to 0.01 s before they are read", "not rounded", "i L / 99 is exact, and found again"
        ),
        Difference(
            "answer without two times", "the whole video", "no span", "naming no time is a result, not the whole video"
        ),
        Difference(
            "spans of an answer", "the first two times, put in order", "all of them, likeliest first", "events recur"
        ),
        Difference(
            "equal start and end",
            "a span of no length, which no file of results can hold: none is told",
            "widened to 1/99 of the video by constrained search; a free answer with it tells none",
            "an event is not shorter than what a token can say",
        ),
        Difference(
            "when something happens",
            "free text, parsed",
            "the likeliest spans, scored",
            "every answer is a span with a score",
        ),
    )

    def __init__(
        self,
        name: str,
        loaded: Loaded,
        tower: ClipTower,
        projector: nn.Linear,
        lita: LitaConfig,
        config: PublishedConfig,
        *,
        min_score: float = 0.0,
        report: Report = be_silent,
    ) -> None:
        super().__init__(name, loaded, config, min_score=min_score, report=report)
        self.tower, self.projector, self.lita = tower, projector, lita
        self._codec = LitaTimeTokens(lita.num_time_tokens)

    @property
    def codec(self) -> LitaTimeTokens:
        return self._codec

    def frame_indices(self, num_frames: int) -> NDArray[np.int64]:
        return lita_frame_indices(num_frames, self.lita.num_frames)

    def frame_places(self, num_frames: int) -> Seconds:
        return np.linspace(0.0, 1.0, self.lita.num_frames)

    def longer_side(self, clip: VideoClip) -> int:
        return -(-self.tower.side * max(clip.height, clip.width) // min(clip.height, clip.width))

    def resized(self, pixels: Pixels) -> Pixels:
        return self.tower.resized(pixels)

    def see(self, pixels: Pixels, place: Tensor, spans: Tensor, told_seconds: Seconds) -> VisualTokens:
        """`[U, 3, S, S]` to `[1, 356, 1, C]`: a fast token a frame, then the slow frames, by frame, row and column."""
        device = self.projector.weight.device
        each = [self.tower(some.to(device)) for some in in_batches(torch.from_numpy(pixels), FRAMES_AT_ONCE)]
        features = torch.cat(each)[place.to(device)][None]
        reduce = VIDEO_ARCHS[self.lita.video_arch]
        if self.config.official:
            return reduce(
                VisualTokens.from_frames(self.projector(features), spans.to(device), self.tower.grid)
            ).flatten()
        few = reduce(VisualTokens.from_frames(features, spans.to(device), self.tower.grid)).flatten()
        return VisualTokens(self.projector(few.features), few.spans, few.grid, few.sources, few.lengths)

    def around(self, request: Request, told_seconds: Seconds) -> tuple[list[int], list[int]]:
        before, after = self.prompt_text(request).split(PLACE, 1)
        # the beginning of the second half is dropped, as the published code does: it begins no text
        return ids_of(self.tokenizer, before, begins=True), ids_of(self.tokenizer, after)

    def prompt_text(self, request: Request) -> str:
        """The prompt, with `<image>` where the video goes."""
        system = request.system or (LITA_SYSTEM if self.config.official else LITA_TRAINING_SYSTEM)
        begun = f" {request.prefill}" if request.prefill else ""
        return f"{system} USER: {PLACE}\n{request.user} ASSISTANT:{begun}"

    def moment_request(self, query: str) -> Request:
        return Request(lita_event_questions(query)[0])

    @property
    def official_generation(self) -> GenerateConfig:
        return GenerateConfig(max_new_tokens=1024)

    def official_reading(self, generation: Generation, duration: float) -> tuple[str, tuple[float, float] | None]:
        text = self.official_text(generation, duration)
        explanation, span = official_span(text, duration)
        return (explanation or text), span

    def official_text(self, generation: Generation, duration: float) -> str:
        """Every time token but a last one as the tokens of `<seconds>`, then all of them as text."""
        ended = generation.stop == "end"
        ids: list[int] = []
        places = {token: index for index, token in enumerate(self.lita.time_token_ids)}
        for at, token in enumerate(generation.token_ids):
            is_last = not ended and at == len(generation.token_ids) - 1
            if token in places and not is_last:
                written = self.codec.added_tokens[places[token]]
                ids += ids_of(self.tokenizer, f"<{self.codec.official_seconds(written, duration)}>")
            else:
                ids.append(token)
        text: str = self.tokenizer.decode(ids, skip_special_tokens=True)
        return text.strip().removesuffix("</s>").strip()


def load_lita(
    folder: Path,
    config: PublishedConfig | None = None,
    *,
    name: str = NAME,
    min_score: float = 0.0,
    report: Report = be_silent,
) -> Lita:
    """LITA from the folder of its files. Raises WeightsError where they are not whole, or not LITA's."""
    config = config or PublishedConfig()
    told = own_config(folder, ORIGIN)
    try:
        lita = LitaConfig.of(told)
    except ValueError as error:
        raise WeightsError(f"{folder} holds no LITA: {error}", hint=f"get it from {ORIGIN}") from error
    report("weights", 0.0)
    state = _state(folder, lita, told)
    loading = Loading(state)

    language = empty_language_model(told, state, family="llama", where=str(folder))
    tokenizer = _tokenizer(folder, lita, language.config.vocab_size)
    clip_fields, clip_state = _clip(folder, state)
    with torch.device("meta"):
        tower = ClipTower(lita.select_layer, **clip_fields)
        projector = nn.Linear(clip_fields["hidden_size"], language.config.hidden_size)
    positions = tower.vision_model.embeddings.position_ids
    tower.vision_model.embeddings.position_ids = torch.arange(positions.shape[-1])[None]

    dtype = config.dtype(torch.float16)
    parts = {"language model": language, "vision tower": tower, "projector": projector}
    plan = plan_memory(name, parts, language.config, dtype, config)

    loading.load("language model", language, "", dtype)
    loading.load("projector", projector, PROJECTOR, dtype)
    towers = Loading(clip_state)
    seen = towers.load("vision tower", tower.vision_model, "", dtype)
    told_keys = loading.report(unused=(TOWER, *ROTARY))
    all_parts: dict[str, KeyReport] = {**told_keys.parts, "vision tower": seen}
    keys = LoadReport(all_parts, told_keys.unexpected, told_keys.unused)
    require_complete(keys, folder, name)
    report("weights", 1.0)
    loaded = Loaded(put(language, plan, config, may_split=True), tokenizer, keys, plan)
    put(tower.eval(), plan, config)
    put(projector, plan, config)
    return Lita(name, loaded, tower, projector, lita, config, min_score=min_score, report=report)


ROTARY = tuple(f"model.layers.{layer}.self_attn.rotary_emb." for layer in range(200))  # tables that old releases stored


def _state(folder: Path, lita: LitaConfig, told: Mapping[str, Any]) -> dict[str, Tensor]:
    """All tensors under the names of the whole checkpoint, put together where the folder holds an adapter."""
    if has_shards(folder) or not (folder / "mm_projector.bin").is_file():
        return read_shards(folder, ORIGIN)
    base = find_folder(folder, "vicuna")
    if base is None:
        hint = "put Vicuna-13B-v1.3 into a folder inside it whose name holds vicuna"
        raise WeightsError(f"{folder} holds an adapter without its language model", hint=hint)
    state = read_shards(base, "huggingface.co/lmsys/vicuna-13b-v1.3")
    adapter = read_checkpoint(folder / "mm_projector.bin")
    for name, tensor in adapter.items():
        if "mm_projector." in name:
            state[PROJECTOR + name.split("mm_projector.", 1)[1]] = tensor
    for table in ("model.embed_tokens.weight", "lm_head.weight"):
        rows = next((tensor for name, tensor in adapter.items() if name.endswith(table)), None)
        if rows is None or table not in state or len(rows) < lita.num_time_tokens:
            raise WeightsError(f"{folder}/mm_projector.bin lacks the time tokens of {table}", hint=f"get {ORIGIN}")
        if rows.shape[1] != state[table].shape[1]:
            raise WeightsError(f"the adapter in {folder} is for another base model", hint=f"see {ORIGIN}")
        # the other rows are the base's own, whatever the adapter's file repeats of them
        kept = state[table][: min(lita.time_token_ids)]
        state[table] = torch.cat([kept, rows[-lita.num_time_tokens :].to(kept.dtype)])
    return state


def _tokenizer(folder: Path, lita: LitaConfig, rows: int) -> Any:
    """Vicuna's, with the time tokens as the release that LITA was trained with has them: blanks around them go."""
    times = LitaTimeTokens(lita.num_time_tokens).added_tokens
    added = [AddedToken(token, lstrip=True, rstrip=True, normalized=False) for token in times]
    tokenizer = llama_tokenizer(folder, added, legacy=True)
    ids = tuple(ids_of(tokenizer, "".join(times)))
    if ids != lita.time_token_ids or len(tokenizer) != rows:
        told = (
            f"{len(tokenizer)} tokens with {times[0]} at {ids[0]}, and weights for {rows} with {lita.time_token_ids[0]}"
        )
        raise WeightsError(f"tokenizer and weights in {folder} do not fit: {told}", hint=f"get both from {ORIGIN}")
    return tokenizer


def _clip(folder: Path, state: Mapping[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Shape and tensors of the vision tower, from its own folder or, frozen as it is, from the copy in the checkpoint.

    The shape is read off the tensors; heads and activation are told by `config.json`, or else those of ViT-L/14.
    """
    own = next((path for path in sorted(folder.rglob("*clip*")) if path.is_dir() and has_shards(path)), None)
    told: dict[str, Any] = {}
    if own is not None:
        found = read_shards(own, CLIP_ORIGIN)
        told = read_json(own / "config.json") if (own / "config.json").is_file() else {}
        told = told.get("vision_config") or told
    else:
        found = {name.removeprefix(TOWER): value for name, value in state.items() if name.startswith(TOWER)}
    prefix = "vision_model."
    tower = {name.removeprefix(prefix): value for name, value in found.items() if name.startswith(prefix)}
    try:
        width, _, patch, _ = tower["embeddings.patch_embedding.weight"].shape
        rows = math.isqrt(len(tower["embeddings.position_embedding.weight"]) - 1)
        inner = len(tower["encoder.layers.0.mlp.fc1.weight"])
    except (KeyError, ValueError) as error:
        raise WeightsError(
            f"{own or folder} holds no CLIP vision tower", hint=f"it comes from {CLIP_ORIGIN}"
        ) from error
    layers = {int(name.split(".")[2]) for name in tower if name.startswith("encoder.layers.")}
    shape = {
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": max(layers) + 1,
        "num_attention_heads": told.get("num_attention_heads", max(1, width // CLIP_HEAD)),
        "image_size": rows * patch,
        "patch_size": patch,
        "hidden_act": told.get("hidden_act", "quick_gelu"),
        "layer_norm_eps": told.get("layer_norm_eps", 1e-5),
    }
    return shape, tower
