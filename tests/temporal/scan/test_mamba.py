import pytest
import torch
import torch.nn.functional as F

from tvu.temporal.scan.mamba import Mamba, MambaConfig
from tvu.temporal.scan.selective_scan import selective_scan_sequential


def block(**sizes):
    torch.manual_seed(0)
    return Mamba(MambaConfig(**{"d_model": 10, "d_state": 4} | sizes)).double()


def tokens(length=17, batch=3, width=10):
    return torch.randn(batch, length, width, dtype=torch.float64, generator=torch.Generator().manual_seed(length))


def same(a, b, atol=1e-12):
    torch.testing.assert_close(a, b, rtol=0, atol=atol)


def test_the_block_is_the_equation_of_the_paper():
    mamba, x = block(bias=True), tokens()
    inner, gate = mamba.in_proj(x).mT.chunk(2, dim=1)
    inner = F.silu(F.conv1d(F.pad(inner, (3, 0)), mamba.conv1d.weight, mamba.conv1d.bias, groups=20))
    low, B, C = mamba.x_proj(inner.mT).split([1, 4, 4], dim=-1)
    y, _ = selective_scan_sequential(
        inner, mamba.dt_proj(low).mT, -mamba.A_log.exp(), B.mT, C.mT, mamba.D, gate, delta_softplus=True
    )
    same(mamba(x), mamba.out_proj(y.mT))


def test_parameters_have_their_official_names_and_shapes():
    shapes = {name: tuple(value.shape) for name, value in Mamba(MambaConfig(d_model=24)).state_dict().items()}
    assert shapes == {
        "A_log": (48, 16),
        "D": (48,),
        "in_proj.weight": (96, 24),
        "conv1d.weight": (48, 1, 4),
        "conv1d.bias": (48,),
        "x_proj.weight": (34, 48),
        "dt_proj.weight": (48, 2),
        "dt_proj.bias": (48,),
        "out_proj.weight": (24, 48),
    }


def test_parameters_start_as_in_the_official_code():
    torch.manual_seed(0)
    mamba = Mamba(MambaConfig(d_model=64, dt_min=0.01, dt_max=0.2))
    dt = F.softplus(mamba.dt_proj.bias)
    assert 0.0099 < dt.min() < 0.02 and 0.1 < dt.max() < 0.2001
    assert mamba.dt_proj.weight.abs().max() <= 4**-0.5
    torch.testing.assert_close(mamba.A_log[5].exp(), torch.arange(1.0, 17.0))
    assert torch.equal(mamba.D, torch.ones(128))


@pytest.mark.parametrize("cuts", [[17], [1] * 17, [3, 1, 2, 11], [16, 1]])
@pytest.mark.parametrize("taps", [1, 2, 4])
def test_any_cut_into_steps_gives_what_the_whole_gives(cuts, taps):
    mamba, x = block(d_conv=taps), tokens()
    state, pieces = None, []
    for piece in x.split(cuts, dim=1):
        y, state = mamba.step(piece, state)
        pieces.append(y)
    whole, last = mamba.step(x)
    same(torch.cat(pieces, dim=1), whole)
    same(state.conv, last.conv)
    same(state.ssm, last.ssm)
    same(mamba(x), whole)


def test_the_state_keeps_its_size():
    mamba = block()
    state = mamba.step(tokens(2))[1]
    later = mamba.step(tokens(9), state)[1]
    assert [part.shape for part in later] == [part.shape for part in state] == [(3, 20, 4), (3, 20, 4)]


def test_rows_of_a_ragged_batch_are_what_they_are_alone():
    mamba, x, lengths = block(bias=True), tokens(), torch.tensor([17, 6, 1])
    y = mamba(x, lengths)
    for row, length in enumerate(lengths):
        same(y[row, :length], mamba(x[row : row + 1, :length])[0])


def test_nothing_in_the_padding_reaches_a_gradient():
    mamba, x, lengths = block(), tokens(), torch.tensor([17, 6, 1])
    x[1, 6:] = float("nan")
    y = mamba(x, lengths)
    (y[0].sum() + y[1, :6].sum()).backward()
    assert all(weight.grad.isfinite().all() for weight in mamba.parameters())


def test_a_token_sees_nothing_after_it():
    mamba, x = block(), tokens()
    changed = x.clone()
    changed[:, 9:] += 1
    same(mamba(changed)[:, :9], mamba(x)[:, :9])


def test_every_parameter_learns():
    mamba = block(bias=True)
    mamba(tokens()).square().sum().backward()
    assert all(weight.grad.abs().sum() > 0 for weight in mamba.parameters())


def test_a_block_in_half_precision_answers_in_it():
    mamba = block().bfloat16()
    y, state = mamba.step(tokens().bfloat16())
    assert y.dtype == state.conv.dtype == torch.bfloat16 and state.ssm.dtype == torch.float32
    expected = mamba.double()(tokens().bfloat16().double())
    torch.testing.assert_close(y.double(), expected, rtol=0.05, atol=0.02)


def test_sizes_are_checked():
    assert MambaConfig(d_model=17).rank == 2 and MambaConfig(d_model=17, dt_rank=5).rank == 5
    assert MambaConfig(d_model=5, expand=1.5).d_inner == 7
    with pytest.raises(ValueError, match="at least 1"):
        MambaConfig(d_model=0)
    with pytest.raises(ValueError, match="dt_min"):
        MambaConfig(d_model=8, dt_min=0.2, dt_max=0.1)
