"""The kernel behind `frame_similarity`: a program walks one place through time and keeps the previous token."""

# mypy: allow-untyped-defs

import torch
import triton
import triton.language as tl
from torch import Tensor

CHANNELS_PER_WARP = 512
FRAMES = 8  # of one program; its first token's predecessor is read twice, mostly from the L2 cache


@triton.jit
def _similarity(x, out, T, N, C, chunks, FRAMES: tl.constexpr, BLOCK: tl.constexpr):
    program = tl.program_id(0).to(tl.int64)
    chunk = program % chunks  # neighbouring programs share a token
    place = program // chunks % N
    video = program // (chunks * N)
    channel = tl.arange(0, BLOCK)
    first = chunk * FRAMES
    before = x + ((video * T + tl.maximum(first - 1, 0)) * N + place) * C
    previous = tl.load(before + channel, mask=channel < C, other=0.0).to(tl.float32)
    square_before = tl.sum(previous * previous)
    for f in tl.static_range(FRAMES):
        t = first + f
        limit = tl.where(t < T, C, 0)
        address = x + ((video * T + t) * N + place) * C
        token = tl.load(address + channel, mask=channel < limit, other=0.0).to(tl.float32)
        square = tl.sum(token * token)
        both = tl.maximum(square * square_before, 1.1754944e-38)  # the least normal float32
        cosine = tl.minimum(tl.maximum(tl.sum(token * previous) * tl.rsqrt(both), -1.0), 1.0)
        cosine = tl.where(t == 0, -1.0, cosine)
        tl.store(out + (video * T + t) * N + place, cosine, mask=t < T)
        previous = token
        square_before = square


def frame_similarity_triton(x: Tensor) -> Tensor:
    """`frame_similarity` of a CUDA tensor."""
    x = x.contiguous()
    batch, times, places, channels = x.shape
    out = x.new_empty(batch, times, places, dtype=torch.float32)
    chunks = triton.cdiv(times, FRAMES)
    block = triton.next_power_of_2(channels)
    _similarity[(batch * places * chunks,)](
        x,
        out,
        times,
        places,
        channels,
        chunks,
        FRAMES=FRAMES,
        BLOCK=block,
        num_warps=max(1, min(8, block // CHANNELS_PER_WARP)),
    )
    return out
