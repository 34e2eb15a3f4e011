"""`tvu train`: train a Video-LLM on generated videos, on your own, or on both."""

import sys
from pathlib import Path
from typing import Annotated

import typer


def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A .toml or .json file; see samples/train.toml.")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Change a setting, e.g. data.bank=500.")
    ] = None,
    export: Annotated[
        Path | None, typer.Option("--export", metavar="DIR", help="Then write the model for -m lite:DIR.")
    ] = None,
) -> None:
    """Train `lite` by a config: from its last checkpoint, if there is one, to the end; then a look at held-out scenes.

    On several GPUs: torchrun --nproc-per-node 4 --no-python tvu train CONFIG.

    Exit code 0: trained; 2: the config is wrong; 4: weights are missing.
    """
    from tvu.video_llm.training.config import TrainConfig
    from tvu.video_llm.training.run import changes_of, run

    told = TrainConfig.read(config, changes_of(settings or []))
    if export is not None:
        from tvu.video_llm.training.export import check_export

        check_export(told, export)  # now, not after the training
    is_first = run(told, lambda line: print(line, file=sys.stderr, flush=True))
    if export is not None and is_first:
        from tvu.video_llm.training.export import export_lite

        print(export_lite(told, export))
