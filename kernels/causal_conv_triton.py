"""The kernels behind `causal_conv_silu`: the shifted reads of a tile come from the cache after the first."""

# mypy: allow-untyped-defs

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

TOKENS, CHANNELS, WARPS = 32, 128, 4
TOKENS_BACKWARD = 64
RUN, WALK_CHANNELS, WALK_WARPS = 64, 128, 1


@triton.jit
def _before_activation(
    x, weight, bias, token, channel, L, D, stride_l,
    HAS_BIAS: tl.constexpr, TAPS: tl.constexpr, BACK: tl.constexpr, TOKENS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """y of some tokens, `[TOKENS, CHANNELS]`; BACK is 1 where a token sees those before it, -1 where those after."""
    inside = channel < D
    total = tl.zeros([TOKENS, CHANNELS], dtype=tl.float32)
    if HAS_BIAS:
        total += tl.load(bias + channel, mask=inside, other=0.0).to(tl.float32)[None, :]
    for tap in tl.static_range(TAPS):
        source = token - BACK * (TAPS - 1 - tap)
        there = ((source >= 0) & (source < L))[:, None] & inside[None, :]
        value = tl.load(x + source[:, None] * stride_l + channel[None, :], mask=there, other=0.0).to(tl.float32)
        total += value * tl.load(weight + channel * TAPS + tap, mask=inside, other=0.0).to(tl.float32)[None, :]
    return total


@triton.jit(do_not_specialize=["L"])
def _convolve(
    x, weight, bias, out, L, D, tiles, stride_b, stride_l,
    HAS_BIAS: tl.constexpr, TAPS: tl.constexpr, BACK: tl.constexpr, TOKENS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    video = tl.program_id(1).to(tl.int64)
    token = (tl.program_id(0) // tiles).to(tl.int64) * TOKENS + tl.arange(0, TOKENS)
    channel = tl.program_id(0) % tiles * CHANNELS + tl.arange(0, CHANNELS)
    total = _before_activation(
        x + video * stride_b, weight, bias, token, channel, L, D, stride_l, HAS_BIAS, TAPS, BACK, TOKENS, CHANNELS
    )
    total = total / (1.0 + tl.exp(-total))
    address = out + (video * L + token[:, None]) * D + channel[None, :]
    tl.store(address, total, mask=(token < L)[:, None] & (channel < D)[None, :])


@triton.jit
def _row_of(x, token, channel, L, D, stride_l):
    there = (channel < D) & (token >= 0) & (token < L)
    return tl.load(x + token * stride_l + channel, mask=there, other=0.0).to(tl.float32)


@triton.jit
def _put(out, token, channel, y, L, D):
    there = (channel < D) & (token >= 0) & (token < L)
    tl.store(out + token * D + channel, y / (1.0 + tl.exp(-y)), mask=there)


@triton.jit(do_not_specialize=["L"])
def _walk(
    x, weight, bias, out, L, D, stride_b, stride_l,
    HAS_BIAS: tl.constexpr, BACK: tl.constexpr, RUN: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """One program: RUN tokens of some channels, four at a time; the three before them stay in registers."""
    channel = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    video = tl.program_id(2).to(tl.int64)
    inside = channel < D
    x += video * stride_b
    out += video * L * D
    w0 = tl.load(weight + channel * 4, mask=inside, other=0.0).to(tl.float32)
    w1 = tl.load(weight + channel * 4 + 1, mask=inside, other=0.0).to(tl.float32)
    w2 = tl.load(weight + channel * 4 + 2, mask=inside, other=0.0).to(tl.float32)
    w3 = tl.load(weight + channel * 4 + 3, mask=inside, other=0.0).to(tl.float32)
    offset = tl.zeros([CHANNELS], dtype=tl.float32)
    if HAS_BIAS:
        offset += tl.load(bias + channel, mask=inside, other=0.0).to(tl.float32)
    first = tl.program_id(1).to(tl.int64) * RUN
    if BACK < 0:
        first += RUN - 1
    a = _row_of(x, first - 3 * BACK, channel, L, D, stride_l)
    b = _row_of(x, first - 2 * BACK, channel, L, D, stride_l)
    c = _row_of(x, first - BACK, channel, L, D, stride_l)
    for turn in range(0, RUN, 4):
        token = first + turn * BACK
        d = _row_of(x, token, channel, L, D, stride_l)
        e = _row_of(x, token + BACK, channel, L, D, stride_l)
        f = _row_of(x, token + 2 * BACK, channel, L, D, stride_l)
        g = _row_of(x, token + 3 * BACK, channel, L, D, stride_l)
        _put(out, token, channel, offset + w0 * a + w1 * b + w2 * c + w3 * d, L, D)
        _put(out, token + BACK, channel, offset + w0 * b + w1 * c + w2 * d + w3 * e, L, D)
        _put(out, token + 2 * BACK, channel, offset + w0 * c + w1 * d + w2 * e + w3 * f, L, D)
        _put(out, token + 3 * BACK, channel, offset + w0 * d + w1 * e + w2 * f + w3 * g, L, D)
        a, b, c = e, f, g


@triton.jit(do_not_specialize=["L"])
def _gradients(
    x, weight, bias, grad, grad_x, grad_weight, grad_bias, L, D, tiles, stride_b, stride_l, stride_gb, stride_gl,
    HAS_BIAS: tl.constexpr, TAPS: tl.constexpr, BACK: tl.constexpr, TOKENS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """One program: the gradient of some x, from every y that saw them, and its tokens' share of the weight's."""
    video = tl.program_id(1).to(tl.int64)
    tile = tl.program_id(0) // tiles
    token = tile.to(tl.int64) * TOKENS + tl.arange(0, TOKENS)
    channel = tl.program_id(0) % tiles * CHANNELS + tl.arange(0, CHANNELS)
    inside = channel < D
    x += video * stride_b
    grad += video * stride_gb
    share = (video * (tl.num_programs(0) // tiles) + tile) * D + channel
    to_x = tl.zeros([TOKENS, CHANNELS], dtype=tl.float32)
    for ahead in tl.static_range(TAPS):
        reader = token + BACK * ahead
        y = _before_activation(x, weight, bias, reader, channel, L, D, stride_l, HAS_BIAS, TAPS, BACK, TOKENS, CHANNELS)
        there = ((reader >= 0) & (reader < L))[:, None] & inside[None, :]
        dy = tl.load(grad + reader[:, None] * stride_gl + channel[None, :], mask=there, other=0.0).to(tl.float32)
        sigmoid = 1.0 / (1.0 + tl.exp(-y))
        dy *= sigmoid * (1.0 + y * (1.0 - sigmoid))
        w = tl.load(weight + channel * TAPS + TAPS - 1 - ahead, mask=inside, other=0.0).to(tl.float32)
        to_x += dy * w[None, :]
        if ahead == 0:
            if HAS_BIAS:
                tl.store(grad_bias + share, tl.sum(dy, axis=0), mask=inside)
            for tap in tl.static_range(TAPS):
                source = token - BACK * (TAPS - 1 - tap)
                seen = ((source >= 0) & (source < L))[:, None] & inside[None, :]
                value = tl.load(x + source[:, None] * stride_l + channel[None, :], mask=seen, other=0.0)
                tl.store(grad_weight + share * TAPS + tap, tl.sum(dy * value.to(tl.float32), axis=0), mask=inside)
    address = grad_x + (video * L + token[:, None]) * D + channel[None, :]
    tl.store(address, to_x, mask=(token < L)[:, None] & inside[None, :])


class CausalConvSilu(torch.autograd.Function):
    """`causal_conv_silu` with its gradients; what the activation was given is computed again, not kept."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, reverse: bool) -> Tensor:
        ctx.save_for_backward(x, weight, bias)
        ctx.reverse = reverse
        x, weight = _rows(x), weight.contiguous()
        batch, length, channels = x.shape
        out = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        back = -1 if reverse else 1
        if weight.shape[-1] == 4:  # as every Mamba has it
            grid = (triton.cdiv(channels, WALK_CHANNELS), triton.cdiv(length, RUN), batch)
            _walk[grid](
                x, weight, None if bias is None else bias.contiguous(), out, length, channels, *x.stride()[:2],
                HAS_BIAS=bias is not None, BACK=back, RUN=RUN, CHANNELS=WALK_CHANNELS, num_warps=WALK_WARPS,
            )  # fmt: skip
            return out
        tiles = triton.cdiv(channels, CHANNELS)
        _convolve[(triton.cdiv(length, TOKENS) * tiles, batch)](
            x, weight, None if bias is None else bias.contiguous(), out, length, channels, tiles, *x.stride()[:2],
            HAS_BIAS=bias is not None, TAPS=weight.shape[-1], BACK=back,
            TOKENS=TOKENS, CHANNELS=CHANNELS, num_warps=WARPS,
        )  # fmt: skip
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias = ctx.saved_tensors
        rows, taps, grad = _rows(x), weight.contiguous(), _rows(grads[0])
        batch, length, channels = x.shape
        tiles, runs = triton.cdiv(channels, CHANNELS), triton.cdiv(length, TOKENS_BACKWARD)
        grad_x = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        grad_weight = x.new_empty(batch * runs, channels, taps.shape[-1], dtype=torch.float32)
        grad_bias = None if bias is None else x.new_empty(batch * runs, channels, dtype=torch.float32)
        _gradients[(runs * tiles, batch)](
            rows, taps, None if bias is None else bias.contiguous(), grad, grad_x, grad_weight, grad_bias,
            length, channels, tiles, *rows.stride()[:2], *grad.stride()[:2],
            HAS_BIAS=bias is not None, TAPS=taps.shape[-1], BACK=-1 if ctx.reverse else 1,
            TOKENS=TOKENS_BACKWARD, CHANNELS=CHANNELS, num_warps=8,
        )  # fmt: skip
        to_bias = None if bias is None or grad_bias is None else grad_bias.sum(0).to(bias.dtype)
        return grad_x, grad_weight.sum(0).to(weight.dtype), to_bias, None


def _rows(tensor: Tensor) -> Tensor:
    """The kernels want channels beside each other; everything else may be strided."""
    return tensor if tensor.stride(-1) == 1 else tensor.contiguous()
