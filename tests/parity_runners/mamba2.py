"""The Mamba-2 family: scan, minimal scan, packed sequences, whole blocks, gated norm."""

import torch

from tvu.temporal.scan.mamba2 import Mamba2, Mamba2Config, Mamba2SimpleConfig
from tvu.temporal.scan.norm import gated_rms_norm
from tvu.temporal.scan.ssd import ssd_discrete, ssd_packed, ssd_scan

# What the official constructors take for their kernels, their sharding and their decoder: no answer depends on it.
NOT_MATHS = {
    "use_mem_eff_path",
    "layer_idx",
    "process_group",
    "sequence_parallel",
    "device",
    "dtype",
    "activation",
}


def settings(config):
    return {name: value for name, value in config["args"].items() if name not in NOT_MATHS}


def limits(config):
    return {"dt_limit": tuple(config["dt_limit"])} if config.get("dt_limit") else {}


def agreed(answers):
    """The first of several answers that must be one, the others within rounding of it."""
    for other in answers[1:]:
        torch.testing.assert_close(other, answers[0], rtol=1e-3, atol=1e-3)
    return answers[0]


def ssd(case):
    inputs = {name: tensor.clone().requires_grad_() for name, tensor in case.inputs.items()}
    cotangent = inputs.pop("cotangent", None)
    initial = inputs.pop("initial_states", None)
    options = {"dt_softplus": case.config.get("dt_softplus", False), **limits(case.config)}
    scanned = [
        ssd_scan(**inputs, **options, initial_state=initial, chunk_size=size)
        for size in case.config.get("chunk_sizes") or [256]
    ]
    answer = {"y": agreed([y for y, _ in scanned]), "final_state": agreed([state for _, state in scanned])}
    if cotangent is not None:
        wanted = inputs if initial is None else inputs | {"initial_states": initial}
        gradients = torch.autograd.grad(answer["y"], list(wanted.values()), cotangent, allow_unused=True)
        for (name, tensor), gradient in zip(wanted.items(), gradients, strict=True):
            answer[f"grad_{name}"] = torch.zeros_like(tensor) if gradient is None else gradient
    return answer


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
    y, states = ssd_packed(**case.inputs, lengths=case.config["lengths"], **options)
    return {"y": y, "final_states": states}


def block(case):
    def built(**changed):
        kind = Mamba2SimpleConfig if case.config.get("simple") else Mamba2Config
        module = Mamba2(kind(**settings(case.config) | changed)).to(case.dtype)
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
        _, state = module.step(x[:, : config["prefill"]])
        answer |= {"prefill_conv_state": state.conv, "prefill_ssm_state": state.ssm}
        decoder, decoded = built(dt_limit=(0.0, float("inf"))), []  # the official step ignores the limit
        for t in range(config["prefill"], x.shape[1]):
            y, state = decoder.step(x[:, t : t + 1], state)
            decoded.append(y)
        answer |= {"decoded": torch.cat(decoded, dim=1)}
        answer |= {"final_conv_state": state.conv, "final_ssm_state": state.ssm}
    return answer


def gated_rmsnorm(case):
    config = case.config
    return {
        "y": gated_rms_norm(
            case.inputs["x"],
            case.weights["weight"],
            case.inputs.get("z"),
            config["eps"],
            config.get("group_size"),
            config["norm_before_gate"],
        )
    }


RUNNERS = {
    "mamba.ssd": ssd,
    "mamba.ssd_minimal": ssd_minimal,
    "mamba.ssd_packed": packed,
    "mamba.mamba2_block": block,
    "mamba.gated_rmsnorm": gated_rmsnorm,
}
