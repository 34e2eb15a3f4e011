"""Root mean square norms."""

import pytest
import torch
import torch.nn.functional as F

from tvu.temporal.scan.norm import GatedRMSNorm, RMSNorm, gated_rms_norm, rms_norm


def test_it_is_the_norm_of_pytorch():
    x, weight = torch.randn(3, 5, 24), torch.randn(24)
    torch.testing.assert_close(rms_norm(x, weight, 1e-6), F.rms_norm(x, (24,), weight, 1e-6))


def test_groups_are_normed_alone():
    x, weight = torch.randn(3, 24), torch.randn(24)
    alone = torch.cat([rms_norm(part, w) for part, w in zip(x.split(8, -1), weight.split(8), strict=True)], dim=-1)
    torch.testing.assert_close(rms_norm(x, weight, group_size=8), alone)


def test_the_gate_comes_before_or_after():
    x, z, weight = torch.randn(2, 6), torch.randn(2, 6), torch.randn(6)
    gate = F.silu(z)
    torch.testing.assert_close(gated_rms_norm(x, weight, z), rms_norm(x * gate, weight))
    torch.testing.assert_close(gated_rms_norm(x, weight, z, norm_before_gate=True), rms_norm(x, weight) * gate)
    assert torch.equal(gated_rms_norm(x, weight), rms_norm(x, weight))


def test_half_precision_does_not_overflow():
    x = torch.full((1, 8), 1000.0, dtype=torch.float16)
    y = rms_norm(x, torch.ones(8, dtype=torch.float16))
    assert y.dtype == torch.float16 and torch.equal(y, torch.ones_like(y))


def test_modules_keep_one_weight():
    for module in (RMSNorm(6), GatedRMSNorm(6, group_size=3)):
        assert [name for name, _ in module.named_parameters()] == ["weight"]
        assert module(torch.randn(2, 3, 6)).shape == (2, 3, 6)


def test_groups_must_fill_the_channels():
    with pytest.raises(ValueError, match="whole groups"):
        rms_norm(torch.zeros(2, 10), torch.zeros(10), group_size=4)
