import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tvu.temporal.scan.bimba import MambaCompressor, interleave
from tvu.temporal.scan.mamba import MambaConfig
from tvu.temporal.types import VisualTokens


def compressor(depth=1, **settings):
    torch.manual_seed(0)
    return MambaCompressor(MambaConfig(d_model=8, d_state=3), depth, **settings).double()


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


@given(num_tokens=st.integers(1, 300), num_queries=st.integers(1, 300))
def test_every_place_is_a_query_or_a_token(num_tokens, num_queries):
    queries, tokens = interleave(num_tokens, num_queries)
    assert len(queries) == num_queries and len(tokens) == num_tokens
    assert sorted([*queries.tolist(), *tokens.tolist()]) == list(range(num_tokens + num_queries))
    gaps = queries.diff(prepend=torch.tensor([0]))
    assert gaps.max() - gaps.min() <= 1 and queries[-1] == num_tokens + num_queries - 1


def test_queries_stand_evenly_without_the_first_place():
    assert interleave(6, 2)[0].tolist() == [3, 7]
    assert interleave(60, 16)[0].tolist() == [4, 9, 14, 18, 23, 28, 32, 37, 42, 46, 51, 56, 60, 65, 70, 75]


def test_without_mixing_queries_come_back_as_they_were():
    model = compressor(depth=3)
    for layer in model.layers:
        layer.mixer.out_proj.weight.data.zero_()
    queries = normal(2, 4, 3, 8)
    assert torch.equal(model(normal(2, 8, 5, 8), queries), queries)


def test_every_query_hears_every_token():
    model, queries = compressor(), normal(1, 2, 2, 8)
    reach = torch.autograd.functional.jacobian(lambda x: model(x, queries).sum(dim=-1).flatten(), normal(1, 3, 4, 8))
    assert (reach.abs().sum(dim=-1) > 0).all()


def test_on_further_scales_every_second_frame_is_read():
    model = compressor(depth=2, multi_scale=True)
    counts = []
    for layer in model.layers:
        layer.mixer.register_forward_hook(lambda _, inputs, __: counts.append(inputs[0].shape[1]))
    model(normal(1, 5, 4, 8), normal(1, 2, 3, 8))
    assert counts == [5 * 4 + 6, 3 * 4 + 6]


def test_a_compressed_video_keeps_the_spans_of_its_queries():
    def frames(num_frames, num_tokens, lengths):
        starts = torch.arange(num_frames, dtype=torch.float64).expand(2, -1)
        spans = torch.stack([starts, starts + 1], dim=-1)
        return VisualTokens.from_frames(normal(2, num_frames, num_tokens, 8), spans, (1, num_tokens), lengths)

    video, queries = frames(6, 4, torch.tensor([6, 3])), frames(3, 2, torch.tensor([3, 1]))
    model = compressor()
    short = model.compress(video, queries)
    assert short.spans is queries.spans and short.sources is queries.sources and short.lengths is queries.lengths
    alone = model(video.features[1:, :3], queries.features[1:, :1])
    torch.testing.assert_close(short.features[1, :1], alone[0])


def test_the_backward_direction_starts_with_ones_on_the_diagonal():
    A = compressor().layers[0].mixer.A_b_log.exp()
    torch.testing.assert_close(A[:4], torch.tensor([[1, 2, 3], [1, 1, 3], [1, 2, 1], [1, 2, 3]]).double())


def test_queries_need_a_token():
    with pytest.raises(ValueError, match="among"):
        interleave(0, 3)
