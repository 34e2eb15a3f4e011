"""The Mamba-2 blocks: streams, ragged batches, settings and what they start as."""

import math

import pytest
import torch
import torch.nn.functional as F

from tvu.temporal.reduction.means import mean_over_blocks
from tvu.temporal.scan.mamba2 import BidirectionalMamba2, Mamba2, Mamba2Config, Mamba2SimpleConfig

SMALL = {"d_model": 12, "d_state": 5, "headdim": 4, "chunk_size": 8}
SETTINGS = [
    {},
    {"ngroups": 3, "norm_before_gate": True, "dt_limit": (0.01, 0.05)},
    {"rmsnorm": False, "D_has_hdim": True, "bias": True, "conv_bias": False},
    {"d_ssm": 8, "d_conv": 2, "expand": 3},
    {"d_conv": 1, "learnable_init_states": True},
]


def block(kind=Mamba2, config=Mamba2Config, **settings):
    torch.manual_seed(0)
    module = kind(config(**SMALL | settings)).double()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return module


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("cuts", [[1] * 9, [2, 7], [8, 1]])
def test_any_cut_of_a_stream_gives_the_whole(settings, cuts):
    module, x = block(**settings), torch.randn(2, 9, 12, dtype=torch.float64)
    state, pieces = None, []
    for piece in x.split(cuts, dim=1):
        y, state = module.step(piece, state)
        pieces.append(y)
    torch.testing.assert_close(torch.cat(pieces, dim=1), module(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", [Mamba2, BidirectionalMamba2])
def test_a_row_of_a_ragged_batch_is_what_it_is_alone(kind):
    module, x, lengths = block(kind, bias=True), torch.randn(3, 11, 12, dtype=torch.float64), [11, 4, 1]
    for row, length in enumerate(lengths):
        x[row, length:] = torch.nan
    y = module(x, torch.tensor(lengths))
    for row, length in enumerate(lengths):
        alone = module(x[row : row + 1, :length])
        torch.testing.assert_close(y[row : row + 1, :length], alone, rtol=0, atol=1e-12)
    y[0].sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in module.parameters())


@pytest.mark.parametrize(
    "settings", [{}, {"ngroups": 2}, {"norm_before_gate": True}, {"d_ssm": 16}, {"rmsnorm": False}]
)
@pytest.mark.parametrize("kind", [Mamba2, BidirectionalMamba2])
def test_what_is_pooled_as_it_is_normed_is_what_is_pooled_after_it(kind, settings):
    made, lengths = block(kind, **settings), torch.tensor([5, 2])
    x = torch.randn(2, 5, 6, made.config.d_model, dtype=torch.float64)
    x[1, 2:] = torch.nan
    blocks = {"frames": 2, "cells": 2, "every": 2}
    mixed = made.mix(x.flatten(1, 2), lengths * 6).unflatten(1, (5, 6))
    right = mean_over_blocks(mixed, lengths, (2, 3), **blocks)
    torch.testing.assert_close(made.mix_and_pool(x, lengths, (2, 3), **blocks), right, rtol=0, atol=1e-12)


def test_the_causal_block_does_not_look_ahead_and_the_bidirectional_one_does():
    x, changed = torch.randn(2, 9, 12, dtype=torch.float64).repeat(2, 1, 1).split(2)
    changed = changed.clone()
    changed[:, -1] += 1
    for kind, looks_ahead in ((Mamba2, False), (BidirectionalMamba2, True)):
        module = block(kind)
        assert torch.equal(module(x)[:, :-1], module(changed)[:, :-1]) is not looks_ahead


def test_both_directions_share_everything():
    causal, both = block(), block(BidirectionalMamba2)
    both.load_state_dict(causal.state_dict())
    x = torch.randn(1, 1, 12, dtype=torch.float64)  # alone, a token is seen once in each direction; D counts once
    z, xBC, dt = causal.in_proj(x).split([24, 34, 6], dim=-1)
    xBC = F.silu(xBC * causal.conv1d.weight[:, 0, -1] + causal.conv1d.bias)
    inner, B, C = xBC.split([24, 5, 5], dim=-1)
    twice = 2 * F.softplus(dt + causal.dt_bias) * (B * C).sum(-1, keepdim=True) + causal.D
    y = both.norm(twice.repeat_interleave(4, dim=-1) * inner, z)
    torch.testing.assert_close(both(x), both.out_proj(y))


def test_parameters_have_the_official_names_and_shapes():
    module = Mamba2(Mamba2Config(24, d_state=6, headdim=4, ngroups=2, d_ssm=32, D_has_hdim=True))
    assert {name: tuple(parameter.shape) for name, parameter in module.named_parameters()} == {
        "in_proj.weight": (128, 24),
        "conv1d.weight": (56, 1, 4),
        "conv1d.bias": (56,),
        "dt_bias": (8,),
        "A_log": (8,),
        "D": (32,),
        "norm.weight": (32,),
        "out_proj.weight": (24, 48),
    }
    simple = Mamba2(Mamba2SimpleConfig(128, learnable_init_states=True))
    assert simple.init_states.shape == (2, 128, 64) and not simple.init_states.any()


def test_it_starts_as_the_paper_says():
    module = Mamba2(Mamba2Config(256, headdim=2, conv_init=0.01, dt_min=0.01, dt_max=0.2, dt_init_floor=0.02))
    steps, rates = F.softplus(module.dt_bias), module.A_log.exp()
    assert 0.0199 < steps.min() < 0.0201 and 0.15 < steps.max() < 0.2001
    assert 1 <= rates.min() < 2 and 15 < rates.max() <= 16
    assert module.conv1d.weight.abs().max() <= 0.01
    assert math.log(0.1 / 0.02) * 0.5 < steps.log().max() - steps.log().median()  # log-uniform, not uniform


def test_the_simple_block_norms_the_whole_width():
    x = torch.randn(1, 6, 12, dtype=torch.float64)
    grouped, whole = (block(config=config, ngroups=3) for config in (Mamba2Config, Mamba2SimpleConfig))
    whole.load_state_dict(grouped.state_dict())
    assert not torch.allclose(grouped(x), whole(x))


@pytest.mark.parametrize(
    "broken", [{"headdim": 5}, {"ngroups": 4}, {"d_ssm": 48}, {"d_model": 0}, {"chunk_size": 0}, {"d_ssm": 0}]
)
def test_sizes_that_do_not_fit_are_refused(broken):
    with pytest.raises(ValueError, match=r"groups of heads|at least 1"):
        Mamba2Config(**SMALL | broken)


def test_what_looks_ahead_has_no_stream():
    with pytest.raises(ValueError, match="looks ahead"):
        block(BidirectionalMamba2).step(torch.zeros(1, 1, 12))
    with pytest.raises(ValueError, match="no state comes first"):
        BidirectionalMamba2(Mamba2Config(**SMALL, learnable_init_states=True))
