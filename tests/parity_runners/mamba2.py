"""The Mamba-2 family: scan, minimal scan, packed sequences, whole blocks, gated norm."""

from functools import partial

import torch

from parity_runners.case import maths, streamed
from tvu.temporal.scan.mamba2 import Mamba2, Mamba2Config, Mamba2SimpleConfig
from tvu.temporal.scan.norm import gated_rms_norm
from tvu.temporal.scan.ssd import ssd_discrete, ssd_packed, ssd_scan


def limits(config):
    return maths({"dt_limit": config.get("dt_limit")})


def agreed(answers):
    """The first of several answers that must be one, the others within rounding of it."""
    for other in answers[1:]:
        rounding = 1e-9 if other.dtype == torch.float64 else 1e-3
        torch.testing.assert_close(other, answers[0], rtol=rounding, atol=rounding)
    return answers[0]


def ssd(case):
    inputs = {name: tensor.clone().requires_grad_() for name, tensor in case.inputs.items() if name != "seq_idx"}
    runs = case.inputs.get("seq_idx")
    scan = ssd_scan if runs is None else partial(scan_of_runs, runs)
    cotangent = inputs.pop("cotangent", None)
    initial = inputs.pop("initial_states", None)
    options = {"dt_softplus": case.config.get("dt_softplus", False), **limits(case.config)}
    scanned = [
        scan(**inputs, **options, initial_state=initial, chunk_size=size)
        for size in case.config.get("chunk_sizes") or [256]
    ]
    answer = {"y": agreed([y for y, _ in scanned]), "final_state": agreed([state for _, state in scanned])}
    if cotangent is not None:
        wanted = inputs if initial is None else inputs | {"initial_states": initial}
        gradients = torch.autograd.grad(answer["y"], list(wanted.values()), cotangent, allow_unused=True)
        for (name, tensor), gradient in zip(wanted.items(), gradients, strict=True):
            answer[f"grad_{name}"] = torch.zeros_like(tensor) if gradient is None else gradient
    return answer


def scan_of_runs(runs, x, dt, A, B, C, *, z=None, initial_state=None, **options):
    """`ssd_scan` that forgets where `runs` `[B, L]` changes; the final states are those of the last runs."""
    rows = []
    for row, run in enumerate(runs):
        lengths = run.unique_consecutive(return_counts=True)[1].tolist()
        x_row, dt_row, B_row, C_row, z_row = (t if t is None else t[row : row + 1] for t in (x, dt, B, C, z))
        start = None
        if initial_state is not None:
            later = torch.zeros_like(initial_state[row]).expand(len(lengths) - 1, -1, -1, -1)
            start = torch.cat([initial_state[row : row + 1], later])
        y, states = ssd_packed(x_row, dt_row, A, B_row, C_row, lengths, z=z_row, initial_state=start, **options)
        rows.append((y, states[-1:]))
    return tuple(torch.cat(parts) for parts in zip(*rows, strict=True))


def ssd_minimal(case):
    initial = case.inputs.get("initial_states")
    operands = [case.inputs[name] for name in ("X", "A", "B", "C")]
    scanned = [
        ssd_discrete(*operands, chunk_size=size, initial_state=None if initial is None else initial[:, 0])
        for size in case.config.get("block_lens") or [256]
    ]
    return {"y": agreed([y for y, _ in scanned]), "final_state": agreed([state for _, state in scanned])}


def packed(case):
    options = {"dt_softplus": case.config.get("dt_softplus", True), **limits(case.config)}
    inputs = {"initial_state" if name == "initial_states" else name: x for name, x in case.inputs.items()}
    y, states = ssd_packed(**inputs, lengths=case.config["lengths"], **options)
    return {"y": y, "final_states": states}


def block(case):
    def built(**changed):
        kind = Mamba2SimpleConfig if case.config.get("simple") else Mamba2Config
        module = Mamba2(kind(**maths(case.config["args"]) | changed)).to(case.dtype)
        module.load_state_dict(case.weights)
        return module

    x, config, answer = case.inputs["x"], case.config, {}
    module = built()
    answer["y"] = module(x)
    for size in config.get("chunk_sizes") or []:
        answer[f"y_chunk{size}"] = built(chunk_size=size)(x)
    if config.get("lengths"):
        rows = module(x, torch.tensor(config["lengths"]))
        answer |= {f"y{row}": rows[row : row + 1, :length] for row, length in enumerate(config["lengths"])}
    if config.get("decode"):
        decoder = built(dt_limit=(0.0, float("inf")))  # the official step ignores the limit
        answer |= streamed(case, module, decoder)
    return answer


def gated_rmsnorm(case):
    config = case.config
    return {
        "y": gated_rms_norm(
            case.inputs["x"],
            case.weights["weight"],
            case.inputs.get("z"),
            config.get("eps", 1e-6),
            config.get("group_size"),
            config.get("norm_before_gate", True),
        )
    }


RUNNERS = {
    "mamba.ssd": ssd,
    "mamba.ssd_minimal": ssd_minimal,
    "mamba.ssd_packed": packed,
    "mamba.mamba2_block": block,
    "mamba.gated_rmsnorm": gated_rmsnorm,
}
