"""SqueezeTime: sizes as published, order of the squeeze, position codes, training, folding."""

from functools import cache

import pytest
import torch
from torch import nn
from torch.nn import functional

from tvu.temporal.squeezetime.block import Bottleneck, ChannelTime, Interaction, resized_code
from tvu.temporal.squeezetime.cost import count_macs
from tvu.temporal.squeezetime.fused import fused
from tvu.temporal.squeezetime.network import (
    DEPTHS,
    ClassHead,
    SqueezeTime,
    SqueezeTimeClassifier,
    SqueezeTimeConfig,
    grouped_by_time,
    squeeze_time,
    widened,
)

TINY = SqueezeTimeConfig(layers=(1, 2, 1, 1), widths=(4, 6, 8, 10), num_frames=4, code_sides=(8, 4, 2, 1))
TINY_BASIC = SqueezeTimeConfig((1, 1, 1, 1), False, (4, 6, 8, 10), 4)


@cache
def on_meta(depth, **kwargs):
    with torch.device("meta"):
        return SqueezeTime(SqueezeTimeConfig.of_depth(depth, **kwargs)).eval()


def num_parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def with_statistics(network, seed=0):
    """The network with batch norms as training leaves them: no mean is 0 and no variance 1."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in [(module.running_mean, -0.3, 0.3), (module.running_var, 0.5, 2.0)]:
                tensor.uniform_(low, high, generator=generator)
            for tensor, low, high in [(module.weight, 0.5, 1.5), (module.bias, -0.3, 0.3)]:
                nn.init.uniform_(tensor, low, high, generator=generator)
    return network.eval()


def test_the_published_network_has_the_published_size():
    network = on_meta(50)
    assert num_parameters(network) == 28_887_088
    parts = {name: num_parameters(module) for name, module in network.named_children() if num_parameters(module)}
    assert parts == {
        "conv1": 76_800,
        "bn1": 128,
        "layer1": 497_184,
        "layer2": 1_668_224,
        "layer3": 8_824_768,
        "layer4": 17_819_984,
    }
    codes = sum(module.pos_embed.numel() for module in network.modules() if isinstance(module, Interaction))
    assert codes == 221_872  # without them, the 28.7 M of the paper


def test_its_state_dict_has_443_parameters_and_the_buffers_of_104_batch_norms():
    network = on_meta(50)
    assert len(list(network.parameters())) == 443
    assert len(network.state_dict()) == 443 + 3 * 104 == 755


@pytest.mark.parametrize(("classes", "parameters"), [(400, 819_600), (600, 1_229_400), (51, 104_499)])
def test_heads_have_their_published_sizes(classes, parameters):
    assert num_parameters(ClassHead(2048, classes)) == parameters


@pytest.mark.parametrize(
    ("frames", "parameters", "gmacs"), [(4, 28.829, 4.78), (8, 28.849, 5.02), (16, 28.887, 5.51), (32, 28.964, 6.47)]
)
def test_more_frames_cost_only_the_stem(frames, parameters, gmacs):
    network = on_meta(50, num_frames=frames)
    assert round(num_parameters(network) / 1e6, 3) == parameters
    assert round(count_macs(network, 1, 3, frames, 224, 224).total / 1e9, 2) == gmacs


@pytest.mark.parametrize(
    ("factor", "parameters", "gmacs"), [(0.5, 7.85, 1.85), (0.75, 16.67, 3.43), (1.0, 28.89, 5.51), (1.25, 44.51, 8.07)]
)
def test_widths_cost_what_is_published(factor, parameters, gmacs):
    network = on_meta(50, width_factor=factor)
    assert round(num_parameters(network) / 1e6, 2) == parameters
    assert round(count_macs(network, 1, 3, 16, 224, 224).total / 1e9, 2) == gmacs


@pytest.mark.parametrize(("side", "gmacs"), [(224, 5.506), (256, 7.19), (286, 9.08)])
def test_larger_pictures_cost_what_is_published(side, gmacs):
    macs = count_macs(on_meta(50), 1, 3, 16, side, side)
    assert macs.total / 1e9 == pytest.approx(gmacs, abs=0.005 if side > 224 else 0.0005)
    assert macs.norms / macs.total < 0.006  # whatever is counted, it is the convolutions


def test_torchs_own_counter_agrees_about_the_convolutions():
    from torch.utils.flop_counter import FlopCounterMode

    network = on_meta(50)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.empty(1, 3, 16, 224, 224, device="meta"))
    assert counter.get_total_flops() == 2 * count_macs(network, 1, 3, 16, 224, 224).layers


@pytest.mark.parametrize("depth", DEPTHS)
def test_every_depth_reduces_32_times_and_ends_in_its_channels(depth):
    network = on_meta(depth, num_frames=8, width_factor=0.25)
    maps = network.stages(torch.empty(2, 3, 8, 96, 64, device="meta"))
    expansion = 1 if depth < 50 else 4
    assert [tuple(x.shape) for x in maps] == [
        (2, 16 * expansion, 24, 16),
        (2, 32 * expansion, 12, 8),
        (2, 64 * expansion, 6, 4),
        (2, 128 * expansion, 3, 2),
    ]


@pytest.mark.parametrize(
    ("side", "sides"),
    [
        (224, (56, 28, 14, 7)),
        (256, (64, 32, 16, 8)),
        (286, (72, 36, 18, 9)),
        (128, (32, 16, 8, 4)),
        (112, (28, 14, 7, 3)),
    ],
)
def test_maps_have_the_published_sides(side, sides):
    maps = on_meta(50).stages(torch.empty(1, 3, 16, side, side, device="meta"))
    assert tuple(x.shape[-1] for x in maps) == sides


def test_the_detection_variant_keeps_a_map_of_a_sixteenth_and_reads_channels_back_as_time():
    with torch.device("meta"):
        network = SqueezeTime(SqueezeTimeConfig(strides=(1, 2, 2, 1))).eval()
    assert not any(name.startswith("layer4.0.downsample") for name in network.state_dict())
    feature = network(torch.empty(1, 3, 16, 256, 256, device="meta"))
    assert feature.shape == (1, 2048, 16, 16)
    assert grouped_by_time(feature).shape == (1, 128, 16, 16, 16)
    channels = torch.arange(32).view(1, 32, 1, 1)
    assert grouped_by_time(channels)[0, 1, 3].item() == 19  # group k // 16, moment k % 16
    with pytest.raises(ValueError, match="moments"):
        grouped_by_time(channels, 5)


def test_the_squeeze_puts_all_reds_first_then_greens_then_blues():
    video = torch.arange(2 * 3 * 4).view(2, 3, 4, 1, 1)
    assert squeeze_time(video)[1].flatten().tolist() == list(range(12, 24))


def test_a_video_that_is_a_transposed_view_gives_the_same():
    network = SqueezeTime(TINY).eval()
    video = torch.randn(2, 3, 4, 37, 41)
    view = video.transpose(1, 2).contiguous().transpose(1, 2)
    assert not view.is_contiguous()
    torch.testing.assert_close(network(view), network(video))


def test_a_video_of_another_length_or_layout_is_refused():
    network = SqueezeTime(TINY)
    for shape in [(1, 3, 5, 32, 32), (1, 4, 3, 32, 32), (3, 4, 32, 32)]:
        with pytest.raises(ValueError, match=r"\[N, 3, 4, H, W\]"):
            network(torch.zeros(shape))


def test_a_code_of_the_maps_own_size_is_not_touched():
    code = torch.randn(1, 16, 7, 7)
    assert resized_code(code, 7, 7) is code


def test_a_resized_code_keeps_its_corners_and_halves_between_neighbours():
    code = torch.arange(4.0).view(1, 1, 2, 2)
    resized = resized_code(code, 3, 2)
    torch.testing.assert_close(resized[0, 0], torch.tensor([[0.0, 1.0], [1.0, 2.0], [2.0, 3.0]]))


def test_the_channel_time_module_is_its_equation():
    torch.manual_seed(0)
    module, x = with_statistics(ChannelTime(5, 6, 4)), torch.randn(2, 5, 9, 4)
    state = module.state_dict()
    assert not state["spatial_conv.pos_embed"].any()  # a network draws its codes, one module has none
    nn.init.normal_(module.spatial_conv.pos_embed)

    def norm(y, name):
        values = [state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        return functional.batch_norm(y, *values)

    p = functional.conv2d(x.mean((2, 3), keepdim=True), state["param_conv.1.weight"])
    p = functional.conv2d(norm(p, "param_conv.2").relu(), state["param_conv.4.weight"]).sigmoid()
    focus = functional.conv2d(p * x, state["temporal_conv.weight"])

    def conv(y, name, padding):
        name = f"spatial_conv.{name}"
        return functional.conv2d(y, state[f"{name}.weight"], state[f"{name}.bias"], padding=padding)

    narrow = norm(conv(p * x, "glo_conv.0", 1), "spatial_conv.glo_conv.1").relu()
    code = functional.interpolate(state["spatial_conv.pos_embed"], (9, 4), mode="bilinear", align_corners=True)
    narrow = norm(conv(narrow + code, "glo_conv.3", 3), "spatial_conv.glo_conv.4").relu()
    interaction = conv(x, "short_conv", 1) * conv(narrow, "glo_conv.6", 1).sigmoid()
    torch.testing.assert_close(module(x), focus + interaction)


def test_the_first_module_of_a_basic_block_has_a_7x7_code_whatever_was_asked_for():
    network = SqueezeTime(TINY_BASIC)
    assert network.layer1[0].conv1.spatial_conv.pos_embed.shape == (1, 16, 7, 7)
    assert network.layer1[0].conv2.spatial_conv.pos_embed.shape == (1, 16, 56, 56)


def test_a_block_that_changes_channels_without_a_projection_is_refused():
    with pytest.raises(ValueError, match="projected shortcut"):
        Bottleneck(8, 8, halves=False, projects=False, code_side=7)


def test_configs_check_themselves():
    for wrong in [{"layers": (1, 1, 1)}, {"widths": (0, 1, 1, 1)}, {"num_frames": 0}, {"code_sides": (7, 7, 7, 0)}]:
        with pytest.raises(ValueError):
            SqueezeTimeConfig(**wrong)
    with pytest.raises(ValueError, match="depth must be one of 10, 18"):
        SqueezeTimeConfig.of_depth(51)
    assert widened(0.09375) == (6, 12, 24, 48)


def test_weights_start_as_published():
    torch.manual_seed(0)
    network = SqueezeTime(SqueezeTimeConfig.of_depth(50, width_factor=0.5))
    codes = [stage[0].conv2.spatial_conv.pos_embed for stage in (network.layer1, network.layer2, network.layer3)]
    assert [round(code.std().item(), 2) for code in codes] == [0.03, 0.05, 0.10]  # sqrt(2) / P
    conv = network.layer1[0].conv2.spatial_conv.short_conv.weight  # fan out 32 * 9
    assert conv.std().item() == pytest.approx((2 / (32 * 9)) ** 0.5, rel=0.05)
    head = ClassHead(512, 100)
    assert head.fc_cls.weight.std().item() == pytest.approx(0.01, rel=0.05) and not head.fc_cls.bias.any()


def test_train_and_eval_return_the_network():
    network = SqueezeTime(TINY)
    assert network.train() is network and network.training
    assert network.eval() is network and not network.layer4[0].bn1.training


@pytest.mark.parametrize("config", [TINY, TINY_BASIC], ids=["bottleneck", "basic"])
def test_it_learns_and_its_running_statistics_move(config):
    torch.manual_seed(0)
    network = SqueezeTimeClassifier(config, num_classes=2, dropout=0.0).train()
    video, classes = torch.randn(6, 3, 4, 33, 35), torch.tensor([0, 1, 0, 1, 1, 0])
    before = network.net.layer3[0].bn1.running_mean.clone()
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    losses = []
    for _ in range(8):
        loss = functional.cross_entropy(network(video), classes)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert not torch.equal(before, network.net.layer3[0].bn1.running_mean)


def test_pooled_features_are_the_mean_of_the_last_map_and_what_the_head_sees():
    network = SqueezeTimeClassifier(TINY, num_classes=3).eval()
    video = torch.randn(2, 3, 4, 40, 36)
    pooled = network.net.pooled(video)
    assert pooled.shape == (2, 40)
    torch.testing.assert_close(network.head.fc_cls(pooled), network(video))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_comes_close(dtype):
    torch.manual_seed(0)
    network, video = with_statistics(SqueezeTime(TINY)), torch.randn(1, 3, 4, 33, 37)
    exact = network(video)
    halved = network.to(dtype)(video.to(dtype))
    assert halved.dtype == dtype
    assert (halved.float() - exact).abs().max() < 0.05 * exact.abs().max()


@pytest.mark.parametrize("config", [TINY, TINY_BASIC], ids=["bottleneck", "basic"])
def test_a_fused_network_gives_the_same_numbers_without_any_batch_norm(config):
    torch.manual_seed(0)
    network = with_statistics(SqueezeTimeClassifier(config, num_classes=5)).double()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    video = torch.randn(2, 3, 4, 45, 51, dtype=torch.float64)
    quick = fused(network)
    torch.testing.assert_close(quick(video), network(video), rtol=1e-9, atol=1e-12)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in quick.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())  # a copy


def test_a_fused_backbone_in_float32_is_within_its_stated_tolerance():
    torch.manual_seed(0)
    network = with_statistics(SqueezeTime(TINY)).train()  # and fusing does not need `eval()` first
    video = torch.randn(1, 3, 4, 64, 48)
    quick = fused(network)
    exact = network.eval()(video)
    assert (quick(video) - exact).abs().max() < 1e-5 * exact.abs().max()
