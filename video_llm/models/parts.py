"""From the plain values of a `config.json` to the parts of the model that they name.

Each part is a mapping: `name` says which, and the other entries are the fields of its own config or constructor.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

from tvu.temporal.compress import Reduction
from tvu.temporal.encode_time import TemporalEncoder
from tvu.temporal.encoders.choose import EncoderConfig, NoEncoderConfig, build_encoder
from tvu.temporal.encoders.lightnet import GlobalLightNetEncoderConfig, LightNetConfig, LightNetEncoderConfig
from tvu.temporal.encoders.lrcn import LRCNConfig
from tvu.temporal.encoders.prefix_attention import BidirectionalPrefixAttentionConfig, PrefixAttentionConfig
from tvu.temporal.encoders.storm import StormConfig
from tvu.temporal.reduction.changed import KeepChanged
from tvu.temporal.reduction.merge import MergeSimilar
from tvu.temporal.reduction.pool import PoolTokens
from tvu.temporal.reduction.shuffle import TokenShuffle
from tvu.temporal.reduction.slots import CrossAttentionSampler, SlotSampler
from tvu.temporal.reduction.slowfast import CellMeans, FrameMeans, SlowFrames, slow_fast
from tvu.temporal.squeezetime.network import SqueezeTimeConfig
from tvu.temporal.tape import TemporalAdapter
from tvu.temporal.time_tokens.codec import TimeCodec
from tvu.temporal.time_tokens.lita import LitaTimeTokens
from tvu.temporal.time_tokens.text_times import TextTimes
from tvu.temporal.time_tokens.vtg_llm import VtgLlmTimeTokens

Told = Mapping[str, Any]

CODECS: dict[str, Callable[..., TimeCodec]] = {"lita": LitaTimeTokens, "vtg-llm": VtgLlmTimeTokens, "text": TextTimes}

PLAIN_REDUCTIONS: dict[str, Callable[..., Reduction]] = {
    "pool": PoolTokens,
    "slow_fast": slow_fast,
    "frame_means": FrameMeans,
    "cell_means": CellMeans,
    "slow_frames": SlowFrames,
    "keep_changed": KeepChanged,
    "merge_similar": MergeSimilar,
}
"""Without weights, so of any width."""


def _lightnet(whole_video: bool = False) -> Callable[..., EncoderConfig]:
    def config(channels: int, layers: int = 2, **layer: Any) -> EncoderConfig:
        kind = GlobalLightNetEncoderConfig if whole_video else LightNetEncoderConfig
        return kind(LightNetConfig(channels, **layer), layers)

    return config


_ENCODERS: dict[str, Callable[..., EncoderConfig]] = {
    "storm": StormConfig,
    "lrcn": LRCNConfig,
    "prefix_attention": PrefixAttentionConfig,
    "bidirectional_prefix_attention": BidirectionalPrefixAttentionConfig,
    "lightnet": _lightnet(),
    "global_lightnet": _lightnet(whole_video=True),
}


def _token_shuffle(channels: int, merge_len: int = 4, width: int | None = None, adapter: Told | None = None) -> Any:
    width = width or channels
    tape = None if adapter is None else TemporalAdapter(merge_len, channels=channels, width=width, **adapter)
    return TokenShuffle(merge_len, channels, width, tape)


_TRAINED_REDUCTIONS: dict[str, Callable[..., Any]] = {
    "slots": lambda channels, num_slots: SlotSampler(num_slots, channels),
    "cross_attention_slots": lambda channels, num_slots, heads=8: CrossAttentionSampler(num_slots, channels, heads),
    "shuffle": _token_shuffle,
}


def build_codec(told: Told) -> TimeCodec:
    """`lita` (num_time_tokens), `vtg-llm` or `text` (decimals)."""
    return _made("a codec", CODECS, told)


def build_temporal_encoder(told: Told | None, channels: int) -> TemporalEncoder:
    """The encoder of a config of `temporal/encoders/choose.py`, for tokens of `channels`; None: none at all.

    `lightnet` takes the fields of its layers beside `layers`. `channels` need not be told; told, they must be right.
    """
    if told is None:
        return build_encoder(NoEncoderConfig())
    fields = dict(told)
    if fields.pop("channels", channels) != channels:
        raise ValueError(f"the temporal encoder gets {channels} channels, not {told['channels']}")
    return build_encoder(_made("a temporal encoder", _ENCODERS, fields, channels=channels))


def build_reductions(told: Sequence[Told], channels: int) -> tuple["Reductions", int]:
    """The reductions in turn, for tokens of `channels`, and the channels that come out of the last."""
    steps: list[Reduction] = []
    for each in told:
        steps.append(_reduction(each, channels))
        channels = each.get("width", channels)
    return Reductions(steps), channels


class Reductions(nn.Module):
    """Reductions to be called in turn; those with weights are sub-modules under their number."""

    def __init__(self, steps: Sequence[Reduction]) -> None:
        super().__init__()
        self._plain = [None if isinstance(step, nn.Module) else step for step in steps]
        for number, step in enumerate(steps):
            if isinstance(step, nn.Module):
                self.add_module(str(number), step)

    @property
    def steps(self) -> tuple[Reduction, ...]:
        """All of them in their order."""
        return tuple(plain or self.get_submodule(str(number)) for number, plain in enumerate(self._plain))


def squeezetime_config(told: Told) -> SqueezeTimeConfig:
    """`depth` (with num_frames and width_factor) of a published network, or the fields of `SqueezeTimeConfig`."""
    if "depth" in told:
        return SqueezeTimeConfig.of_depth(**told)
    fields: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in told.items()}
    return SqueezeTimeConfig(**fields)


def _reduction(told: Told, channels: int) -> Reduction:
    if told.get("name") in PLAIN_REDUCTIONS:
        return _made("a reduction", PLAIN_REDUCTIONS, told)
    return _made("a reduction", {**PLAIN_REDUCTIONS, **_TRAINED_REDUCTIONS}, told, channels=channels)


def _made(what: str, makers: Mapping[str, Callable[..., Any]], told: Told, **given: Any) -> Any:
    fields = dict(told)
    name = fields.pop("name", None)
    if name not in makers:
        raise ValueError(f"{what} is one of {', '.join(makers)}, not {name!r}")
    try:
        return makers[name](**given, **fields)
    except TypeError as error:
        raise ValueError(f"{what} {name!r} has other fields: {error}") from error
