import pytest
import torch

from tvu.kernels.cache_attention import (
    append_and_attend,
    cached_attention,
    cached_attention_plain,
    causal_attention,
    causal_attention_plain,
    rotate_and_append,
    rotate_and_append_plain,
    signed,
)

pytest.importorskip("triton", reason="Triton has wheels for Linux only")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
# float32 sums; bfloat16 rounds weights and output, and Triton's interpreter cuts instead of rounding
BOUNDS = {torch.float32: 1e-6, torch.bfloat16: 1e-2}
each_dtype = pytest.mark.parametrize("dtype", BOUNDS)
CASES = {  # Q, H, G, D, S, and the lengths of the rows
    "one query of a full row, a head a group": (1, 3, 3, 64, 50, [49]),
    "rows that are empty, short and full": (2, 4, 2, 64, 257, [0, 100, 255]),
    "three queries of seven heads": (3, 14, 2, 40, 131, [100]),
    "eight queries": (8, 3, 1, 64, 300, [292]),
    "more queries than one program takes": (5, 17, 1, 80, 70, [40]),
    "wide heads": (1, 2, 1, 256, 40, [33]),
}


def cache(case, dtype):
    new, heads, groups, width, capacity, lengths = CASES[case]
    rows = len(lengths)
    q = torch.randn(rows, new, heads, width, device=DEVICE).to(dtype)
    keys, values = torch.randn(2, rows, groups, capacity, width, device=DEVICE).to(dtype)
    return q, keys, values, torch.tensor(lengths, device=DEVICE)


def error(ours, exact):
    return ((ours.double() - exact).norm() / exact.norm()).item()


@each_dtype
@pytest.mark.parametrize("case", CASES)
def test_the_split_kernel_equals_its_twin(case, dtype):
    from tvu.kernels import cache_attention_triton
    from tvu.kernels.cache_attention_triton import Split

    q, keys, values, lengths = cache(case, dtype)
    exact = cached_attention_plain(q.double(), keys.double(), values.double(), lengths, 0.1)
    for row, length in enumerate(lengths.tolist()):  # what nobody sees is not read
        keys[row, :, length + q.shape[1] :] = torch.nan
        values[row, :, length + q.shape[1] :] = torch.nan
    for split in (None, Split(5, 16, 4, 2)):
        ours = cache_attention_triton.cached_attention(q, keys, values, lengths, 0.1, split)
        assert error(ours, exact) < BOUNDS[dtype]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("case", CASES)
def test_what_a_cpu_runs_equals_the_specification(case, dtype):
    q, keys, values, lengths = (t.cpu() for t in cache(case, dtype))
    exact = cached_attention_plain(q.double(), keys.double(), values.double(), lengths, 0.1)
    assert error(cached_attention(q, keys, values, lengths, 0.1), exact) < 1e-6


@each_dtype
@pytest.mark.parametrize("normed", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_the_rotating_kernel_equals_its_twin(case, normed, dtype):
    from tvu.kernels import cache_attention_triton

    q, keys, values, lengths = cache(case, dtype)
    rows, new, heads, width = q.shape
    qkv = torch.randn(rows, new, (heads + 2 * keys.shape[1]) * width, device=DEVICE).to(dtype)
    cos, sin = torch.randn(2, keys.shape[2], width, device=DEVICE)
    norms = [torch.rand(width, device=DEVICE).to(dtype) for _ in range(2)]
    wide = keys.double(), values.double()
    exact = rotate_and_append_plain(
        qkv.double(), cos.double(), sin.double(), lengths, *wide,
        norms=(norms[0].double(), norms[1].double(), 1e-6) if normed else None,
    )  # fmt: skip
    ours = cache_attention_triton.rotate_and_append(
        qkv, cos, sin, lengths, keys, values, (norms[0], norms[1], 1e-6) if normed else None
    )
    for got, right in zip((ours, keys, values), (exact, *wide), strict=True):
        assert error(got, right) < BOUNDS[dtype]


@pytest.mark.parametrize("lengths", [[9, 9], [9, 4]])
def test_even_rows_are_appended_to_as_the_specification_says(lengths):
    qkv, (cos, sin) = torch.randn(2, 3, 8 * 16, dtype=torch.float64), torch.randn(2, 20, 16, dtype=torch.float64)
    norms = (*torch.rand(2, 16, dtype=torch.float64), 1e-6)
    ours, exact = torch.zeros(2, 2, 2, 2, 20, 16, dtype=torch.float64)
    at = torch.tensor(lengths)
    q = rotate_and_append(qkv, cos, sin, at, ours[0], ours[1], norms=norms)
    torch.testing.assert_close(q, rotate_and_append_plain(qkv, cos, sin, at, exact[0], exact[1], norms=norms))
    torch.testing.assert_close(ours, exact)


@pytest.mark.parametrize("normed", [False, True])
@pytest.mark.parametrize(("rows", "length"), [(1, 0), (2, 7), (3, 9)])
def test_one_position_of_even_rows_is_appended_and_attended_at_once(rows, length, normed):
    heads, groups, width, capacity = 6, 2, 8, 10
    qkv = torch.randn(rows, 1, (heads + 2 * groups) * width)
    cos, sin = torch.randn(2, capacity, width)
    norms = (torch.rand(width), torch.rand(width), 1e-6) if normed else None
    memory = torch.randn(2, rows, groups, capacity, width)
    (keys, values), (other_keys, other_values) = memory.clone(), memory.clone()
    seen = append_and_attend(qkv, cos[length], signed(sin[length]), length, keys, values, 0.3, norms=norms)
    lengths = torch.full((rows,), length)
    q = rotate_and_append_plain(qkv, cos, sin, lengths, other_keys, other_values, norms=norms)
    torch.testing.assert_close(seen, cached_attention_plain(q, other_keys, other_values, lengths, 0.3))
    torch.testing.assert_close([keys, values], [other_keys, other_values])


@pytest.mark.parametrize(("new", "length"), [(1, 5), (3, 4)])
def test_a_full_cache_takes_no_more(new, length):
    room, table = torch.zeros(2, 1, 1, 5, 4), torch.ones(9, 4)
    with pytest.raises(IndexError):
        rotate_and_append(torch.ones(1, new, 12), table, table, torch.tensor([length]), room[0], room[1])


def test_positions_beyond_the_cache_are_not_written():
    from tvu.kernels import cache_attention_triton

    room = torch.zeros(2, 2, 1, 5, 4, device=DEVICE)  # the last of two rows ends where the memory does
    qkv, table = torch.ones(2, 3, 12, device=DEVICE), torch.ones(5, 4, device=DEVICE)
    lengths = torch.tensor([4, 5], device=DEVICE)
    cache_attention_triton.rotate_and_append(qkv, table, table, lengths, room[0], room[1], None)
    assert room[1].sum() == 4 and room[0, :, :, :4].abs().sum() == 0


@pytest.mark.parametrize("chunk", [1, 7, 40])
def test_a_prompt_in_chunks_sees_what_it_sees_at_once(chunk):
    q = torch.randn(2, 40, 6, 32, device=DEVICE)
    keys, values = torch.randn(2, 2, 2, 64, 32, device=DEVICE)
    whole = causal_attention_plain(q, keys[:, :, :40], values[:, :, :40], 0.2)
    for end in range(chunk, 41, chunk):
        seen = causal_attention(q[:, end - chunk : end], keys[:, :, :end], values[:, :, :end], 0.2)
        torch.testing.assert_close(seen, whole[:, end - chunk : end], rtol=1e-4, atol=1e-5)  # other orders of sums


def test_the_rows_of_a_chunk_see_as_queries_of_a_cache_do():
    q = torch.randn(2, 5, 6, 32, dtype=torch.float64)
    keys, values = torch.randn(2, 2, 2, 9, 32, dtype=torch.float64)
    seen = cached_attention_plain(q, keys, values, torch.tensor([4, 4]), 0.2)
    torch.testing.assert_close(causal_attention_plain(q, keys, values, 0.2), seen)


@pytest.mark.gpu
@pytest.mark.skipif(DEVICE == "cpu", reason="needs a CUDA device")
def test_a_captured_graph_serves_every_length():
    _, keys, values, lengths = cache("rows that are empty, short and full", torch.bfloat16)
    cos, sin = torch.randn(2, 257, 64, device=DEVICE)
    qkv = torch.randn(3, 2, 8 * 64, device=DEVICE).bfloat16()

    def step():
        rotated = rotate_and_append(qkv, cos, sin, lengths, keys, values)
        return cached_attention(rotated, keys, values, lengths, 0.1)

    step()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = step()
    for new in ([0, 100, 255], [7, 8, 9], [200, 0, 1]):
        lengths.copy_(torch.tensor(new))
        graph.replay()
        wide = keys.double(), values.double()
        queries = rotate_and_append_plain(qkv.double(), cos.double(), sin.double(), lengths, *wide)
        assert error(out, cached_attention_plain(queries, *wide, lengths, 0.1)) < 1e-2


@pytest.mark.gpu
@pytest.mark.skipif(DEVICE == "cpu", reason="needs a CUDA device")
@pytest.mark.parametrize("new", [700, 1000])
def test_a_gpu_attends_to_the_filled_part_of_a_cache_where_it_lies(new):
    q = torch.randn(2, new, 14, 128, device=DEVICE).bfloat16()
    keys, values = torch.randn(2, 2, 2, 1500, 128, device=DEVICE).bfloat16()[..., :1000, :].unbind()
    exact = causal_attention_plain(q.double(), keys.double(), values.double(), 0.1)
    held = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    assert error(causal_attention(q, keys, values, 0.1), exact) < 1e-2
    assert torch.cuda.max_memory_allocated() - held < 4 * 8 * q.numel()  # no scores, no heads repeated
