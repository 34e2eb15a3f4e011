"""Prefix attention: softmax attention as an associative merge."""

import pytest
import torch
import torch.nn.functional as F

from tvu.temporal.encoders import prefix_attention as module
from tvu.temporal.encoders.prefix_attention import (
    BidirectionalPrefixAttentionConfig,
    BidirectionalPrefixAttentionEncoder,
    PrefixAttentionConfig,
    PrefixAttentionEncoder,
    Softmax,
    merge,
    per_step_attention,
    prefix_attention,
    suffix_attention,
)

close = torch.testing.assert_close


def attention_input(length, *, heads=3, scale=1.0):
    """query `[H, D]`, key, value `[B, H, L, .]`."""
    random = torch.Generator().manual_seed(length)
    key = scale * torch.randn(2, heads, length, 4, generator=random, dtype=torch.float64)
    value = torch.randn(2, heads, length, 5, generator=random, dtype=torch.float64)
    return torch.randn(heads, 4, generator=random, dtype=torch.float64), key, value


def causal_attention(query, key, value, padding=None, *, reverse=False):
    seen = torch.ones(key.shape[2], key.shape[2], dtype=torch.bool).tril()
    seen = seen.T if reverse else seen
    if padding is not None:
        seen = seen & (padding == 0)[:, None, None]
    query = query[None, :, None].expand_as(key) if query.ndim == 2 else query
    return F.scaled_dot_product_attention(query, key, value, attn_mask=seen)


@pytest.mark.parametrize("length", [1, 2, 3, 8, 29, 64])
@pytest.mark.parametrize("scale", [1.0, 300.0])
def test_every_prefix_is_softmax_attention_over_its_keys(length, scale):
    query, key, value = attention_input(length, scale=scale)
    close(prefix_attention(query, key, value).mean, causal_attention(query, key, value))


@pytest.mark.parametrize("length", [1, 2, 3, 8, 29])
def test_every_suffix_too_without_flipping_memory(length):
    query, key, value = attention_input(length)
    close(suffix_attention(query, key, value).mean, causal_attention(query, key, value, reverse=True))


def test_the_maximum_and_the_log_sum_are_those_of_the_scores_so_far():
    query, key, value = attention_input(13)
    scores = torch.einsum("hd,bhld->bhl", query, key) / 2
    found = prefix_attention(query, key, value)
    close(found.maximum, scores.cummax(-1).values)
    close(found.log_sum, scores.logcumsumexp(-1))


@pytest.mark.parametrize("length", [1, 7, 20])
def test_a_query_of_each_step_is_causal_attention(length, monkeypatch):
    monkeypatch.setattr(module, "KEYS_AT_ONCE", 8)
    _, key, value = attention_input(length)
    query = torch.randn(key.shape, dtype=torch.float64)
    padding = torch.zeros(2, length)
    padding[1, 3:6] = 1
    close(per_step_attention(query, key, value, padding).mean, causal_attention(query, key, value, padding))


def test_padded_keys_are_as_if_they_were_not_there():
    query, key, value = attention_input(12)
    kept = [0, 2, 3, 7, 11]
    padding = torch.ones(2, 12)
    padding[:, kept] = 0
    value[:, :, 1] = torch.nan
    found = prefix_attention(query, key, value, padding).at(slice(None)).mean[:, :, kept]
    close(found, prefix_attention(query, key[:, :, kept], value[:, :, kept]).mean)


def test_nothing_to_see_gives_zeros_and_finite_gradients():
    query, key, value = (tensor.requires_grad_() for tensor in attention_input(5))
    padding = torch.tensor([[1, 1, 0, 0, 1], [1, 1, 1, 1, 1]])
    for attend in (prefix_attention, suffix_attention):
        y = attend(query, key, value, padding).mean
        assert (y[1] == 0).all()
        for gradient in torch.autograd.grad(y.sum(), (query, key, value)):
            assert gradient.isfinite().all()


def test_merging_is_associative_and_nothing_is_neutral():
    a, b, c = (prefix_attention(*attention_input(n)).at(slice(-1, None)) for n in (3, 4, 5))
    nothing = Softmax(torch.full_like(a.maximum, -torch.inf), torch.zeros_like(a.total), torch.zeros_like(a.weighted))
    close(merge(merge(a, b), c).mean, merge(a, merge(b, c)).mean)
    for both in (merge(a, nothing), merge(nothing, a)):
        assert torch.equal(both.weighted, a.weighted)
        assert torch.equal(both.total, a.total)


def test_a_next_piece_continues_the_last():
    query, key, value = attention_input(20)
    whole = prefix_attention(query, key, value).mean
    first = prefix_attention(query, key[:, :, :7], value[:, :, :7])
    second = prefix_attention(query, key[:, :, 7:], value[:, :, 7:], before=first.at(slice(-1, None)))
    close(torch.cat([first.mean, second.mean], dim=2), whole)


def test_gradients_are_those_of_finite_differences():
    query, key, value = (tensor.requires_grad_() for tensor in attention_input(6, heads=1))
    assert torch.autograd.gradcheck(lambda *inputs: prefix_attention(*inputs).mean, (query, key, value))
    assert torch.autograd.gradcheck(lambda *inputs: suffix_attention(*inputs).log_sum, (query, key, value))


def test_half_precision_is_merged_in_float32():
    query, key, value = attention_input(200)
    found = prefix_attention(query.half(), key.half(), value.half())
    assert found.mean.dtype == torch.float32
    close(found.mean.double(), causal_attention(query, key, value), rtol=0, atol=5e-3)


def test_shapes_that_disagree_are_told():
    query, key, value = attention_input(5)
    for wrong in ((query[:2], key, value), (query, key[:, :, :4], value), (query, key[:, :, :0], value[:, :, :0])):
        with pytest.raises(ValueError):
            prefix_attention(*wrong)
    with pytest.raises(ValueError):
        PrefixAttentionConfig(10, heads=3)


def encoders():
    torch.manual_seed(0)
    return [
        PrefixAttentionEncoder(PrefixAttentionConfig(12, heads=3)).double(),
        BidirectionalPrefixAttentionEncoder(BidirectionalPrefixAttentionConfig(12, heads=2)).double(),
    ]


@pytest.mark.parametrize("encoder", encoders(), ids=["causal", "bidirectional"])
def test_padding_never_leaks_into_real_frames(encoder):
    features = torch.randn(2, 6, 3, 12, dtype=torch.float64)
    features[1, 4:] = torch.nan
    y = encoder(features, torch.tensor([6, 4]))
    close(y[1:, :4], encoder(features[1:, :4]))


def test_a_video_may_be_encoded_as_it_arrives():
    encoder, _ = encoders()
    features = torch.randn(2, 6, 3, 12, dtype=torch.float64)
    first, state = encoder.step(features[:, :1])
    second, state = encoder.step(features[:, 1:5], state)
    third, _ = encoder.step(features[:, 5:], state)
    close(torch.cat([first, second, third], dim=1), encoder(features))


def test_only_the_bidirectional_encoder_sees_what_comes_after():
    causal, both = encoders()
    features = torch.randn(1, 6, 3, 12, dtype=torch.float64)
    changed = features.clone()
    changed[:, 5] = 0
    assert torch.equal(causal(features)[:, :5], causal(changed)[:, :5])
    assert not torch.isclose(both(features)[:, :5], both(changed)[:, :5]).all()
