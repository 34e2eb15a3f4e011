"""The configuration of the Video-LLM: plain values, every part named and given its own fields."""

import json
from collections.abc import Mapping
from copy import deepcopy
from functools import lru_cache
from typing import Any

import torch
from transformers import AutoConfig, PreTrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from tvu.video_llm.models.layout import TIMELESS, TokenLayout
from tvu.video_llm.models.parts import build_codec
from tvu.video_llm.models.vision import VisionTower, build_vision_tower

TELLINGS = (None, "list", "groups")
TIMES_IN = ("codec", "seconds")
NAMES_OF_CODE = ("auto_map", "attn_implementation", "_attn_implementation", "experts_implementation")


class TvuConfig(PreTrainedConfig):
    """What a Video-LLM is made of; see `parts.py` for the names of encoders, reductions and codecs.

    vision_config:  the tower, as `build_vision_tower` takes it.
    text_config:    any causal language model of transformers, as its config or as the values of that and `model_type`.
    projector:      `layers` (0: none, the widths are equal; 1: linear; 2: linear, GELU, linear), `space_to_depth` (2 x
                    2 tokens side by side before it, as STORM and VILA do) and `norm` (LayerNorm before it).
    temporal:       the temporal encoder; None: none.
    reductions:     in turn, after the encoder.
    project_first:  to the language model's width before time is encoded, as STORM does; or, False, the encoder and the
                    reductions at the vision tower's width and the projector last: the same for a linear projector
                    among means, and far cheaper.
    fast_path:      SqueezeTime snippets beside the frames: `network` (see `squeezetime_config`), `hop` frames from a
                    snippet to the next (None: its length), `grid` of tokens a snippet (default (1, 1)), `side` pixels
                    and `fps` frames a second that it looks at, `max_frames` of them at most, `projector` as above;
                    None: there is none.
    codec:          how the model writes times: `lita`, `vtg-llm` or `text`, with its fields.
    tells_times:    how the model is told when it sees what: None, not at all; `list`, the times of all frames as a
                    sentence after the video; `groups`, a time before each run of visual tokens that share a span.
    times_in:       `codec`, those times as the model itself writes them; `seconds`, as decimals.
    video_token_id: the id that stands for a visual row in `input_ids`; None until a tokenizer has one.
    untrained:      parts that are still as they started, at random; whoever trains them takes them off this list.

    Raises ValueError for a part that there is not. All other fields are transformers'.
    """

    model_type = "tvu"
    sub_configs = {"text_config": AutoConfig}  # noqa: RUF012

    vision_config: dict[str, Any] | None = None
    text_config: dict[str, Any] | PreTrainedConfig | None = None
    projector: dict[str, Any] | None = None
    temporal: dict[str, Any] | None = None
    reductions: list[dict[str, Any]] | None = None
    project_first: bool = True
    fast_path: dict[str, Any] | None = None
    codec: dict[str, Any] | None = None
    tells_times: str | None = "list"
    times_in: str = "codec"
    video_token_id: int | None = None
    untrained: list[str] | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        self.vision_config = self.vision_config or {"name": "efficientnet-lite0", "grid": 7}
        self.projector = {"layers": 2, "space_to_depth": False, "norm": False, **(self.projector or {})}
        self.reductions = self.reductions or []
        self.codec = self.codec or {"name": "lita"}
        if isinstance(self.text_config, PreTrainedConfig):  # a copy: transformers forgets of ours how it attends, and
            self.text_config = deepcopy(self.text_config)  # a model that lives by it would attend to what comes after
        else:
            self.text_config = _language_config(self.text_config or {})
        super().__post_init__(**kwargs)
        self.tie_word_embeddings = False  # the language model inside ties its own
        build_codec(self.codec)
        if not all(isinstance(part, str) for part in self.untrained or ()):
            raise ValueError(f"untrained are names of parts, not {self.untrained}")
        if self.tells_times not in TELLINGS or self.times_in not in TIMES_IN:
            raise ValueError(
                f"tells_times is one of {TELLINGS} and times_in of {TIMES_IN}, not {self.tells_times}, {self.times_in}"
            )
        unknown = [told["name"] for told in self.reductions if told.get("name") in TIMELESS]
        if self.tells_times == "groups" and unknown:
            raise ValueError(f"times of groups cannot be told: what {unknown[0]} keeps depends on the content")

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """As transformers' own; how attention is computed says the caller, never a file, which could name code."""
        return super().from_dict(_without_code(config_dict), **kwargs)

    @property
    def language_width(self) -> int:
        """C, the width of the language model."""
        return self.text_config.hidden_size  # type: ignore[union-attr]

    def layout(self) -> TokenLayout:
        """How the tokens of the vision tower become visual rows."""
        return TokenLayout(
            grid=vision_outline(self.vision_config).grid,
            space_to_depth=self.projector["space_to_depth"],  # type: ignore[index]
            project_first=self.project_first,
            reductions=tuple(self.reductions or ()),
            fast_path=self.fast_path,
        )

    def num_visual_tokens(self, num_frames: int, num_fast_frames: int | None = None) -> int:
        """How many visual rows a video of `num_frames` becomes; `num_fast_frames` are those of the fast path."""
        return self.layout().num_visual_tokens(num_frames, num_fast_frames)


def vision_outline(vision_config: Any) -> VisionTower:
    """The tower without weights: its grid, channels, side and how it wants its pictures resized."""
    return _outline(json.dumps(vision_config, sort_keys=True))


@lru_cache(maxsize=8)
def _outline(vision_config: str) -> VisionTower:
    with torch.device("meta"):
        return build_vision_tower(json.loads(vision_config))


def _language_config(told: Mapping[str, Any]) -> PreTrainedConfig:
    fields = dict(told)
    name = fields.pop("model_type", "llama")
    if name not in CONFIG_MAPPING:
        raise ValueError(f"transformers has no language model of type {name!r}")
    return CONFIG_MAPPING[name](**fields)


def _without_code(told: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a file, without those by which it could name code to be fetched and run."""
    return {
        name: _without_code(value) if isinstance(value, Mapping) else value
        for name, value in told.items()
        if name not in NAMES_OF_CODE
    }


AutoConfig.register(TvuConfig.model_type, TvuConfig, exist_ok=True)
