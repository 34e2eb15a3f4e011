import pytest
import torch
from torch import nn

from tvu.temporal.position_table import resize_in_time, sinusoid_table
from tvu.temporal.tape import TemporalAdapter


def an_adapter(merge_len=4, num_clips=4):
    adapter = TemporalAdapter(merge_len, num_clips, channels=6, hidden=5, width=7).double()
    nn.init.normal_(adapter.linear_output.weight)
    return adapter


def test_lengths_of_the_published_model():
    adapter = TemporalAdapter(merge_len=4, num_clips=16, channels=8, hidden=4, width=8)
    told = {}
    for name in ("pool", "DwConv1", "DwConv2", "fc", "UpConv1", "UpConv0"):
        adapter.get_submodule(name).register_forward_hook(lambda _, __, y, name=name: told.update({name: y.shape[2]}))
    assert adapter(torch.randn(1, 1536, 8)).shape == (1, 384, 8)
    assert told == {"pool": 384, "DwConv1": 96, "DwConv2": 24, "fc": 24, "UpConv1": 96, "UpConv0": 384}


def test_the_published_adapter_has_1_721_344_parameters_and_starts_at_zero():
    adapter = TemporalAdapter(merge_len=4, num_clips=16, channels=768, hidden=192, width=4096)
    assert sum(p.numel() for p in adapter.parameters()) == 1_721_344
    assert adapter.fc[0].weight.shape == (192, 192, 17)
    assert (adapter(torch.randn(1, 64, 768)) == 0).all()


def test_zero_padding_alone_tells_equal_tokens_where_they_are():
    y = an_adapter()(torch.ones(1, 256, 6, dtype=torch.float64))[0]
    assert torch.cdist(y, y).fill_diagonal_(1).min() > 1e-6


@pytest.mark.parametrize("merge_len, lengths", [(4, [256, 64, 192]), (2, [128, 32, 96])])
def test_a_ragged_batch_is_as_its_videos_alone(merge_len, lengths):
    adapter, x = an_adapter(merge_len), torch.randn(3, lengths[0], 6, dtype=torch.float64)
    for video, length in enumerate(lengths):
        x[video, length:] = torch.nan
    x.requires_grad_()
    y = adapter(x, torch.tensor(lengths))
    for video, length in enumerate(lengths):
        torch.testing.assert_close(y[video, : length // merge_len], adapter(x[video : video + 1, :length])[0])
        assert (y[video, length // merge_len :] == 0).all()
    y.sum().backward()
    assert x.grad.isfinite().all() and all(p.grad.isfinite().all() for p in adapter.parameters())


def test_gradients_are_those_of_finite_differences():
    adapter = an_adapter(merge_len=2, num_clips=2)
    assert torch.autograd.gradcheck(
        adapter, torch.randn(1, 64, 6, dtype=torch.float64, requires_grad=True), fast_mode=True
    )


@pytest.mark.parametrize("merge_len, num_clips", [(4, 15), (3, 4), (4, 0)])
def test_odd_numbers_are_refused_before_they_lose_a_token(merge_len, num_clips):
    with pytest.raises(ValueError, match="even"):
        TemporalAdapter(merge_len, num_clips, 6, 5, 7)


def test_a_length_that_would_not_come_back_is_refused():
    with pytest.raises(ValueError, match="multiple of 64 tokens, not 96"):
        an_adapter()(torch.randn(1, 96, 6, dtype=torch.float64))


def test_sines_and_cosines_alternate():
    table = sinusoid_table(5, 6)
    assert table.dtype == torch.float32
    torch.testing.assert_close(table[:, 0], torch.arange(5.0).sin())
    torch.testing.assert_close(table[:, 3], (torch.arange(5.0) / 10_000 ** (1 / 3)).cos())


def test_a_table_resized_in_time_keeps_its_places_and_meets_in_the_middle():
    table = torch.tensor([[0.0], [100.0], [8.0], [108.0]])  # two frames of two places
    assert resize_in_time(table, 2, 4).flatten().tolist() == [0, 100, 2, 102, 6, 106, 8, 108]
    assert torch.equal(resize_in_time(table, 2, 2), table)
    with pytest.raises(ValueError, match="3 frames"):
        resize_in_time(table, 3, 4)
