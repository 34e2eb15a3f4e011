"""Adapters on a frozen language model."""

import pytest
import torch
from torch import nn

from tests.video_llm.lite.tiny_lite import tiny_causal
from tvu.video_llm.lite.adapters import AdaptedLinear, adapt, adapters, merge

IDS = torch.tensor([[3, 1, 4, 1, 5, 9]])


def shaken(model: nn.Module) -> None:
    for _, layer in adapters(model):
        nn.init.normal_(layer.up, std=0.1)


def test_an_adapted_model_starts_as_the_frozen_one():
    model = tiny_causal().model
    before = model(IDS).last_hidden_state
    adapt(model, rank=2, scale=1.0)
    assert torch.equal(model(IDS).last_hidden_state, before)


def test_only_adapters_are_trained_and_every_linear_layer_of_a_block_has_one():
    model = tiny_causal().model
    adapt(model, rank=2, scale=1.0)
    trained = {name for name, each in model.named_parameters() if each.requires_grad}
    assert trained and all(name.endswith((".up", ".down")) for name in trained)
    assert len(list(adapters(model))) == 2 * 7  # blocks times q, k, v, o, gate, up, down


def test_gradients_reach_both_sides_of_an_adapter():
    model = tiny_causal().model
    adapt(model, rank=2, scale=1.0)
    shaken(model)
    model(IDS).last_hidden_state.square().sum().backward()
    _, layer = next(adapters(model))
    assert layer.up.grad.abs().max() > 0 and layer.down.grad.abs().max() > 0 and layer.linear.weight.grad is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_merged_adapters_compute_the_same_and_leave_a_plain_model(dtype):
    model = tiny_causal().model.to(dtype)
    adapt(model, rank=2, scale=0.5)
    shaken(model)
    before = model(IDS).last_hidden_state
    merge(model)
    assert not list(adapters(model))
    # float32 sums in another order; in bfloat16 the merged weight is rounded once more, to 8 bits
    tolerance = 1e-5 if dtype == torch.float32 else 0.03
    torch.testing.assert_close(model(IDS).last_hidden_state, before, atol=tolerance, rtol=0)


def test_what_is_less_than_a_rounding_of_the_weights_is_not_lost():
    linear = nn.Linear(8, 8, bias=False).to(torch.bfloat16)
    nn.init.ones_(linear.weight)
    layer = AdaptedLinear(linear, rank=1, scale=1.0)
    x = torch.tensor([[1.0, -1.0] * 4], dtype=torch.bfloat16)
    layer.down.data.copy_(x)
    nn.init.constant_(layer.up, 1e-3)  # a thousandth of a weight, where bfloat16 has steps of a 128th
    assert torch.equal(layer.weight, linear.weight)
    torch.testing.assert_close(layer(x), torch.full((1, 8), 0.008, dtype=torch.bfloat16), rtol=0.01, atol=0)


def test_a_model_without_blocks_cannot_be_adapted():
    with pytest.raises(ValueError, match="layers"):
        adapt(nn.Linear(2, 2), rank=1, scale=1.0)
