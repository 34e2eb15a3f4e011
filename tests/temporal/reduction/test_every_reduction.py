"""What holds for every reduction, whatever it keeps."""

from dataclasses import replace

import pytest
import torch

from tests.temporal.reduction.videos import a_video, only, with_padding_of
from tvu.temporal.compress import compress_tokens
from tvu.temporal.reduction.changed import KeepChanged
from tvu.temporal.reduction.merge import MergeSimilar
from tvu.temporal.reduction.pool import PoolTokens
from tvu.temporal.reduction.shuffle import TokenShuffle
from tvu.temporal.reduction.slots import CrossAttentionSampler, SlotSampler
from tvu.temporal.reduction.slowfast import VIDEO_ARCHS
from tvu.temporal.tape import TemporalAdapter

torch.manual_seed(0)


def adapted_shuffle() -> TokenShuffle:
    adapter = TemporalAdapter(merge_len=2, num_clips=4, channels=4, hidden=3, width=4)
    torch.nn.init.normal_(adapter.linear_output.weight)
    return TokenShuffle(merge_len=2, channels=4, width=4, adapter=adapter)


REDUCTIONS = {
    "pool time": PoolTokens(frames=3),
    "pool space": PoolTokens(cells=2),
    "pool both and sample": PoolTokens(frames=2, cells=3, every=2),
    **VIDEO_ARCHS,
    "slots": SlotSampler(num_slots=5, channels=4).double(),
    "cross-attention": CrossAttentionSampler(num_slots=5, channels=4, heads=2).double(),
    "shuffle": TokenShuffle(merge_len=4, channels=4, width=4).double(),
    "shuffle with TAPE": adapted_shuffle().double(),
    "keep changed": KeepChanged(dropped=0.7),
    "merge over the video": MergeSimilar(budget=11),
    "merge in runs": MergeSimilar(budget=6, frames=3),
}
ON_SQUARES = {"shuffle", "shuffle with TAPE"}
"""Reductions that want whole groups of cells: they get a 4 x 4 grid and the others 5 x 3."""

every_reduction = pytest.mark.parametrize("name", REDUCTIONS)


def video_for(name, **settings):
    return a_video(grid=(4, 4) if name in ON_SQUARES else (5, 3), **settings)


def same(a, b):
    assert a.grid == b.grid and torch.equal(a.lengths, b.lengths)
    for field in ("features", "spans", "sources"):
        torch.testing.assert_close(
            getattr(a, field), getattr(b, field), rtol=0, atol=1e-5 if field == "sources" else 1e-12
        )


@every_reduction
def test_every_span_lies_inside_the_video_and_has_a_length(name):
    tokens = video_for(name, lengths=[8, 5], frames=8)
    kept = compress_tokens(tokens, REDUCTIONS[name])
    for video in range(2):
        before, after = only(tokens, video), only(kept, video)
        assert after.spans.shape[1] > 0
        assert (after.spans[..., 1] > after.spans[..., 0]).all()
        assert after.spans.min() >= before.spans.min() and after.spans.max() <= before.spans.max()


@every_reduction
def test_every_source_lies_inside_the_video_and_its_time_inside_the_span(name):
    tokens = video_for(name, frames=6)
    kept = compress_tokens(tokens, REDUCTIONS[name])
    assert (kept.sources >= -1e-5).all()
    assert (kept.sources.flatten(0, 2).amax(dim=0) <= tokens.sources.flatten(0, 2).amax(dim=0) + 1e-5).all()
    if "slots" in name or "cross" in name:
        return  # the mean of all its tokens, 5 % of which lie outside of a slot's span
    for video in range(2):
        times = kept.sources[video, ..., 0].double()
        first = tokens.spans[video, times.floor().long(), 0]
        last = tokens.spans[video, (times - 1e-4).ceil().clamp(min=0).long(), 1]
        assert (kept.spans[video, :, None, 0] <= first + 1e-9).all()
        assert (kept.spans[video, :, None, 1] >= last - 1e-9).all()


@every_reduction
def test_constant_features_stay_constant_where_nothing_is_projected(name):
    if "shuffle" in name or "cross" in name:
        pytest.skip("a projection changes them")
    tokens = video_for(name, lengths=[8, 3], frames=8)
    tokens = replace(tokens, features=torch.full_like(tokens.features, 1.7))
    kept = compress_tokens(tokens, REDUCTIONS[name])
    torch.testing.assert_close(kept.features[kept.mask], torch.full_like(kept.features[kept.mask], 1.7))


@every_reduction
def test_a_video_in_a_ragged_batch_is_what_it_is_alone(name):
    tokens = video_for(name, batch=3, frames=8, lengths=[8, 6, 4])
    kept = compress_tokens(tokens, REDUCTIONS[name])
    for video in range(3):
        same(only(kept, video), only(compress_tokens(only(tokens, video), REDUCTIONS[name]), 0))


@every_reduction
def test_what_stands_in_the_padding_changes_nothing_and_gets_no_gradient(name):
    tokens = video_for(name, batch=3, frames=8, lengths=[2, 8, 4])
    plain = compress_tokens(with_padding_of(tokens, 0.0), REDUCTIONS[name])
    spoiled = with_padding_of(tokens, torch.nan)
    x = spoiled.features.clone().requires_grad_()
    kept = compress_tokens(replace(spoiled, features=x), REDUCTIONS[name])
    same(kept, plain)
    kept.features.square().sum().backward()
    assert x.grad.isfinite().all() and (x.grad[~tokens.mask] == 0).all() and (x.grad[tokens.mask] != 0).any()
    if isinstance(REDUCTIONS[name], torch.nn.Module):
        assert all(p.grad is None or p.grad.isfinite().all() for p in REDUCTIONS[name].parameters())
        REDUCTIONS[name].zero_grad()


@every_reduction
def test_padding_comes_back_as_zeros(name):
    kept = compress_tokens(with_padding_of(video_for(name, frames=8, lengths=[8, 4]), torch.nan), REDUCTIONS[name])
    if kept.mask.all():
        return  # slots and whole-video means have as many for every video
    for x in (kept.features, kept.spans, kept.sources):
        assert (x[~kept.mask] == 0).all()


@every_reduction
def test_videos_do_not_see_each_other(name):
    tokens = video_for(name, batch=3, frames=8, lengths=[8, 6, 4])
    turn = torch.tensor([2, 0, 1])
    turned = replace(tokens, **{f: getattr(tokens, f)[turn] for f in ("features", "spans", "sources", "lengths")})
    kept, after = compress_tokens(tokens, REDUCTIONS[name]), compress_tokens(turned, REDUCTIONS[name])
    same(after, replace(kept, **{f: getattr(kept, f)[turn] for f in ("features", "spans", "sources", "lengths")}))


@every_reduction
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32], ids=str)
def test_features_keep_their_dtype_and_spans_their_seconds(name, dtype):
    if isinstance(REDUCTIONS[name], torch.nn.Module):
        pytest.skip("a module computes in the dtype of its parameters")
    exact = video_for(name, frames=8)
    kept = compress_tokens(replace(exact, features=exact.features.to(dtype)), REDUCTIONS[name])
    assert kept.features.dtype == dtype and kept.spans.dtype == torch.float64 and kept.sources.dtype == torch.float32


@every_reduction
def test_one_frame_is_enough(name):
    if name == "shuffle with TAPE":
        pytest.skip("TAPE halves its tokens four times; a still image goes without it")
    tokens = video_for(name, batch=1, frames=1)
    kept = compress_tokens(tokens, REDUCTIONS[name])
    torch.testing.assert_close(kept.spans, tokens.spans.expand_as(kept.spans), rtol=0, atol=0)


@every_reduction
def test_gradients_are_those_of_finite_differences(name):
    frames, grid = (4, (2, 4)) if "shuffle" in name else (4, (2, 2))
    tokens = a_video(batch=2, frames=frames, grid=grid, lengths=[4, 4] if "TAPE" in name else [4, 2])

    def kept(x):
        return compress_tokens(replace(tokens, features=x), REDUCTIONS[name]).features

    assert torch.autograd.gradcheck(kept, tokens.features.clone().requires_grad_(), atol=1e-4)
