"""The Video-LLM: a vision tower, a temporal encoder, reductions and a projector before any causal language model."""

from collections.abc import Sequence
from copy import deepcopy
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoModelForMultimodalLM,
    GenerationMixin,
    PreTrainedModel,
)
from transformers.modeling_outputs import CausalLMOutputWithPast

from tvu.temporal.compress import compress_tokens
from tvu.temporal.encode_time import encode_time
from tvu.temporal.encoders.storm import StormTemporalEncoder
from tvu.temporal.reduction.means import frame_mask
from tvu.temporal.reduction.pool import PoolTokens
from tvu.temporal.reduction.ragged import join
from tvu.temporal.squeezetime.network import SqueezeTime
from tvu.temporal.squeezetime.snippets import snippet_tokens
from tvu.temporal.types import VisualTokens
from tvu.video_llm.encode import CPU_BATCH
from tvu.video_llm.generation.transformers_decoder import cache_argument
from tvu.video_llm.models.configuration import TvuConfig
from tvu.video_llm.models.new_tokens import VIDEO, add_tokens, grow_vocabulary
from tvu.video_llm.models.parts import Told, build_codec, build_reductions, build_temporal_encoder, squeezetime_config
from tvu.video_llm.models.projector import Projector
from tvu.video_llm.models.video_processing import FAST_INPUTS, VIDEO_INPUTS
from tvu.video_llm.models.vision import VisionTower, build_vision_tower
from tvu.video_llm.splice import IGNORED_LABEL, rows_of
from tvu.weights.errors import WeightsError

BATCH_FRAMES = 72  # frames that go through the vision tower at once on a GPU


class FastPath(nn.Module):
    """What moves: SqueezeTime over snippets of densely sampled frames, projected to the language model's width."""

    def __init__(self, told: Told, width: int) -> None:
        super().__init__()
        self.network = SqueezeTime(squeezetime_config(told["network"]))
        self.projector = Projector(self.network.config.num_channels, width, **told.get("projector", {}))
        self.hop: int | None = told.get("hop")
        rows, columns = told.get("grid", (1, 1))
        self.grid = (rows, columns)

    def forward(self, frames: Tensor, spans: Tensor, lengths: Tensor | None = None) -> VisualTokens:
        """uint8 `[B, F, 3, H, W]` with spans float64 `[B, F, 2]` to a slot a snippet, `[B, S, rows * columns, C]`."""
        tokens = snippet_tokens(frames, spans, self.network, hop=self.hop, grid=self.grid, lengths=lengths)
        return self.projector(tokens)


class TvuForConditionalGeneration(PreTrainedModel, GenerationMixin):
    """A causal language model that sees a video as rows of its own width among the text.

    vision_tower, temporal_encoder, reductions, projector, fast_path: as the config names them.
    language_model: transformers' own module with its head, so that any engine can adopt its weights.

    Every module starts as its own constructor leaves it. Parts that are there already are given to the constructor; see
    `assemble` for pretrained ones.
    """

    config: TvuConfig
    config_class = TvuConfig
    base_model_prefix = "model"
    main_input_name = "input_ids"
    input_modalities = ["video", "text"]  # noqa: RUF012
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _skip_keys_device_placement = ["past_key_values", "cache"]  # noqa: RUF012

    def __init__(
        self,
        config: TvuConfig,
        language_model: PreTrainedModel | None = None,
        vision_tower: VisionTower | None = None,
    ) -> None:
        super().__init__(config)
        told = config.projector or {}
        width = config.language_width
        self.vision_tower = vision_tower or build_vision_tower(config.vision_config or {})
        channels = self.vision_tower.channels
        if config.project_first:
            self.projector = Projector(channels, width, **told)
            channels = width
        self.temporal_encoder: Any = build_temporal_encoder(config.temporal, channels)
        self.reductions, channels = build_reductions(config.reductions or [], channels)
        if not config.project_first:
            self.projector = Projector(channels, width, **told)
        elif channels != width:
            raise ValueError(f"the reductions end with {channels} channels, the language model has {width}")
        self.fast_path = None if config.fast_path is None else FastPath(config.fast_path, width)
        self.language_model: Any = language_model or AutoModelForCausalLM.from_config(
            config.text_config, trust_remote_code=False
        )
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Nothing: scans, adapters and towers know better how they start than one rule for every linear layer."""

    @classmethod
    def assemble(
        cls,
        config: TvuConfig,
        tokenizer: Any,
        language_model: PreTrainedModel,
        vision_tower: VisionTower | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> "TvuForConditionalGeneration":
        """A model around pretrained parts, which become its own; projector, encoder and reductions start at random.

        `tokenizer` learns the time tokens of the codec and the tokens of a video, and the language model rows for them:
        see `grow_vocabulary`. The config of the result has `text_config` and `video_token_id` filled in.
        vision_tower: with its weights; None: the one of the config, at random.
        """
        known = len(tokenizer)
        add_tokens(tokenizer, build_codec(config.codec or {}))
        _cast(language_model, dtype)
        grow_vocabulary(language_model, known, len(tokenizer))
        config = deepcopy(config)
        config.text_config = language_model.config
        config.video_token_id = tokenizer.convert_tokens_to_ids(VIDEO)
        config.dtype = config.text_config.dtype = dtype
        model = cls(config, language_model, vision_tower)
        started = {name: next(part.parameters(), None) for name, part in model.named_children()}
        given = {"language_model"} | ({"vision_tower"} if vision_tower is not None else set())
        config.untrained = [name for name, weight in started.items() if weight is not None and name not in given]
        _cast(model, dtype)
        model.generation_config = language_model.generation_config
        return model.eval()

    @classmethod
    def from_pretrained(cls, *args: Any, output_loading_info: bool = False, **kwargs: Any) -> Any:
        """As transformers' own, from safetensors alone: a pickle is never opened, whatever is asked.

        Nothing is left to chance, and nothing left out: raises WeightsError for a file that lacks weights, and for one
        with weights that the config knows nothing of, which is the config of another model.
        """
        kwargs["use_safetensors"] = True
        loaded: Any = super().from_pretrained(*args, output_loading_info=True, **kwargs)
        model, report = loaded
        if report["missing_keys"]:
            missing = sorted(report["missing_keys"])
            raise WeightsError(
                f"{args[0] if args else 'the checkpoint'} lacks {len(missing)} weights, e.g. {missing[0]}",
                hint="save it again with save_pretrained, or change its config.json",
            )
        if report["unexpected_keys"]:
            others = sorted(report["unexpected_keys"])
            raise WeightsError(
                f"{args[0] if args else 'the checkpoint'} holds {len(others)} weights without a place in its config, "
                f"e.g. {others[0]}",
                hint="change its config.json, or save it again with save_pretrained",
            )
        return (model, report) if output_loading_info else model

    def get_input_embeddings(self) -> nn.Module:
        return self.language_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.language_model.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module:
        return self.language_model.get_output_embeddings()

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        self.language_model.set_output_embeddings(new_embeddings)

    def num_visual_tokens(self, num_frames: int, num_fast_frames: int | None = None) -> int:
        """How many rows the prompt holds for a video of `num_frames`."""
        return self.config.num_visual_tokens(num_frames, num_fast_frames)

    def encode_frames(self, pixels: Tensor, spans: Tensor, lengths: Tensor | None = None) -> VisualTokens:
        """Frames as the vision tower sees them, at its width; padding is never looked at.

        pixels:  uint8 or floating `[B, T, 3, side, side]`, 0..255, as `vision_tower.resized` gives them.
        spans:   float64 `[B, T, 2]`, file seconds; lengths: int64 `[B]`, the real frames (all if None).
        """
        if spans.dtype != torch.float64:
            raise ValueError(f"spans of frames are float64 seconds, not {spans.dtype}: cast the pixels alone")
        if lengths is None:
            features = self._seen(pixels.flatten(0, 1)).unflatten(0, pixels.shape[:2])
        else:
            real = frame_mask(lengths, pixels.shape[1])
            seen = self._seen(pixels[real])
            features = seen.new_zeros(*pixels.shape[:2], *seen.shape[1:])
            features[real] = seen
        return VisualTokens.from_frames(features, spans, self.vision_tower.grid, lengths)

    def encode_time(self, tokens: VisualTokens) -> VisualTokens:
        """The same tokens, aware of order and of each other."""
        return encode_time(tokens, self.temporal_encoder)

    def compress_tokens(self, tokens: VisualTokens) -> VisualTokens:
        """Fewer tokens, by every reduction of the config."""
        return compress_tokens(tokens, *self.reductions.steps)

    def project(self, tokens: VisualTokens) -> VisualTokens:
        """Tokens at the width of the language model."""
        return self.projector(tokens)

    def encode_time_and_compress(self, tokens: VisualTokens) -> VisualTokens:
        """`compress_tokens(encode_time(tokens))`; STORM's last product comes after the first mean where it can."""
        encoder, steps = self.temporal_encoder, self.reductions.steps
        if isinstance(encoder, StormTemporalEncoder) and steps and isinstance(steps[0], PoolTokens):
            return compress_tokens(encoder.encode_and_pool(tokens, steps[0]), *steps[1:])
        return self.compress_tokens(self.encode_time(tokens))

    def visual_tokens(
        self,
        pixels: Tensor,
        spans: Tensor,
        lengths: Tensor | None = None,
        fast: tuple[Tensor, Tensor, Tensor | None] | None = None,
    ) -> VisualTokens:
        """Everything that the language model sees of each video, at its width: every stage in its order.

        pixels, spans, lengths: as `encode_frames` takes them; fast: the same of the fast path, where there is one.
        The tokens of the fast path follow the others, in one flat sequence.
        """
        if (fast is None) != (self.fast_path is None):
            raise ValueError("frames of the fast path go with a fast path, and only with one")
        tokens = self.encode_frames(pixels, spans, lengths)
        if self.config.project_first:
            tokens = self.encode_time_and_compress(self.project(tokens))
        else:
            tokens = self.project(self.encode_time_and_compress(tokens))
        if self.fast_path is None or fast is None:
            return tokens
        return join([tokens, self.fast_path(*fast)])

    def embed_prompt(self, input_ids: Tensor, visual: VisualTokens) -> Tensor:
        """Prompts as embeddings `[B, L, C]`, visual rows where `input_ids [B, L]` are `config.video_token_id`.

        visual: V videos, their rows in the order of their places in the batch; a prompt may hold any number of videos.
        Raises ValueError where the places are not as many as the rows, or a video would be cut between two prompts.
        """
        text = self.get_input_embeddings()(input_ids)
        is_visual = self._is_visual(input_ids)
        rows = rows_of(visual)
        places, counts = is_visual.sum(dim=1).tolist(), [len(row) for row in rows]
        wanted, ends = ([0, *accumulate(each)] for each in (places, counts))
        if ends[-1] != wanted[-1] or not set(wanted) <= set(ends):
            raise ValueError(f"prompts have places for {places} visual rows, and the videos have {counts}")
        return text.masked_scatter(is_visual[..., None], torch.cat(rows).to(text))

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        pixel_values_videos: Tensor | None = None,
        frame_spans: Tensor | None = None,
        frame_counts: Tensor | None = None,
        fast_pixel_values_videos: Tensor | None = None,
        fast_frame_spans: Tensor | None = None,
        fast_frame_counts: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Logits, and the loss where labels are given; what the language model returns.

        input_ids `[B, L]` int64 with `video_token_id` for each visual row; pixel_values_videos `[V, T, 3, side, side]`,
        frame_spans `[V, T, 2]` float64, frame_counts `[V]` int64 (all T if None), the fast path's likewise. Labels at
        visual rows and in the padding are ignored. Positions count the real tokens, of the cache too, so padding on
        either side changes nothing. The language model's memory is `past_key_values`, or `cache` as transformers calls
        it since.
        """
        if past_key_values is not None:
            kwargs[cache_argument(self.language_model)] = past_key_values
        if pixel_values_videos is not None:
            fast = (fast_pixel_values_videos, fast_frame_spans, fast_frame_counts)
            inputs_embeds = self._embedded(input_ids, (pixel_values_videos, frame_spans, frame_counts), fast)
            if labels is not None:
                labels = labels.masked_fill(self._is_visual(input_ids), IGNORED_LABEL)
            input_ids = None
        if attention_mask is not None and attention_mask.ndim == 2:
            if position_ids is None:
                new = (input_ids if inputs_embeds is None else inputs_embeds).shape[1]  # type: ignore[union-attr]
                position_ids = (attention_mask.long().cumsum(dim=1) - 1).clamp(min=0)[:, -new:]
            if labels is not None:
                is_real = attention_mask.bool()  # and so is what it is predicted from; no loss looks at the first label
                labels = labels.masked_fill(~(is_real & is_real.roll(1, dims=1)), IGNORED_LABEL)
        return self.language_model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            labels=labels,
            use_cache=use_cache,
            logits_to_keep=logits_to_keep,
            **kwargs,
        )

    def generate(self, inputs: Tensor | None = None, **kwargs: Any) -> Any:  # type: ignore[override, unused-ignore]
        """transformers' `generate`; the videos are encoded once, before any step and for all beams and sequences."""
        video = {name: kwargs.pop(name, None) for name in VIDEO_INPUTS}
        if video["pixel_values_videos"] is not None:
            inputs = kwargs.pop("input_ids", inputs)
            with torch.no_grad():
                slow, fast = ([video[name] for name in names] for names in (VIDEO_INPUTS[:3], FAST_INPUTS))
                kwargs["inputs_embeds"] = self._embedded(inputs, slow, fast)
        return super().generate(inputs, **kwargs)  # type: ignore[misc, unused-ignore]

    def _seen(self, frames: Tensor) -> Tensor:
        """Frames `[K, 3, side, side]` to `[K, N, C]`, so many at once that memory does not grow with the video."""
        size = BATCH_FRAMES if frames.is_cuda else CPU_BATCH
        return torch.cat([self.vision_tower(some) for some in frames.split(size)])

    def _is_visual(self, input_ids: Tensor | None) -> Tensor:
        if input_ids is None or self.config.video_token_id is None:
            raise ValueError("videos go with input_ids, and with a config that knows its video_token_id")
        return input_ids.eq(self.config.video_token_id)

    def _embedded(self, input_ids: Tensor | None, slow: Sequence[Any], fast: Sequence[Any]) -> Tensor:
        if input_ids is None or slow[1] is None:
            raise ValueError("pixels of videos go with input_ids that say where, and frame_spans that say when")
        with_fast = None if fast[0] is None else (fast[0], fast[1], fast[2])
        return self.embed_prompt(input_ids, self.visual_tokens(slow[0], slow[1], slow[2], with_fast))


def _cast(module: nn.Module, dtype: torch.dtype) -> None:
    """Weights to `dtype`, as a loaded file has them.

    `module.to` would also round the frequencies of rotary positions, which no file holds: in bfloat16 angles are off by
    half a radian after a few hundred positions.
    """
    for tensor in module.state_dict(keep_vars=True).values():
        if tensor.is_floating_point():
            tensor.data = tensor.data.to(dtype)


for _auto in (AutoModel, AutoModelForImageTextToText, AutoModelForMultimodalLM):
    _auto.register(TvuConfig, TvuForConditionalGeneration, exist_ok=True)
