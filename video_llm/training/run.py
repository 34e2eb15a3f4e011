"""What `tvu train` does: one stage of one config, from where it was left to its end, and a look at held-out data."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from tvu.video_llm.errors import TrainingError
from tvu.video_llm.training.config import TrainConfig
from tvu.video_llm.training.loop import Group, Trainer

Tell = Callable[[str], None]


def run(config: TrainConfig, tell: Tell) -> bool:
    """Trains, and evaluates what came out. Raises TrainingError and WeightsError.

    Returns whether this process is the first of those that train together, for which all files are.
    """
    group = Group.join()
    out = Path(config.out)
    out.mkdir(parents=True, exist_ok=True)

    def log(entry: dict[str, Any]) -> None:
        if group.rank == 0:
            with (out / "log.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
            tell("  ".join(f"{name} {value}" for name, value in entry.items()))

    if config.stage == "motion":
        from tvu.video_llm.training.motion import train_motion

        train_motion(config, group, log)
        return group.rank == 0
    trainer = Trainer(config, group, log)
    trainer.run()
    if config.evaluate and group.rank == 0 and trainer.is_done:
        held_out(trainer, out, tell)
    return group.rank == 0


def held_out(trainer: Trainer, out: Path, tell: Tell) -> None:
    """Answers about held-out scenes of every source into `out/held_out.jsonl`, and their scores as a table."""
    from tvu.video_llm.training.predict import keep

    predicted = list(predictions(trainer))
    if not predicted:  # trained on real videos alone, of which nothing is held out
        return
    keep(iter(predicted), out / "held_out.jsonl")
    from tvu.video_llm.training.evaluate import score, table

    scores = score(predicted)
    (out / "held_out.json").write_text(json.dumps(scores, indent=1) + "\n", "utf-8")
    tell(table(scores))


def predictions(trainer: Trainer, held_out_bank: Any = None) -> Iterator[Any]:
    """What the model says about `config.evaluate` held-out videos of each source."""
    from tvu.video_llm.lite.prompt import LiteTokenizer
    from tvu.video_llm.training.data import Looker, Scenes
    from tvu.video_llm.training.feature_videos import FeatureWorld
    from tvu.video_llm.training.loop import for_head
    from tvu.video_llm.training.predict import predict
    from tvu.weights.load import located

    config, device = trainer.config, trainer.group.device
    json_, lite0 = located("smollm2-135m") / "tokenizer.json", located("efficientnet-lite0")
    tokenizer = LiteTokenizer(json_, trainer.model.codec, config.model.known_tokens)
    for source in [name for name, weight in config.data.weights.items() if weight > 0 and name != "real"]:
        bank = (held_out_bank or trainer.bank("held-out")) if source == "composed" else None
        data = replace(config.data, weights={source: 1.0}, real=(), distract=0.0)
        is_head = not config.trains_language
        videos = min(16, config.evaluate)
        scenes = Scenes(
            for_head(data) if is_head else data,
            config.model,
            json_,
            lite0,
            bank,
            videos=videos,
            split="held-out",
            seed=(config.seed, 4),
        )
        looker = Looker(config.model, device, FeatureWorld(lite0, "held-out"), bank)
        for batch in islice(iter(scenes), -(-config.evaluate // videos)):
            yield from predict(trainer.model, looker, batch, tokenizer, reads=not is_head)


def main(arguments: Sequence[str] | None = None) -> None:
    """`torchrun --nproc-per-node N -m tvu.video_llm.training.run CONFIG [name=value ...]`."""
    told = list(sys.argv[1:] if arguments is None else arguments)
    if not told:
        raise SystemExit("usage: python -P -m tvu.video_llm.training.run CONFIG [name=value ...]")
    run(TrainConfig.read(Path(told[0]), changes_of(told[1:])), lambda line: print(line, flush=True))


def changes_of(settings: Sequence[str]) -> dict[str, Any]:
    """`name=value` with dotted names; a value is JSON where it reads as such, else text. Raises TrainingError."""
    changes: dict[str, Any] = {}
    for each in settings:
        name, equals, value = each.partition("=")
        if not equals:
            raise TrainingError(f"{each!r} is no setting", hint="--set steps=100")
        try:
            changes[name] = json.loads(value)
        except ValueError:
            changes[name] = value
    return changes


if __name__ == "__main__":
    main()
