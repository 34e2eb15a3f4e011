"""Features shaken, so that no small regularity of generated videos is learned for what happens in them."""

from dataclasses import replace

import torch
from torch import Tensor

from tvu.video_llm.lite.inputs import LiteInputs

LOST = 0.2  # share of the channels of a video that are lost, at most
SHAKEN = 0.5  # of the deviation of a channel, at most


def roughened(inputs: LiteInputs, strength: float) -> LiteInputs:
    """Every video by its own measure, from nothing to `strength`.

    Of pictures and motions some channels are lost for a whole video, others have a gain and an offset of their own, and
    every step has noise. Landmarks stay as they are: what they lack is drawn with them.
    """
    slow = _roughened(inputs.slow, inputs.has_slow, strength)
    return replace(inputs, slow=slow, motion=_roughened(inputs.motion, inputs.has_motion, strength))


def _roughened(path: Tensor, has: Tensor, strength: float) -> Tensor:
    """path `[B, T, ..., C]`, has `[B, T]`. In its dtype; what a step lacks stays zero."""
    seen = path[has].float()
    if not len(seen):
        return path
    spread = seen.flatten(0, -2).std(dim=0, correction=0)  # [C]
    rows = (path.shape[0], *[1] * (path.ndim - 2))
    much = strength * torch.rand(*rows, 1, device=path.device)
    each = (*rows, path.shape[-1])
    kept = torch.rand(each, device=path.device) >= LOST * much
    gain = 1 + SHAKEN * much * torch.randn(each, device=path.device)
    offset = SHAKEN * much * spread * torch.randn(each, device=path.device)
    noise = SHAKEN * much * spread * torch.randn(path.shape, device=path.device)
    shaken = kept * (path.float() * gain + offset + noise)
    is_there = has.reshape(*has.shape, *[1] * (path.ndim - 2))
    return torch.where(is_there, shaken, 0).to(path.dtype)
