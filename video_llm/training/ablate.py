"""The same short training with one thing changed at a time, and what each comes to: `python -P -m ... CONFIG`.

Every variant sees the same videos and questions in the same order, and answers the same held-out ones.
"""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tvu.video_llm.training.config import TrainConfig
from tvu.video_llm.training.loop import Group, Trainer
from tvu.video_llm.training.run import changes_of, predictions

STORM: Mapping[str, Any] = {"name": "storm", "mixer": "mamba2", "layers": 2, "d_state": 64, "headdim": 48}

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "as shipped": {},
    "encoder: none": {"temporal": None},
    "encoder: STORM, forward only": {"temporal": {**STORM, "bidirectional": False}},
    "encoder: STORM, Mamba-1": {"temporal": {"name": "storm", "mixer": "mamba", "layers": 2}},
    "encoder: LightNet": {"temporal": {"name": "lightnet", "layers": 2}},
    "encoder: global LightNet": {"temporal": {"name": "global_lightnet", "layers": 2}},
    "encoder: LRCN": {"temporal": {"name": "lrcn"}},
    "encoder: prefix attention": {"temporal": {"name": "prefix_attention"}},
    "encoder: prefix attention, both ways": {"temporal": {"name": "bidirectional_prefix_attention"}},
    "reduction: none": {"reductions": []},
    "reduction: pool 4 steps": {"reductions": [{"name": "pool", "frames": 4}]},
    "reduction: merge half that are alike": {"reductions": [{"name": "merge_similar", "budget": 4, "frames": 8}]},
    "reduction: keep half that changed": {"reductions": [{"name": "keep_changed", "dropped": 0.5}]},
    "codec: VTG-LLM's digits": {"codec": {"name": "vtg-llm"}},
    "codec: decimal text": {"codec": {"name": "text"}},
    "paths: no prior": {"has_prior": False, "listens": True},  # without a language model it is not told the question
    "paths: no motion": {"paths": ["slow", "body"]},
    "paths: no bodies": {"paths": ["slow", "motion"]},
    "paths: appearance alone": {"paths": ["slow"]},
    "paths: no appearance": {"paths": ["motion", "body"]},
}


def ablate(config: TrainConfig, names: Sequence[str], out: Path) -> None:
    """Trains and scores each variant of `names`, a line as soon as it is known; all of it into `out` as JSON."""
    from tvu.video_llm.training.evaluate import score

    group = Group.join()
    bank = held_out_bank = None
    found: dict[str, Any] = {}
    for name in names:
        if name.startswith("codec") and not config.trains_language:
            continue  # no time is written
        told = config.to_json()
        told["model"] = {**told["model"], **VARIANTS[name]}
        told["out"] = str(out.parent / f"ablation-{names.index(name)}")
        trainer = Trainer(TrainConfig.from_told(told), group, lambda entry: None)
        if bank is None and config.data.weights.get("composed", 0) > 0:
            bank, held_out_bank = trainer.bank("train"), trainer.bank("held-out")
        started = time.perf_counter()
        trainer.run(bank)
        took = time.perf_counter() - started
        scores = score(list(predictions(trainer, held_out_bank)))
        found[name] = {"scores": scores, "seconds": round(took, 1), "steps": trainer.step}
        out.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
        print(f"{name:40s} {took:6.1f} s  {json.dumps(scores)[:600]}", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """`python -P -m tvu.video_llm.training.ablate CONFIG OUT.json [name=value ...]`."""
    told = list(sys.argv[1:] if arguments is None else arguments)
    if len(told) < 2:
        raise SystemExit("usage: python -P -m tvu.video_llm.training.ablate CONFIG OUT.json [name=value ...]")
    ablate(TrainConfig.read(Path(told[0]), changes_of(told[2:])), list(VARIANTS), Path(told[1]))


if __name__ == "__main__":
    main()
