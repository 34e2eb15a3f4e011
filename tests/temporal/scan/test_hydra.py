"""The Hydra mixer."""

import pytest
import torch

from tvu.temporal.scan.hydra import Hydra, HydraConfig

SMALL = {"d_model": 12, "d_state": 5, "headdim": 4, "chunk_size": 8, "d_conv": 5}


def mixer(**settings):
    torch.manual_seed(0)
    module = Hydra(HydraConfig(**SMALL | settings)).double()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return module


def test_a_row_of_a_ragged_batch_is_what_it_is_alone():
    module = mixer(bias=True, learnable_init_states=True, ngroups=2)
    x, lengths = torch.randn(3, 19, 12, dtype=torch.float64), [19, 7, 1]
    for row, length in enumerate(lengths):
        x[row, length:] = torch.inf
    y = module(x, torch.tensor(lengths))
    for row, length in enumerate(lengths):
        alone = module(x[row : row + 1, :length])
        torch.testing.assert_close(y[row : row + 1, :length], alone, rtol=0, atol=1e-12)


def test_a_token_alone_is_seen_only_through_its_skip():
    module, x = mixer(d_conv=1, learnable_init_states=True), torch.randn(2, 1, 12, dtype=torch.float64)
    y = module(x)
    torch.nn.init.normal_(module.A_log)
    torch.nn.init.normal_(module.init_states)
    assert torch.equal(module(x), y)


def test_reading_backwards_with_the_directions_exchanged_is_the_same():
    module, x = mixer(conv_bias=False), torch.randn(2, 13, 12, dtype=torch.float64)
    mirrored = mixer(conv_bias=False)
    mirrored.load_state_dict(module.state_dict())
    with torch.no_grad():
        z_x, forward, backward, dt, dt_b = mirrored.in_proj.weight.split([48, 10, 10, 6, 6])
        mirrored.in_proj.weight.copy_(torch.cat([z_x, backward, forward, dt_b, dt]))
        inner, forward, backward = mirrored.conv1d.weight.flip(-1).split([24, 10, 10])
        mirrored.conv1d.weight.copy_(torch.cat([inner, backward, forward]))
    torch.testing.assert_close(mirrored(x.flip(1)).flip(1), module(x), rtol=0, atol=1e-12)


def test_it_starts_with_one_decay_for_all():
    module = Hydra(HydraConfig(**SMALL))
    assert not module.A_log.any() and (module.D == 1).all()


@pytest.mark.parametrize("broken", [{"headdim": 5}, {"ngroups": 4}, {"d_conv": 4}, {"d_state": 0}])
def test_sizes_that_do_not_fit_are_refused(broken):
    with pytest.raises(ValueError, match=r"groups of heads|odd|at least 1"):
        HydraConfig(**SMALL | broken)
