"""One function from a config to an encoder, and what all encoders promise."""

import pytest
import torch

from tvu.temporal.encode_time import StreamingEncoder, encode_time
from tvu.temporal.encoders.choose import NoEncoderConfig, build_encoder
from tvu.temporal.encoders.lightnet import LightNetConfig
from tvu.temporal.encoders.speed import contenders, measure
from tvu.temporal.types import VisualTokens

close = torch.testing.assert_close
KINDS = contenders(64)
CAUSAL = {"none", "lrcn", "lightnet, causal", "prefix attention", "storm, mamba2, forward", "storm, mamba, forward"}


def built(kind, dtype=torch.float64):
    torch.manual_seed(0)
    return build_encoder(KINDS[kind]).to(dtype)


def tokens(dtype=torch.float64):
    random = torch.Generator().manual_seed(0)
    features = torch.randn(2, 5, 6, 64, generator=random, dtype=torch.float64).to(dtype)
    spans = torch.arange(6, dtype=torch.float64).unfold(0, 2, 1).expand(2, 5, 2)
    return VisualTokens.from_frames(features, spans, (2, 3), torch.tensor([5, 3]))


@pytest.mark.parametrize("kind", KINDS)
def test_an_encoder_gives_as_many_tokens_with_their_spans(kind):
    given = tokens()
    encoded = encode_time(given, built(kind))
    assert encoded.features.shape == given.features.shape
    assert encoded.spans is given.spans
    assert encoded.features[given.mask].isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
def test_padding_never_leaks_into_real_frames(kind):
    encoder, features = built(kind), tokens().features.clone()
    features[1, 3:] = torch.nan
    y = encoder(features, torch.tensor([5, 3]))
    close(y[1:, :3], encoder(features[1:, :3]))


@pytest.mark.parametrize("kind", sorted(CAUSAL))
def test_a_video_may_be_encoded_as_it_arrives(kind):
    encoder, features = built(kind), tokens().features
    state, pieces = None, []
    for cut in (slice(0, 1), slice(1, 4), slice(4, 5)):
        y, state = encoder.step(features[:, cut], state)
        pieces.append(y)
    close(torch.cat(pieces, dim=1), encoder(features))


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"none"}))
def test_a_frame_learns_of_the_past_and_of_the_future_only_in_both_directions(kind):
    encoder, features = built(kind), tokens().features[:1].requires_grad_()
    (gradient,) = torch.autograd.grad(encoder(features)[:, 2].square().sum(), features)
    reached = gradient.abs().sum(dim=(0, 2, 3)) > 1e-12
    assert reached.tolist() == [True, True, True, kind not in CAUSAL, kind not in CAUSAL]


@pytest.mark.parametrize("kind", KINDS)
def test_features_keep_their_dtype(kind):
    encoder = built(kind, torch.bfloat16)
    features = tokens(torch.bfloat16).features
    y = encoder(features)
    assert y.dtype == torch.bfloat16
    exact = built(kind)(features.double())
    assert (y.double() - exact).abs().mean() < 0.05  # weights, too, are rounded to eight bits


def test_what_is_no_encoders_config_is_told():
    assert build_encoder(NoEncoderConfig())(torch.ones(1, 1, 1, 1)) == 1
    with pytest.raises(ValueError, match="LightNetConfig"):
        build_encoder(LightNetConfig(128))


def test_all_encoders_are_timed_in_one_run():
    timings = measure(frames=4, tokens=3, channels=64)
    assert [timing.what for timing in timings] == ["attention, causal", *KINDS]
    assert all(timing.seconds > 0 for timing in timings)
    assert [timing.what for timing in timings if timing.ratio is None] == ["none"]


@pytest.mark.parametrize("kind", sorted(CAUSAL))
def test_an_encoder_that_looks_back_only_can_be_streamed(kind):
    assert isinstance(built(kind), StreamingEncoder)
