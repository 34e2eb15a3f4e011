"""The Hydra mixer."""

import torch

from parity_runners.case import maths
from tvu.temporal.scan.hydra import Hydra, HydraConfig


def mixer(case):
    def built(**changed):
        module = Hydra(HydraConfig(**maths(case.config["args"]) | changed)).to(case.dtype)
        module.load_state_dict(case.weights)
        return module

    x, config = case.inputs["x"], case.config
    answer = {"y": built()(x)}
    for size in config.get("chunk_sizes") or []:
        answer[f"y_chunk{size}"] = built(chunk_size=size)(x)
    if config.get("lengths"):
        rows = built()(x, torch.tensor(config["lengths"]))
        answer |= {f"y{row}": rows[row : row + 1, :length] for row, length in enumerate(config["lengths"])}
    return answer


RUNNERS = {"hydra.mixer": mixer}
