"""From a config to the encoder that it describes: the config's class says which."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tvu.temporal.encode_time import NoEncoder, TemporalEncoder
from tvu.temporal.encoders.lightnet import (
    GlobalLightNetEncoder,
    GlobalLightNetEncoderConfig,
    LightNetEncoder,
    LightNetEncoderConfig,
)
from tvu.temporal.encoders.lrcn import LRCNConfig, LRCNEncoder
from tvu.temporal.encoders.prefix_attention import (
    BidirectionalPrefixAttentionConfig,
    BidirectionalPrefixAttentionEncoder,
    PrefixAttentionConfig,
    PrefixAttentionEncoder,
)
from tvu.temporal.encoders.storm import StormConfig, StormTemporalEncoder


@dataclass(frozen=True)
class NoEncoderConfig:
    """Every token knows only its own frame."""


EncoderConfig = (
    NoEncoderConfig
    | LightNetEncoderConfig
    | GlobalLightNetEncoderConfig
    | PrefixAttentionConfig
    | BidirectionalPrefixAttentionConfig
    | LRCNConfig
    | StormConfig
)

_BUILDERS: dict[type, Callable[[Any], TemporalEncoder]] = {
    NoEncoderConfig: lambda config: NoEncoder(),
    LightNetEncoderConfig: LightNetEncoder,
    GlobalLightNetEncoderConfig: GlobalLightNetEncoder,
    PrefixAttentionConfig: PrefixAttentionEncoder,
    BidirectionalPrefixAttentionConfig: BidirectionalPrefixAttentionEncoder,
    LRCNConfig: LRCNEncoder,
    StormConfig: StormTemporalEncoder,
}


def build_encoder(config: EncoderConfig) -> TemporalEncoder:
    """The encoder of `config`, an `nn.Module` with random weights. Raises ValueError if it is no encoder's config."""
    if type(config) not in _BUILDERS:
        raise ValueError(f"{type(config).__name__} is not the config of a temporal encoder")
    return _BUILDERS[type(config)](config)
