"""VTG-LLM-7B (Guo et al. 2024, arXiv 2405.13382) from its published file.

A folder holds `vtgllm.pth` of `Yongxin-Guo/VTG-LLM` (20 GB, everything but the tokenizer) and `tokenizer.model` of the
Llama-2-7b-chat that `DAMO-NLP-SG/Video-LLaMA-2-7B-Finetuned` ships, in it or in a folder inside it; the `config.json`
of that Llama is read where it is there.

96 frames squashed to `[T, 3, 224, 224]` -> EVA-CLIP ViT-g `[T, 257, 1408]` -> Q-Former `[T, 32, 768]` -> frame and
second added -> 256 slots `[256, 768]` -> one linear layer to `[256, 4096]` -> Llama-2-7B with its adapters merged,
which tells time in six tokens, `0024.3`.

The published code runs in mixed precision (residual stream in float32 while the prompt is read, slots under float16
autocast) and cuts the oldest of a prompt of more than 2488 positions; neither is reproduced.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import AddedToken
from torch import Tensor, nn

from tvu.temporal.reduction.slots import SlotSampler
from tvu.temporal.sampling import vtg_llm_frame_indices
from tvu.temporal.sequence_time import (
    SequenceTimeEmbedding,
    fill_untrained_seconds,
    fill_untrained_seconds_official,
    rounded_to_half,
    whole_seconds,
)
from tvu.temporal.time_tokens.official_answers import retrieval_span
from tvu.temporal.time_tokens.vtg_llm import (
    TIME_TOKENS,
    VtgLlmTimeTokens,
    numbers_to_time_tokens,
    time_tokens_to_digits,
)
from tvu.temporal.types import VisualTokens
from tvu.video_llm.generate import GenerateConfig
from tvu.video_llm.generation.next_token import Sampling
from tvu.video_llm.models.resize import squashed_bicubic
from tvu.video_llm.official_prompts import (
    ANSWER_IN_DETAIL,
    VTG_LLM_RETRIEVAL,
    VTG_LLM_TRAINING_SYSTEM,
    frames_message,
    vtg_llm_prompt,
)
from tvu.video_llm.pipeline import Report, be_silent
from tvu.video_llm.published.differences import Difference
from tvu.video_llm.published.files import find_file, find_folder, need_file, read_json
from tvu.video_llm.published.keys import Loading, LoadReport, require_complete
from tvu.video_llm.published.language import empty_language_model
from tvu.video_llm.published.lora import A, B, merged, without_wrapper
from tvu.video_llm.published.memory import PublishedConfig, plan_memory, put
from tvu.video_llm.published.model import Loaded, Pixels, PublishedModel, Seconds, in_batches
from tvu.video_llm.published.qformer import QFormer, QFormerConfig
from tvu.video_llm.published.towers import CLIP_MEAN, CLIP_STD, EvaTower, normalised
from tvu.video_llm.published.words import ids_of, llama_tokenizer
from tvu.video_llm.types import Generation, Request, VideoClip
from tvu.weights.checkpoints import read_checkpoint
from tvu.weights.errors import WeightsError

NAME = "vtg-llm-7b"
FILE = "vtgllm.pth"
ORIGIN = "huggingface.co/Yongxin-Guo/VTG-LLM (Apache-2.0, on Llama-2's licence)"
LLAMA_ORIGIN = "huggingface.co/DAMO-NLP-SG/Video-LLaMA-2-7B-Finetuned, folder llama-2-7b-chat-hf"
LANGUAGE = "llama_model."
LORA_ALPHA = 32.0
PLACE = "<ImageHere>"
FRAMES_AT_ONCE = 8
LLAMA_2 = {"rms_norm_eps": 1e-5, "max_position_embeddings": 4096}  # where no config.json of it is there
RENAMED = {"vision_encoder.": "visual_encoder.", "qformer.": "Qformer.", "vision_layernorm.": "ln_vision."}
"""Names of VideoChat2's files, which the published loader takes as well."""


class Bridge(SequenceTimeEmbedding):
    """What lies between tower and language model, in float32, under the names that it has in the file."""

    def __init__(self, channels: int, queries: int, frames: int, seconds: int, slots: int, width: int) -> None:
        super().__init__(channels, frames, seconds)
        self.query_tokens = nn.Parameter(torch.zeros(1, queries, channels))
        self.sampler = SlotSampler(slots, channels)
        self.llama_proj = nn.Linear(channels, width)

    @classmethod
    def of(cls, state: Mapping[str, Tensor]) -> "Bridge":
        """Of the shape of the file's tensors. Raises KeyError where one is missing, ValueError for other shapes."""
        frames, channels = state["video_frame_position_embedding.weight"].shape
        seconds = len(state["video_time_position_embedding"])
        width, _ = state["llama_proj.weight"].shape
        _, queries, _ = state["query_tokens"].shape
        return cls(channels, queries, frames, seconds, state["sampler.slots"].shape[1], width)


@dataclass(frozen=True)
class Seeing:
    """tower: frames to patches. norm: `ln_vision`, in float32. qformer: patches to queries. bridge: to words."""

    tower: EvaTower
    norm: nn.LayerNorm
    qformer: QFormer
    bridge: Bridge

    @property
    def parts(self) -> dict[str, nn.Module]:
        return {
            "vision tower": self.tower,
            "vision norm": self.norm,
            "Q-Former": self.qformer,
            "bridge": self.bridge,
        }


class VtgLlm(PublishedModel):
    """VTG-LLM, whole."""

    codec_name = "vtg-llm"
    DIFFERENCES = (
        Difference(
            "frames",
            "the left edges of 96 equal runs of frames",
            "on the screen at the left edges of 96 equal times",
            "equal at a constant rate; at a variable one an index is no time",
        ),
        Difference("times of frames", "index over mean rate", "by the clock", "the model is told when frames are"),
        Difference(
            "resizing",
            "stored size to a square in one step",
            "shrunk while it is decoded",
            "fewer pixels leave the decoder",
        ),
        Difference("system prompt", "answer in detail", "one blank", "as it was trained"),
        Difference("blanks before the task", "two", "one", "as it was trained"),
        Difference(
            "seconds that no training video had",
            "interpolated with exchanged weights, extrapolated at the end",
            "interpolated, and held at both ends",
            "the published rule gives a second what belongs to another, and large numbers after the last",
        ),
        Difference("table of seconds", "rounded to float16", "as stored", "nothing is gained by rounding"),
        Difference(
            "writing", "drawn: temperature 1, top_p 0.8, seed 42", "the likeliest", "the same question, the same answer"
        ),
        Difference(
            "adapters",
            "merged in both modes; the published code adds their products for every token",
            "merged",
            "equal but for rounding",
        ),
        Difference(
            "spans of an answer",
            "the first `a - b` after blanks inside numbers are deleted",
            "all of them, as the tokens say",
            "`from a to b` is an answer too, and captions keep their blanks",
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
        seeing: Seeing,
        config: PublishedConfig,
        *,
        min_score: float = 0.0,
        report: Report = be_silent,
    ) -> None:
        super().__init__(name, loaded, config, min_score=min_score, report=report)
        self.seeing = seeing
        table = seeing.bridge.video_time_position_embedding
        if table is not None:
            official = config.official
            with torch.no_grad():
                filled = (fill_untrained_seconds_official if official else fill_untrained_seconds)(table.detach())
                table.copy_(rounded_to_half(filled) if official else filled)

    @property
    def codec(self) -> VtgLlmTimeTokens:
        return VtgLlmTimeTokens()

    @property
    def num_frames(self) -> int:
        return self.seeing.bridge.video_frame_position_embedding.num_embeddings

    def frame_indices(self, num_frames: int) -> NDArray[np.int64]:
        return vtg_llm_frame_indices(num_frames, self.num_frames)

    def frame_places(self, num_frames: int) -> Seconds:
        count = min(num_frames, self.num_frames)
        return np.arange(count, dtype=np.float64) / count

    def longer_side(self, clip: VideoClip) -> int:
        return -(-self.seeing.tower.side * max(clip.height, clip.width) // min(clip.height, clip.width))

    def resized(self, pixels: Pixels) -> Pixels:
        return squashed_bicubic(pixels, self.seeing.tower.side)

    def see(self, pixels: Pixels, place: Tensor, spans: Tensor, told_seconds: Seconds) -> VisualTokens:
        """`[U, 3, S, S]` to the slots `[1, 256, 1, C]`, in which no order of time is left."""
        tower, bridge = self.seeing.tower, self.seeing.bridge
        weight = tower.pos_embed
        each = []
        for some in in_batches(torch.from_numpy(pixels), FRAMES_AT_ONCE):
            unit = normalised(some.to(weight.device), CLIP_MEAN, CLIP_STD, weight.dtype)
            patches = self.seeing.norm(tower(unit).float()).to(weight.dtype)
            each.append(self.seeing.qformer(bridge.query_tokens.to(weight.dtype), patches).float())
        features = torch.cat(each)[place.to(weight.device)][None]
        seconds = whole_seconds(torch.from_numpy(told_seconds)[None]).to(weight.device)
        known = bridge(features, seconds)
        tokens = VisualTokens.from_frames(known, spans.to(weight.device), (1, known.shape[2]))
        slots = bridge.sampler(tokens)
        words = bridge.llama_proj(slots.features)
        return VisualTokens(words, slots.spans, slots.grid, slots.sources, slots.lengths)

    def around(self, request: Request, told_seconds: Seconds) -> tuple[list[int], list[int]]:
        before, after = self.prompt_text(request, told_seconds).split(PLACE, 1)
        return ids_of(self.tokenizer, before, begins=True), ids_of(self.tokenizer, after)

    def prompt_text(self, request: Request, told_seconds: Seconds) -> str:
        """The prompt, with `<ImageHere>` where the video goes."""
        message = numbers_to_time_tokens(frames_message([round(float(time), 1) for time in told_seconds]))
        system = request.system or (ANSWER_IN_DETAIL if self.config.official else VTG_LLM_TRAINING_SYSTEM)
        prompt = vtg_llm_prompt(request.user, message if self.config.official else message.rstrip(), system)
        return f"{prompt} {request.prefill}" if request.prefill else prompt

    def moment_request(self, query: str) -> Request:
        return Request(VTG_LLM_RETRIEVAL.format(query.strip().rstrip(".")))

    @property
    def official_generation(self) -> GenerateConfig:
        return GenerateConfig(max_new_tokens=512, sampling=Sampling(1.0, top_p=0.8, seed=self.config.seed))

    def official_reading(self, generation: Generation, duration: float) -> tuple[str, tuple[float, float] | None]:
        ids = list(generation.token_ids)
        for strange in (0, 1):  # ids that the published code drops where an answer begins with them
            ids = ids[1:] if ids[:1] == [strange] else ids
        text = time_tokens_to_digits(self.tokenizer.decode(ids).split("</s>")[0]).strip()
        try:
            return text, retrieval_span(text)
        except ValueError:  # several dots in a row, where the published code fails and leaves the video out
            return text, None


def load_vtg_llm(
    folder: Path,
    config: PublishedConfig | None = None,
    *,
    name: str = NAME,
    min_score: float = 0.0,
    report: Report = be_silent,
) -> VtgLlm:
    """VTG-LLM from the folder of its files. Raises WeightsError where they are not whole, or not VTG-LLM's."""
    config = config or PublishedConfig()
    path = need_file(folder, FILE, origin=ORIGIN)
    report("weights", 0.0)
    state = {_our_name(key): value for key, value in read_checkpoint(path).items()}
    language_state = {key.removeprefix(LANGUAGE): value for key, value in state.items() if key.startswith(LANGUAGE)}
    plain = {without_wrapper(key): value for key, value in language_state.items() if not key.endswith((A, B))}
    language = empty_language_model(LLAMA_2 | _llama_config(folder), plain, family="llama", where=str(path))
    tokenizer = _tokenizer(folder, language.config.vocab_size)
    seeing = _empty(state, path)

    dtype = config.dtype(torch.bfloat16)
    plan = plan_memory(name, {"language model": language, **seeing.parts}, language.config, dtype, config)
    whole = Loading(merged(language_state, LORA_ALPHA, dtype))
    whole.load("language model", language, "", dtype)
    of_language = whole.report(unused=ROTARY)
    loading = Loading(state)
    loading.take(*(key for key in state if key.startswith(LANGUAGE)))
    loading.load("vision tower", seeing.tower, "visual_encoder.", dtype)
    loading.load("vision norm", seeing.norm, "ln_vision.", torch.float32)
    loading.load("Q-Former", seeing.qformer, "Qformer.", dtype)
    loading.load("bridge", seeing.bridge, "", torch.float32)
    rest = loading.report(unused=UNUSED)
    keys = LoadReport(
        {**of_language.parts, **rest.parts},
        of_language.unexpected + rest.unexpected,
        of_language.unused + rest.unused,
    )
    require_complete(keys, folder, name)
    report("weights", 1.0)
    seeing.bridge.video_time_position_embedding = nn.Parameter(  # it is filled in, the file's own stays as it is
        state["video_time_position_embedding"].float().clone(), requires_grad=False
    )
    for part in seeing.parts.values():
        put(part.eval(), plan, config)
    loaded = Loaded(put(language, plan, config, may_split=True), tokenizer, keys, plan)
    return VtgLlm(name, loaded, seeing, config, min_score=min_score, report=report)


ROTARY = tuple(f"model.layers.{layer}.self_attn.rotary_emb." for layer in range(200))  # tables that old releases stored
UNUSED = ("Qformer.cls.", "Qformer.bert.embeddings.position_ids", "visual_encoder.norm.", "visual_encoder.head.")


def _our_name(name: str) -> str:
    return next((ours + name.removeprefix(old) for old, ours in RENAMED.items() if name.startswith(old)), name)


def _llama_config(folder: Path) -> dict[str, Any]:
    """The config.json beside the tokenizer of the language model, or nothing."""
    words = find_file(folder, "tokenizer.model", "tokenizer.json")
    places = [path for path in (words and words.parent, find_folder(folder, "llama")) if path]
    path = next((place / "config.json" for place in places if (place / "config.json").is_file()), None)
    return read_json(path) if path else {}


def _tokenizer(folder: Path, rows: int) -> Any:
    """Llama-2's with the mark of a video and the time tokens behind it: as many ids as its tables have rows."""
    need_file(folder, "tokenizer.model", "tokenizer.json", origin=LLAMA_ORIGIN)
    more = [AddedToken(token, normalized=False) for token in (PLACE, *TIME_TOKENS)]
    tokenizer = llama_tokenizer(folder, more)
    if len(tokenizer) == rows - 1 and "<pad>" not in tokenizer.get_vocab():  # as the shipped Llama-2 may carry one
        tokenizer = llama_tokenizer(folder, [AddedToken("<pad>", normalized=False), *more])
    if len(tokenizer) != rows:
        told = f"{len(tokenizer)} tokens, and weights for {rows}"
        raise WeightsError(f"tokenizer and weights in {folder} do not fit: {told}", hint=f"get it from {LLAMA_ORIGIN}")
    return tokenizer


def _empty(state: Mapping[str, Tensor], path: Path) -> Seeing:
    """The modules that see, without numbers, of the shapes in the file."""
    try:
        tower = empty_eva({key: value for key, value in state.items() if key.startswith("visual_encoder.")})
        with torch.device("meta"):
            norm = nn.LayerNorm(len(state["ln_vision.weight"]), eps=1e-5)
            shape = QFormerConfig.of(
                {key.removeprefix("Qformer."): value for key, value in state.items() if key.startswith("Qformer.")}
            )
            return Seeing(tower, norm, QFormer(shape), Bridge.of(state))
    except KeyError as error:
        raise WeightsError(
            f"{path} holds no VTG-LLM: {error.args[0]} is missing", hint=f"get it from {ORIGIN}"
        ) from error
    except ValueError as error:
        raise WeightsError(f"{path} holds no VTG-LLM: {error}", hint=f"get it from {ORIGIN}") from error


def empty_eva(state: Mapping[str, Tensor]) -> EvaTower:
    """EVA's tower without numbers, of the shapes under `visual_encoder.`. Raises KeyError and ValueError."""
    width, _, patch, _ = state["visual_encoder.patch_embed.proj.weight"].shape
    grid = int((state["visual_encoder.pos_embed"].shape[1] - 1) ** 0.5)
    depth = 1 + max((int(key.split(".")[2]) for key in state if key.startswith("visual_encoder.blocks.")), default=-1)
    inner = len(state["visual_encoder.blocks.0.mlp.fc1.weight"])
    with torch.device("meta"):
        return EvaTower(width, depth, inner, patch, grid)
