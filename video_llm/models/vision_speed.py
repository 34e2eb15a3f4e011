"""How many frames a second SigLIP-So400m/14 at 384 pixels encodes on a CUDA device, beside transformers' own module.

Weights are random: speed does not depend on their values. Every contender is held against float32 before it is timed.
"""

import statistics
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor

from tvu.video_llm.models.transformers_towers import SiglipTower

SO400M = {
    "hidden_size": 1152,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
    "intermediate_size": 4304,
    "image_size": 384,
    "patch_size": 14,
}
BATCHES = (16, 64, 256)
ROUNDS = 5


@dataclass(frozen=True)
class Row:
    """One contender at one number of frames.

    frames:            encoded by one call.
    frames_per_second: by the median of the calls.
    ratio:             over the best rate that transformers' module had at any number of frames.
    of_floor:          the time that the multiplications alone would take at the rate of a large product of two square
                       matrices in the same run, as a share of the time taken.
    error:             norm of the difference from float32, relative.
    """

    what: str
    frames: int
    frames_per_second: float
    ratio: float
    of_floor: float
    error: float


class ParityError(AssertionError):
    """A tower that computes something else is not timed."""


@torch.inference_mode()
def measure(batches: Sequence[int] = BATCHES) -> list[Row]:
    """Plain and fused bfloat16 towers from uint8 frames on the device, in turns. Raises ParityError."""
    # as it loads by default, but without the pooling head that nobody here needs: its time is not held against it
    tower = build_so400m()
    contenders: dict[str, Callable[[Tensor], Tensor]] = {
        "transformers, eager": lambda frames: tower.plain_features(tower.normalised(frames)),
        "tvu": tower,
    }
    frames = torch.randint(0, 256, (max(batches), 3, tower.side, tower.side), dtype=torch.uint8, device="cuda")
    errors = _held(tower, contenders, frames[:4])
    flops_per_second = _product_rate()
    rates = {
        (what, count): count / median_seconds(lambda: encode(frames[:count]))  # noqa: B023 (called at once)
        for count in batches
        for what, encode in contenders.items()
    }
    base = max(rate for (what, _), rate in rates.items() if what != "tvu")
    floor = flops_per_frame() / flops_per_second
    return [Row(what, count, rate, rate / base, rate * floor, errors[what]) for (what, count), rate in rates.items()]


def build_so400m() -> SiglipTower:
    """The tower in bfloat16 on the CUDA device, for inference."""
    with torch.inference_mode(False), torch.device("cuda"):
        return SiglipTower(**SO400M).to(torch.bfloat16).eval()


def flops_per_frame() -> float:
    """Multiplications and additions of one frame's products: patches, projections, attention, MLP."""
    channels, hidden = SO400M["hidden_size"], SO400M["intermediate_size"]
    patch = SO400M["patch_size"]
    tokens = (SO400M["image_size"] // patch) ** 2
    block = 8 * channels**2 + 4 * channels * hidden + 4 * tokens * channels  # a token's
    return float(tokens * (SO400M["num_hidden_layers"] * block + 6 * patch**2 * channels))


def median_seconds(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Median time of `work()` on the device, between two events."""
    times = []
    for turn in range(rounds + 2):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        work()
        end.record()
        end.synchronize()
        if turn >= 2:
            times.append(begin.elapsed_time(end) * 1e-3)
    return statistics.median(times)


def _held(tower: SiglipTower, contenders: dict[str, Callable[[Tensor], Tensor]], frames: Tensor) -> dict[str, float]:
    wide = deepcopy(tower).float()
    exact = wide.plain_features(wide.normalised(frames))
    errors = {what: _error(encode(frames), exact) for what, encode in contenders.items()}
    if not errors["tvu"] <= 1.2 * errors["transformers, eager"]:  # both round to bfloat16; NaN never passes
        raise ParityError(f"the fused tower differs from float32 by {errors['tvu']:.2e}, as against {errors}")
    return errors


def _error(got: Tensor, exact: Tensor) -> float:
    return ((got.float() - exact).norm() / exact.norm()).item()


def _product_rate(side: int = 8192) -> float:
    a = torch.randn(side, side, device="cuda", dtype=torch.bfloat16)
    return 2 * side**3 / median_seconds(lambda: a @ a, 20)
