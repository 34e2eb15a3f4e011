"""What `lite` sees of a video, in steps of a quarter second."""

from dataclasses import dataclass

import torch
from torch import Tensor

STEPS_PER_SECOND = 4
GRID = (2, 2)
SLOW_CHANNELS = 1280  # of EfficientNet-Lite0's last map
MOTION_FPS = 8  # frames that SqueezeTime sees in a second
BODY_CHANNELS = 33 * 3 + 5  # landmarks as (x, y, visibility), then centre (x, y), size, tilt, probability of a person
# Of the left and the right hand: points as (x, y), then wrist (x, y), size, probability of a hand.
HAND_CHANNELS = 2 * (21 * 2 + 4)


FEATURES = ("slow", "motion", "body", "hands")


@dataclass(frozen=True)
class LiteInputs:
    """B videos of up to T steps; step t is about `[t, t + 1) / 4` seconds from the first.

    slow:   floating `[B, T, 4, 1280]`: EfficientNet-Lite0's last map of the step's frame, averaged to 2 x 2 cells
            (row-major). The mean of the four cells is the pooled feature.
    motion: floating `[B, T, M]`: SqueezeTime's feature of the 2 s around the step.
    body:   floating `[B, T, 104]`: landmarks of the main person, normalised: see `lite/body.py`.
    hands:  floating `[B, T, 92]`: points of the left and of the right hand, normalised: see `lite/hands.py`.
    has_slow, has_motion, has_body, has_hands: bool `[B, T]`; what a step lacks is zeros.
    lengths: int64 `[B]`, the real steps.

    Raises ValueError if shapes disagree.
    """

    slow: Tensor
    motion: Tensor
    body: Tensor
    hands: Tensor
    has_slow: Tensor
    has_motion: Tensor
    has_body: Tensor
    has_hands: Tensor
    lengths: Tensor

    def __post_init__(self) -> None:
        batch, steps = self.slow.shape[:2]
        expected = {
            "slow": (batch, steps, GRID[0] * GRID[1], SLOW_CHANNELS),
            "motion": (batch, steps, self.motion.shape[-1]),
            "body": (batch, steps, BODY_CHANNELS),
            "hands": (batch, steps, HAND_CHANNELS),
            "has_slow": (batch, steps),
            "has_motion": (batch, steps),
            "has_body": (batch, steps),
            "has_hands": (batch, steps),
            "lengths": (batch,),
        }
        for name, shape in expected.items():
            if tuple(getattr(self, name).shape) != shape:
                raise ValueError(f"{name} of {batch} videos of {steps} steps are {shape}")

    @property
    def is_real(self) -> Tensor:
        """bool `[B, T]`: true where a step is of the video, false in the padding."""
        return torch.arange(self.slow.shape[1], device=self.lengths.device) < self.lengths[:, None]

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> "LiteInputs":
        """The same on another device; features, not masks, in another dtype."""
        told = vars(self).items()
        return LiteInputs(**{name: each.to(device, dtype if name in FEATURES else None) for name, each in told})
