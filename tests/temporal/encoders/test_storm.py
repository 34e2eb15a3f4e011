"""STORM's temporal encoder."""

import pytest
import torch

from tvu.temporal.encode_time import encode_time
from tvu.temporal.encoders.storm import StormConfig, StormTemporalEncoder
from tvu.temporal.reduction.pool import PoolTokens
from tvu.temporal.types import VisualTokens

LENGTHS = [7, 5, 1]


def encoder(mixer="mamba2", **settings):
    torch.manual_seed(0)
    made = StormTemporalEncoder(StormConfig(12, mixer=mixer, d_state=5, headdim=8, **settings)).double()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return made


def biased(made):
    """The same with a bias in the projections, which no published block has but a mixer may."""
    for layer in made.layers:
        projection = layer.mixer.out_proj
        projection.bias = torch.nn.Parameter(torch.randn(projection.out_features, dtype=torch.float64))
    return made


def video(padding=0.0):
    torch.manual_seed(1)
    features = torch.randn(3, 7, 15, 12, dtype=torch.float64)
    for row, length in enumerate(LENGTHS):
        features[row, length:] = padding
    starts = torch.arange(7, dtype=torch.float64).expand(3, 7)
    return VisualTokens.from_frames(features, torch.stack([starts, starts + 1], -1), (3, 5), torch.tensor(LENGTHS))


@pytest.mark.parametrize("mixer", ["mamba", "mamba2"])
@pytest.mark.parametrize("bidirectional", [True, False])
class TestEveryKind:
    def test_padding_never_leaks(self, mixer, bidirectional):
        made, tokens = encoder(mixer, bidirectional=bidirectional), video(padding=torch.nan)
        encoded = encode_time(tokens, made).features
        for row, length in enumerate(LENGTHS):
            alone = made(tokens.features[row : row + 1, :length])
            torch.testing.assert_close(encoded[row : row + 1, :length], alone, rtol=0, atol=1e-12)
        encoded[0].sum().backward()
        assert all(parameter.grad.isfinite().all() for parameter in made.parameters())

    @pytest.mark.parametrize("pooling", [PoolTokens(4), PoolTokens(1, 2), PoolTokens(4, 2), PoolTokens(3, 2, 2)])
    def test_pooling_before_the_last_projection_is_pooling_after_it(self, mixer, bidirectional, pooling):
        made, tokens = biased(encoder(mixer, bidirectional=bidirectional)), video(padding=torch.inf)
        after, before = pooling(encode_time(tokens, made)), made.encode_and_pool(tokens, pooling)
        assert (after.features - before.features).abs().max() <= 1e-12
        assert torch.equal(after.spans, before.spans) and torch.equal(after.sources, before.sources)
        assert after.grid == before.grid and torch.equal(after.lengths, before.lengths)

    def test_the_gradients_of_both_orders_agree(self, mixer, bidirectional):
        made, tokens, pooling = encoder(mixer, bidirectional=bidirectional), video(), PoolTokens(4, 2)
        after, before = (
            torch.autograd.grad(pooled.features.square().sum(), list(made.parameters()))
            for pooled in (pooling(encode_time(tokens, made)), made.encode_and_pool(tokens, pooling))
        )
        torch.testing.assert_close(after, before, rtol=1e-9, atol=1e-9)

    def test_tokens_are_read_row_by_row_and_frame_after_frame(self, mixer, bidirectional):
        made, features = encoder(mixer, bidirectional=bidirectional), video().features[:1]
        as_one_frame = made(features.reshape(1, 1, 105, 12))
        torch.testing.assert_close(made(features).reshape_as(as_one_frame), as_one_frame, rtol=0, atol=1e-12)


@pytest.mark.parametrize("mixer", ["mamba", "mamba2"])
@pytest.mark.parametrize("cuts", [[1] * 7, [3, 4], [6, 1]])
def test_frames_may_arrive_in_any_pieces(mixer, cuts):
    made, features = encoder(mixer, bidirectional=False), video().features
    state, pieces = None, []
    for frames in features.split(cuts, dim=1):
        encoded, state = made.step(frames, state)
        pieces.append(encoded)
    torch.testing.assert_close(torch.cat(pieces, dim=1), made(features), rtol=0, atol=1e-12)


@pytest.mark.parametrize("mixer", ["mamba", "mamba2"])
def test_only_both_directions_see_the_future(mixer):
    features = video().features[:1]
    changed = features.clone()
    changed[:, -1, :, 0] += 1
    for bidirectional in (True, False):
        made = encoder(mixer, bidirectional=bidirectional)
        assert torch.equal(made(features)[:, 0], made(changed)[:, 0]) is not bidirectional


def test_an_image_is_a_video_of_one_frame():
    made = encoder()
    assert made(torch.randn(2, 1, 15, 12, dtype=torch.float64)).shape == (2, 1, 15, 12)


def test_halved_directions_differ_from_their_sum():
    features = video().features
    assert not torch.allclose(encoder("mamba", halve=True)(features), encoder("mamba")(features))


@pytest.mark.parametrize("mixer", ["mamba", "mamba2"])
def test_half_precision_stays_half(mixer):
    made = encoder(mixer).to(torch.bfloat16)
    encoded = made(video().features.to(torch.bfloat16))
    assert encoded.dtype == torch.bfloat16 and encoded.isfinite().all()


def test_an_encoder_that_looks_ahead_has_no_stream():
    with pytest.raises(ValueError, match="looks ahead"):
        encoder().step(torch.zeros(1, 1, 15, 12, dtype=torch.float64))


@pytest.mark.parametrize(
    "broken",
    [
        {"mixer": "lstm"},
        {"layers": 0},
        {"mixer": "mamba2", "headdim": 7},
        {"d_conv": 0},
        {"mixer": "mamba2", "halve": True},
        {"bidirectional": False, "halve": True},
    ],
)
def test_settings_that_do_not_fit_are_refused(broken):
    with pytest.raises(ValueError, match=r"not|undoes|halved|at least"):
        StormConfig(12, **broken)
