"""Every kernel at the sizes of real models, on a GPU: values, gradients, offsets beyond 32 bits, capture in a graph."""

import pytest
import torch

from tvu.kernels.add_norm_pool import add_norm_pool, add_norm_pool_plain
from tvu.kernels.causal_conv import causal_conv_silu, causal_conv_silu_plain
from tvu.kernels.frame_similarity import frame_similarity, frame_similarity_plain
from tvu.kernels.gated_norm import gated_norm, gated_norm_plain, gated_norm_pool, gated_norm_pool_plain
from tvu.kernels.pool_tokens import pool_and_compare, pool_and_compare_plain, pool_tokens, pool_tokens_plain
from tvu.kernels.select_tokens import select_tokens, select_tokens_plain
from tvu.kernels.selective_scan import selective_scan, selective_scan_plain
from tvu.kernels.shuffle_norm import shuffle_norm, shuffle_norm_plain
from tvu.kernels.slot_pool import slot_pool, slot_pool_plain
from tvu.kernels.ssd_scan import StepSizes, ssd_bidirectional, ssd_scan, ssd_scan_plain

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    pytest.mark.timeout(300),
]
LENGTH = 262_144  # 1024 frames of 256 tokens
PIECE = 65_536


def video(frames, dtype=torch.bfloat16, videos=1):
    """Features of SigLIP-So400m at 384 pixels."""
    return torch.randn(videos, frames, 27, 27, 1152, device="cuda").to(dtype)


def parameter(*shape):
    return torch.randn(*shape, device="cuda").bfloat16()


OPS = {
    "pool_tokens": (lambda x: pool_tokens(x, frames=4, cells=3), lambda x: pool_tokens_plain(x, frames=4, cells=3), ()),
    "pool_tokens, ragged": (
        lambda x: pool_tokens(x, torch.full((1,), 6, device="cuda"), frames=4, cells=2, every=2),
        lambda x: pool_tokens_plain(x, torch.full((1,), 6, device="cuda"), frames=4, cells=2, every=2),
        (),
    ),
    "pool_and_compare": (
        lambda x: pool_and_compare(x, frames=4, cells=3),
        lambda x: pool_and_compare_plain(x, frames=4, cells=3),
        (),
    ),
    "add_norm_pool": (
        lambda x, w: add_norm_pool(x, x.roll(1, -1), x.roll(2, -1), w, frames=4, cells=3),
        lambda x, w: add_norm_pool_plain(x, x.roll(1, -1), x.roll(2, -1), w, frames=4, cells=3),
        ((1152,),),
    ),
    "shuffle_norm": (
        lambda x, w, b: shuffle_norm(x[0], w, b),
        lambda x, w, b: shuffle_norm_plain(x[0], w, b),
        ((4608,), (4608,)),
    ),
    "slot_pool": (
        lambda x, s: slot_pool(x.flatten(2, 3), s / 34, torch.ones(*x.shape[:2], 729, 3, device="cuda")),
        lambda x, s: slot_pool_plain(x.flatten(2, 3), s / 34, torch.ones(*x.shape[:2], 729, 3, device="cuda")),
        ((1152, 256),),
    ),
    "causal_conv_silu": (
        lambda x, w, b: causal_conv_silu(x.flatten(1, 3), w, b, reverse=True),
        lambda x, w, b: causal_conv_silu_plain(x.flatten(1, 3), w, b, reverse=True),
        ((1152, 4), (1152,)),
    ),
    "gated_norm": (
        lambda x, w: gated_norm(x, w, x.roll(1, -1)),
        lambda x, w: gated_norm_plain(x, w, x.roll(1, -1)),
        ((1152,),),
    ),
    "gated_norm_pool": (
        lambda x, w: gated_norm_pool(x, w, x.roll(1, -1), frames=4, cells=2),
        lambda x, w: gated_norm_pool_plain(x, w, x.roll(1, -1), frames=4, cells=2),
        ((1152,),),
    ),
}


def tensors(value):
    return [value] if isinstance(value, torch.Tensor) else list(value)


def assert_near(ours, right, bound):
    """As a share of the norm. NaN, which poisons outputs, never passes."""
    error = (ours.double() - right.double()).norm() / right.double().norm()
    assert error <= bound, f"{error:.1e}"


@pytest.mark.parametrize("name", OPS)
def test_values_of_256_frames_are_those_of_the_twin(name):
    ours, plain, shapes = OPS[name]
    inputs = [video(256), *(parameter(*shape) for shape in shapes)]
    with torch.no_grad():
        for got, right in zip(tensors(ours(*inputs)), tensors(plain(*(x.float() for x in inputs))), strict=True):
            assert_near(got, right, 4e-3)  # bfloat16 outputs


@pytest.mark.parametrize("name", OPS)
def test_gradients_of_16_frames_are_those_of_the_twin(name):
    ours, plain, shapes = OPS[name]
    inputs = [video(16).requires_grad_(), *(parameter(*shape).requires_grad_() for shape in shapes)]
    wide = [x.detach().double().requires_grad_() for x in inputs]
    y = tensors(ours(*inputs))[0]
    direction = torch.randn_like(y)
    got = torch.autograd.grad(y, inputs, direction)
    exact = torch.autograd.grad(tensors(plain(*wide))[0], wide, direction.double())
    for one, right in zip(got, exact, strict=True):
        assert_near(one, right, 1e-2)  # bfloat16 gradients, and sums over many tokens of products of such


@pytest.mark.parametrize("name", OPS)
def test_every_operation_can_be_captured(name):
    ours, _, shapes = OPS[name]
    inputs = [video(8), *(parameter(*shape) for shape in shapes)]
    with torch.no_grad():
        right = tensors(ours(*inputs))
        torch.cuda.synchronize()
        if name == "pool_tokens, ragged":
            pytest.skip("its lengths are made inside the test's function")
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            got = tensors(ours(*inputs))
        graph.replay()
        for one, expected in zip(got, right, strict=True):
            assert torch.equal(one, expected)


def test_selection_of_a_quarter_is_exact_and_needs_no_answer_from_the_device():
    x = video(256).flatten(2, 3)
    scores = frame_similarity(x)
    assert (scores.double() - frame_similarity_plain(x.double())).abs().max() <= 1e-5  # float32 sums
    tokens, scores = x.flatten(1, 2), scores.flatten(1)
    budget = tokens.shape[1] // 4
    right = select_tokens_plain(tokens, scores, budget)
    graph = torch.cuda.CUDAGraph()
    torch.cuda.synchronize()
    with torch.cuda.graph(graph):
        got = select_tokens(tokens, scores, budget)
    graph.replay()
    assert torch.equal(got[1], right[1])
    assert torch.equal(got[0], right[0])


def of_a_layer(length, states=64, heads=112):
    """x, dt, B, C cut from the rows of one projection, whose last offset is beyond 2^31 at LENGTH tokens."""
    rows = torch.empty(1, length, 2 * heads * 64 + 2 * states + heads, device="cuda", dtype=torch.bfloat16)
    for piece in rows.split(PIECE, dim=1):
        piece.normal_()
    _, x, B, C, dt = rows.split([heads * 64, heads * 64, states, states, heads], dim=-1)
    A = -torch.empty(heads, device="cuda").uniform_(1, 16)
    steps = StepSizes(torch.empty(heads, device="cuda").uniform_(-7, -2), softplus=True)
    return {"x": x.unflatten(-1, (heads, 64)), "dt": dt, "A": A, "B": B[:, :, None], "C": C[:, :, None], "steps": steps}


def pieces(given, reverse):
    """The same scan, PIECE tokens at a time, the state handed on."""
    cuts = [slice(start, start + PIECE) for start in range(0, LENGTH, PIECE)]
    state, ys = None, []
    for cut in reversed(cuts) if reverse else cuts:
        piece = {name: t[:, cut].contiguous() if name in ("x", "dt", "B", "C") else t for name, t in given.items()}
        y, state = ssd_scan(**piece, initial_state=state, reverse=reverse)
        ys.append(y)
    return torch.cat(ys[::-1] if reverse else ys, dim=1)


@torch.no_grad()
def test_a_scan_of_262144_tokens_is_the_scan_of_its_pieces():
    given = of_a_layer(LENGTH)
    both = ssd_bidirectional(**given)
    for reverse in (False, True):
        y, _ = ssd_scan(**given, reverse=reverse)
        assert_near(y, pieces(given, reverse), 1e-2)  # states between chunks are bfloat16, those between pieces are not
        both -= y
    assert both.norm() <= 1e-2 * y.norm()


@torch.no_grad()
def test_the_end_of_262144_tokens_is_the_recurrence():
    given = of_a_layer(LENGTH)
    y, _ = ssd_scan(**given, reverse=True)
    end = {name: t[:, -512:].double() if name in ("x", "dt", "B", "C") else t for name, t in given.items()}
    right, _ = ssd_scan_plain(**end, reverse=True)
    assert_near(y[:, -512:], right, 1e-2)


@pytest.mark.parametrize(("states", "heads"), [(64, 8), (128, 8), (64, 64), (128, 64)])
def test_gradients_of_the_mamba_2_scan_are_those_of_the_recurrence(states, heads):
    given = of_a_layer(600, states, heads)
    names = ("x", "dt", "A", "B", "C")
    leaves = [given[name].detach().clone().requires_grad_() for name in names]
    wide = [leaf.detach().double().requires_grad_() for leaf in leaves]
    y = ssd_bidirectional(*leaves, steps=given["steps"])
    direction = torch.randn_like(y)
    got = torch.autograd.grad(y, leaves, direction)
    right = sum(ssd_scan_plain(*wide, steps=given["steps"], reverse=reverse)[0] for reverse in (False, True))
    for name, one, exact in zip(names, got, torch.autograd.grad(right, wide, direction.double()), strict=True):
        # products and states of bfloat16; A has a sum of both signs over all tokens
        assert_near(one, exact, 5e-2 if name == "A" else 2e-2)


def test_a_block_for_inference_is_the_block_that_was_trained():
    from tvu.temporal.scan.mamba2 import BidirectionalMamba2, Mamba2Config

    block = BidirectionalMamba2(Mamba2Config(512, d_state=64)).to("cuda", torch.bfloat16)
    x, lengths = torch.randn(2, 3000, 512, device="cuda").bfloat16(), torch.tensor([3000, 1700], device="cuda")
    trained = block(x, lengths)
    with torch.no_grad():
        for row, length in enumerate(lengths.tolist()):
            assert_near(block(x, lengths)[row, :length], trained[row, :length], 2e-2)


def of_mamba_1(length, channels, states=16):
    """u and delta cut from rows whose last offset is beyond 2^31 at LENGTH tokens of 2304 channels."""
    rows = torch.empty(1, length, 4 * channels, device="cuda", dtype=torch.bfloat16)
    for piece in rows.split(PIECE, dim=1):
        piece.normal_()
    B, C = torch.randn(2, 1, length, 1, states, device="cuda").bfloat16()
    A = -torch.arange(1.0, states + 1, device="cuda").repeat(channels, 1)
    return rows[..., -channels:], rows[..., -2 * channels : -channels], A, B, C


@torch.no_grad()
@pytest.mark.parametrize("reverse", [False, True])
def test_a_mamba_1_scan_of_262144_tokens_is_the_scan_of_its_pieces(reverse):
    u, delta, A, B, C = of_mamba_1(LENGTH, 2304)
    bias = torch.full((2304,), -3.0, device="cuda")
    y, _ = selective_scan(u, delta, A, B, C, delta_bias=bias, softplus=True, reverse=reverse)
    cuts = [slice(start, start + PIECE) for start in range(0, LENGTH, PIECE)]
    state = None
    for cut in reversed(cuts) if reverse else cuts:
        operands = (u[:, cut].contiguous(), delta[:, cut].contiguous(), A, B[:, cut], C[:, cut])
        settings = {"delta_bias": bias, "softplus": True, "reverse": reverse}
        right, state = selective_scan(*operands, **settings, initial_state=state)
        assert_near(y[:, cut], right, 1e-3)


@pytest.mark.parametrize("reverse", [False, True])
def test_the_mamba_1_scan_and_its_gradients_are_those_of_the_recurrence(reverse):
    u, delta, A, B, C = of_mamba_1(700, 256)
    leaves = [t.detach().clone().requires_grad_() for t in (u, delta, A, B, C)]
    wide = [leaf.detach().double().requires_grad_() for leaf in leaves]
    y, _ = selective_scan(*leaves, softplus=True, reverse=reverse)
    right, _ = selective_scan_plain(*wide, softplus=True, reverse=reverse)
    assert_near(y, right, 4e-3)
    direction = torch.randn_like(y)
    got, exact = torch.autograd.grad(y, leaves, direction), torch.autograd.grad(right, wide, direction.double())
    for one, expected in zip(got, exact, strict=True):
        assert_near(one, expected, 1e-2)
