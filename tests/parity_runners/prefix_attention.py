"""Prefix attention, against the attention function of PyTorch under a causal mask."""

from torch import Tensor

from parity_runners.case import Case
from tvu.temporal.encoders.prefix_attention import per_step_attention, prefix_attention


def op(case: Case) -> dict[str, Tensor]:
    """The running maximum and sum are those of s_i = <q_i, k_i>; the attention of a query of each step has none."""
    arguments = *(case.inputs[name] for name in ("query", "key", "value")), case.inputs.get("key_padding")
    running = prefix_attention(*arguments, scale=case.config.get("scale"))
    per_step = case.inputs["query"].ndim == 4
    attended = per_step_attention(*arguments, scale=case.config.get("scale")) if per_step else running
    return {"y": attended.mean, "running_max": running.maximum, "running_log_sum": running.log_sum}


RUNNERS = {"prefix_attention.op": op}
