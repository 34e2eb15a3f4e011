"""LightNet: a running softmax over time per key channel."""

import pytest
import torch

from tvu.temporal.encoders.lightnet import (
    GlobalLightNetEncoder,
    GlobalLightNetEncoderConfig,
    GlobalLightNetLayer,
    LightNetConfig,
    LightNetEncoder,
    LightNetEncoderConfig,
    LightNetLayer,
)

close = torch.testing.assert_close
PLAIN = LightNetConfig(12, num_heads=3, expand_ratio=5, gate_low_rank_dim=4)
WITH_CONVOLUTION = LightNetConfig(12, num_heads=2, expand_ratio=4, use_short_conv=True, conv_size=3, conv_bias=True)


def layer_and_tokens(config, length=21, kind=LightNetLayer):
    torch.manual_seed(0)
    layer = kind(config).double()
    return layer, 3 * torch.randn(2, length, config.hidden_size, dtype=torch.float64)


@pytest.mark.parametrize("config", [PLAIN, WITH_CONVOLUTION])
def test_the_state_is_the_mean_of_values_under_a_softmax_of_keys(config):
    layer, x = layer_and_tokens(config)
    _, state = layer.step(x)
    _, k, v, _ = layer.project(x, None)
    close(state.recurrent, torch.einsum("blhk,blhv->bhkv", k.softmax(1), v))
    close(state.log_normaliser, k.logsumexp(1, keepdim=True))


@pytest.mark.parametrize("config", [PLAIN, WITH_CONVOLUTION])
@pytest.mark.parametrize("cuts", [(1, 2, 21), (20, 21), (7, 8, 9, 10, 21)])
def test_any_cut_into_steps_gives_the_whole(config, cuts):
    layer, x = layer_and_tokens(config)
    state, start, pieces = None, 0, []
    for end in cuts:
        y, state = layer.step(x[:, start:end], state)
        pieces.append(y)
        start = end
    close(torch.cat(pieces, dim=1), layer(x))


@pytest.mark.parametrize("config", [PLAIN, WITH_CONVOLUTION])
def test_the_last_token_sees_the_same_with_and_without_a_direction(config):
    layer, x = layer_and_tokens(config)
    everywhere = GlobalLightNetLayer(config).double()
    everywhere.load_state_dict(layer.state_dict())
    close(everywhere(x)[:, -1], layer(x)[:, -1])


def test_without_a_direction_the_order_of_tokens_changes_nothing():
    layer, x = layer_and_tokens(PLAIN, kind=GlobalLightNetLayer)
    order = torch.randperm(21)
    close(layer(x[:, order]), layer(x)[:, order])


@pytest.mark.parametrize("config", [PLAIN, WITH_CONVOLUTION])
@pytest.mark.parametrize("kind", [LightNetLayer, GlobalLightNetLayer])
def test_padding_on_the_left_is_as_if_it_were_not_there(config, kind):
    layer, x = layer_and_tokens(config, kind=kind)
    mask = torch.ones(2, 21)
    mask[1, :9] = 0
    padded = layer(x, mask)
    close(padded[0], layer(x)[0])
    if kind is LightNetLayer or not config.use_short_conv:  # a bias of the convolution stands in the padding too
        close(padded[1, 9:], layer(x[1:, 9:])[0])


def test_the_padding_of_one_piece_may_go_on_in_the_next():
    layer, x = layer_and_tokens(PLAIN)
    mask = torch.ones(2, 21)
    mask[1, :9] = 0
    first, state = layer.step(x[:, :5], mask=mask[:, :5])
    second, _ = layer.step(x[:, 5:], state, mask[:, 5:])
    close(torch.cat([first, second], dim=1), layer(x, mask))


def test_gradients_pass_padding_and_large_keys():
    layer, x = layer_and_tokens(PLAIN)
    mask = torch.ones(2, 21)
    mask[1, :9] = 0
    x = (1e3 * x).requires_grad_()
    layer(x, mask).sum().backward()
    assert x.grad.isfinite().all()
    assert (x.grad[1, :9] == 0).all()


def test_gradients_are_those_of_finite_differences():
    layer, x = layer_and_tokens(LightNetConfig(4, num_heads=2, expand_ratio=3, gate_low_rank_dim=2), length=5)
    assert torch.autograd.gradcheck(layer, (x / 3).requires_grad_())


def test_heads_follow_from_the_key_width_and_the_key_width_from_the_heads():
    assert LightNetConfig(256).heads == 2
    assert LightNetConfig(256, num_heads=8, expand_ratio=None).key_channels == 32
    assert (LightNetConfig(24, num_heads=3, expand_ratio=5).heads, PLAIN.key_channels) == (3, 5)


@pytest.mark.parametrize("wrong", [{"num_heads": 5}, {"expand_ratio": None}, {"conv_size": 0}, {"num_heads": 0}, {}])
def test_sizes_that_cannot_be_are_told(wrong):
    with pytest.raises(ValueError):
        LightNetConfig(12, **wrong)  # 12 channels hold no head of 128, the official default


def encoders():
    torch.manual_seed(0)
    return [
        LightNetEncoder(LightNetEncoderConfig(PLAIN)).double(),
        LightNetEncoder(LightNetEncoderConfig(WITH_CONVOLUTION, layers=1)).double(),
        GlobalLightNetEncoder(GlobalLightNetEncoderConfig(PLAIN)).double(),
    ]


@pytest.mark.parametrize("encoder", encoders(), ids=["causal", "convolution", "global"])
def test_padding_never_leaks_into_real_frames(encoder):
    torch.manual_seed(0)
    features = torch.randn(2, 6, 3, 12, dtype=torch.float64)
    features[1, 4:] = torch.nan
    y = encoder(features, torch.tensor([6, 4]))
    close(y[1:, :4], encoder(features[1:, :4]))
    close(y[:1], encoder(features[:1]))


@pytest.mark.parametrize("encoder", encoders()[:2], ids=["causal", "convolution"])
def test_a_video_may_be_encoded_as_it_arrives(encoder):
    features = torch.randn(2, 6, 3, 12, dtype=torch.float64)
    first, state = encoder.step(features[:, :1])
    second, state = encoder.step(features[:, 1:5], state)
    third, _ = encoder.step(features[:, 5:], state)
    close(torch.cat([first, second, third], dim=1), encoder(features))


def test_an_encoder_has_a_layer():
    with pytest.raises(ValueError):
        LightNetEncoderConfig(PLAIN, layers=0)
