"""The kernel behind `frame_similarity`: a program compares a few frames at one place, and sums along channels once."""

# mypy: allow-untyped-defs

import torch
import triton
import triton.language as tl
from torch import Tensor

FRAMES, BLOCK, WARPS = 4, 128, 2


@triton.jit
def _similarity(x, out, T, N, C, chunks, FRAMES: tl.constexpr, BLOCK: tl.constexpr):
    """Each frame of a chunk is read as itself and as the one before the next: the second time from the L1 cache."""
    program = tl.program_id(0).to(tl.int64)
    chunk = program % chunks  # neighbouring programs share a frame
    place = program // chunks % N
    video = program // (chunks * N)
    t = chunk * FRAMES + tl.arange(0, FRAMES)
    now = x + ((video * T + t) * N + place)[:, None] * C
    dot = tl.zeros([FRAMES, BLOCK], dtype=tl.float32)
    square_now = tl.zeros([FRAMES, BLOCK], dtype=tl.float32)
    square_before = tl.zeros([FRAMES, BLOCK], dtype=tl.float32)
    for first in range(0, C, BLOCK):
        channel = first + tl.arange(0, BLOCK)[None, :]
        inside = (t < T)[:, None] & (channel < C)
        a = tl.load(now + channel, mask=inside, other=0.0).to(tl.float32)
        b = tl.load(now - N * C + channel, mask=inside & (t > 0)[:, None], other=0.0).to(tl.float32)
        dot += a * b
        square_now += a * a
        square_before += b * b
    both = tl.sum(square_now, axis=1) * tl.sum(square_before, axis=1)
    cosine = tl.sum(dot, axis=1) * tl.rsqrt(tl.maximum(both, 1.1754944e-38))  # the least normal float32
    cosine = tl.where(t == 0, -1.0, tl.minimum(tl.maximum(cosine, -1.0), 1.0))
    tl.store(out + (video * T + t) * N + place, cosine, mask=t < T)


def frame_similarity_triton(x: Tensor) -> Tensor:
    """`frame_similarity` of a CUDA tensor."""
    x = x.contiguous()
    batch, times, places, channels = x.shape
    out = x.new_empty(batch, times, places, dtype=torch.float32)
    chunks = triton.cdiv(times, FRAMES)
    _similarity[(batch * places * chunks,)](
        x, out, times, places, channels, chunks, FRAMES=FRAMES, BLOCK=BLOCK, num_warps=WARPS
    )
    return out
