"""What a runner is given."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Case:
    """One case, ready to run: floating weights and inputs in `dtype`, integers and masks as they were stored.

    config:  constructor arguments and settings of the case.
    weights: official key to tensor, without the leading `w.`.
    inputs:  name to tensor, without the leading `in.`.
    outputs: names of the outputs that the case expects, without the leading `out.`.
    """

    config: dict[str, Any]
    weights: dict[str, Tensor]
    inputs: dict[str, Tensor]
    outputs: tuple[str, ...]
    dtype: torch.dtype
