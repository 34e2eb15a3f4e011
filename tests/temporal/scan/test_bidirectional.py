import pytest
import torch
import torch.nn.functional as F

from tvu.temporal.scan.bidirectional import BidirectionalMamba, SharedBidirectionalMamba
from tvu.temporal.scan.mamba import Mamba, MambaConfig

CONFIG = MambaConfig(d_model=10, d_state=4)


def tokens(length=15, batch=3):
    return torch.randn(batch, length, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(length))


def mixer(kind, config=CONFIG, **settings):
    torch.manual_seed(0)
    block = kind(config, **settings).double()
    for weight in block.parameters():  # directions that share their initial values would hide a mistake
        weight.data += 0.1 * torch.randn_like(weight)
    return block


def one_direction(block, suffix):
    """A Mamba with the weights that the direction uses."""
    own = ("conv1d", "x_proj", "dt_proj", "D")
    alone = Mamba(block.config).double()
    state = {}
    for name in alone.state_dict():
        theirs = name
        if suffix and name.split(".")[0] in own:
            theirs = name.replace(name.split(".")[0], name.split(".")[0] + "_b", 1)
        if suffix and name == "A_log":
            theirs = "A_b_log"
        state[name] = block.state_dict()[theirs]
    alone.load_state_dict(state)
    return alone


def same(a, b, atol=1e-12):
    torch.testing.assert_close(a, b, rtol=0, atol=atol)


@pytest.mark.parametrize("length", [1, 2, 15])
def test_both_directions_are_mambas_and_one_reads_backwards(length):
    block, x = mixer(BidirectionalMamba), tokens(length)
    forward, backward = one_direction(block, ""), one_direction(block, "_b")
    same(block(x), forward(x) + backward(x.flip(1)).flip(1))


def test_the_mean_is_half_the_sum():
    x = tokens()
    same(mixer(BidirectionalMamba, mean=True)(x) * 2, mixer(BidirectionalMamba)(x))


@pytest.mark.parametrize("kind", [BidirectionalMamba, SharedBidirectionalMamba])
def test_the_layer_scale_is_applied_to_the_output(kind):
    block, x = mixer(kind, layer_scale=0.5), tokens()
    scaled, block.gamma = block(x) / block.gamma, None
    same(scaled, block(x))
    assert torch.equal(kind(CONFIG, layer_scale=0.5).gamma, torch.full((10,), 0.5))
    assert "gamma" not in kind(CONFIG).state_dict()


def test_the_first_vim_mixer_convolves_once_and_in_forward_order():
    block, x = mixer(SharedBidirectionalMamba, MambaConfig(d_model=10, d_state=4, d_conv=1)), tokens()
    forward, backward = one_direction(block, ""), one_direction(block, "")
    backward.A_log.data = block.A_b_log.data  # with a single tap the order of the convolution does not show
    same(block(x), forward(x) + backward(x.flip(1)).flip(1))
    wide = mixer(SharedBidirectionalMamba)
    wide.conv1d.weight.data[:, :, 1:] = 0
    wide.conv1d.bias.data[:] = 0
    y = wide(F.pad(x[:, :4], (0, 0, 0, 3)))  # the first tap moves every token three places on, for both directions
    assert y[:, :3].abs().max() < y[:, 3:].abs().max() / 10


@pytest.mark.parametrize("kind", [BidirectionalMamba, SharedBidirectionalMamba])
@pytest.mark.parametrize("bias", [False, True])
def test_rows_of_a_ragged_batch_are_what_they_are_alone(kind, bias):
    block = mixer(kind, MambaConfig(d_model=10, d_state=4, bias=bias))
    x, lengths = tokens(), torch.tensor([15, 7, 1])
    y = block(x, lengths)
    for row, length in enumerate(lengths):
        same(y[row, :length], block(x[row : row + 1, :length])[0])
    x[1, 7:] = float("nan")
    padded = block(x, lengths)
    same(padded[1, :7], y[1, :7])
    padded[1, :7].sum().backward()
    assert all(weight.grad.isfinite().all() for weight in block.parameters())


@pytest.mark.parametrize("kind", [BidirectionalMamba, SharedBidirectionalMamba])
def test_every_token_sees_every_other(kind):
    block, x = mixer(kind), tokens(9, 1)
    reach = torch.autograd.functional.jacobian(lambda x: block(x).sum(dim=-1)[0], x)[:, 0].abs().sum(dim=-1)
    assert (reach > 0).all()  # [9, 9]


def test_no_sequence_is_flipped(monkeypatch):
    block, x = mixer(BidirectionalMamba), tokens()
    flip = torch.Tensor.flip

    def only_taps(tensor, *axes):
        assert tensor.shape[-1] == CONFIG.d_conv, "a flip of something longer than a kernel"
        return flip(tensor, *axes)

    monkeypatch.setattr(torch.Tensor, "flip", only_taps)
    block(x)


def test_every_parameter_learns():
    block = mixer(BidirectionalMamba, MambaConfig(d_model=10, bias=True), layer_scale=1.0)
    block(tokens(), torch.tensor([15, 7, 1])).square().sum().backward()
    assert all(weight.grad.abs().sum() > 0 for weight in block.parameters())
