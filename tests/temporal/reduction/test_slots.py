from dataclasses import replace

import pytest
import torch

from tests.temporal.reduction.videos import a_video
from tvu.temporal.reduction.slots import CrossAttentionSampler, SlotSampler, attended_span, slot_attention
from tvu.temporal.types import VisualTokens


def test_every_slot_spends_all_its_attention_on_real_tokens():
    tokens = a_video(lengths=[7, 3])
    attention = SlotSampler(num_slots=6, channels=4).double().attention(tokens)
    torch.testing.assert_close(attention.sum(dim=1), torch.ones(2, 6, dtype=torch.float64))
    assert (attention[1, 3 * 15 :] == 0).all()


def test_slots_are_means_of_tokens_so_no_slot_leaves_their_range():
    tokens = a_video()
    slots = SlotSampler(num_slots=6, channels=4).double()(tokens).features.squeeze(2)
    assert (slots <= tokens.features.amax(dim=(1, 2))[:, None]).all()
    assert (slots >= tokens.features.amin(dim=(1, 2))[:, None]).all()


def test_a_slot_that_looks_at_one_token_has_its_time_and_its_place():
    tokens, sampler = a_video(batch=1, grid=(5, 3)), SlotSampler(num_slots=2, channels=4).double()
    features = torch.zeros_like(tokens.features)
    features[0, 4, 7, 0], features[0, 2, 14, 1] = 1, 1
    sampler.slots.data = 100 * torch.eye(4, 2, dtype=torch.float64)
    kept = sampler(replace(tokens, features=features))
    assert kept.sources[0, :, 0].tolist() == [[4, 2, 1], [2, 4, 2]]
    assert torch.equal(kept.spans[0], tokens.spans[0, [4, 2]])


def attention_by_frame(*weights):
    return torch.tensor(weights, dtype=torch.float64)[None, :, None]


def test_the_span_is_the_shortest_that_holds_95_percent():
    spans = torch.tensor([[[0, 10], [10, 11], [11, 12], [12, 13], [13, 14]]], dtype=torch.float64)
    assert attended_span(attention_by_frame(0.5, 0.5, 0, 0, 0), spans).tolist() == [[[0, 11]]]
    assert attended_span(attention_by_frame(0.05, 0.95, 0, 0, 0), spans).tolist() == [[[10, 11]]]
    assert attended_span(attention_by_frame(0, 0, 0.51, 0, 0.49), spans).tolist() == [[[11, 14]]]
    assert attended_span(attention_by_frame(0.02, 0.47, 0.02, 0.47, 0.02), spans).tolist() == [[[10, 13]]]
    assert attended_span(attention_by_frame(0.05, 0.46, 0, 0.46, 0.03), spans).tolist() == [[[10, 14]]]
    assert attended_span(attention_by_frame(0, 0, 0, 0, 1), spans).tolist() == [[[13, 14]]]


def test_frames_may_come_in_any_order():
    spans = torch.tensor([[[12, 13], [10, 11], [11, 12], [0, 10]]], dtype=torch.float64)
    assert attended_span(attention_by_frame(0.5, 0, 0.5, 0), spans).tolist() == [[[11, 13]]]


def test_the_earlier_of_two_equal_spans_is_told():
    even = torch.tensor([[[t, t + 1.0] for t in range(40)]], dtype=torch.float64)
    assert attended_span(torch.full((1, 40, 1), 1 / 40), even).tolist() == [[[0, 38]]]


def test_attention_and_span_agree_with_looking_at_every_run():
    attention = torch.rand(3, 9, 5, dtype=torch.float64).pow(4)
    attention /= attention.sum(dim=1, keepdim=True)
    spans = a_video(batch=3, frames=9).spans
    found = attended_span(attention, spans)
    for b, k in [(b, k) for b in range(3) for k in range(5)]:
        runs = [(i, j) for i in range(9) for j in range(i, 9) if attention[b, i : j + 1, k].sum() >= 0.95]
        assert found[b, k].diff().item() == pytest.approx(min(spans[b, j, 1] - spans[b, i, 0] for i, j in runs).item())


def test_attention_is_computed_in_float32_for_half_precision():
    x, slots = torch.randn(1, 50, 8).bfloat16(), torch.randn(8, 3).bfloat16()
    attention = slot_attention(x, slots, torch.tensor([50]))
    assert attention.dtype == torch.float32
    torch.testing.assert_close(attention, slot_attention(x.float(), slots.float(), torch.tensor([50])))


def test_weights_have_their_official_names():
    assert set(SlotSampler(5, 8).state_dict()) == {"slots"}
    assert SlotSampler(5, 8).slots.shape == (8, 5)
    keys = {"query", *(f"attention.{key}" for key in ("in_proj_weight", "in_proj_bias"))}
    assert keys < set(CrossAttentionSampler(5, 8).state_dict())


@pytest.mark.parametrize("sampler", [SlotSampler(6, 8), CrossAttentionSampler(6, 8)])
def test_an_empty_video_has_no_slot_and_disturbs_no_other(sampler):
    features = torch.randn(2, 3, 4, 8)
    features[0] = torch.nan
    spans = torch.tensor([[0.0, 1], [1, 2], [2, 3]], dtype=torch.float64).expand(2, -1, -1)
    both = sampler(VisualTokens.from_frames(features, spans, (2, 2), torch.tensor([0, 3])))
    alone = sampler(VisualTokens.from_frames(features[1:], spans[1:], (2, 2)))
    assert both.lengths.tolist() == [0, 6]
    assert both.features.isfinite().all() and both.sources.isfinite().all()
    torch.testing.assert_close(both.features[1], alone.features[0])
