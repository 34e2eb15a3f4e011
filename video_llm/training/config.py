"""What `tvu train` is told: one file, one config."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from tvu.temporal.errors import TvuError
from tvu.video_llm.errors import TrainingError
from tvu.video_llm.lite.model import LiteConfig
from tvu.video_llm.training.tasks import KINDS


@dataclass(frozen=True)
class DataConfig:
    """What is learned from.

    weights:    how often each source is drawn from, e.g. `{"features": 4, "composed": 3, "skeletons": 2, "hands": 1}`.
    assets:     the file of sprites and backgrounds that `tvu.video_llm.training.assets` makes, for composed videos;
                without it they are drawn shapes.
    bank:       composed videos that are rendered and looked at once, before training; their questions are always new.
    drawn:      share of these that are of drawn shapes alone, whatever `assets` holds.
    real:       instruction sets as `training/instruction_sets.py` reads them: `{"path": file, "videos": folder}` each.
    questions:  asked about each video at once.
    kinds:      of tasks, with how often each is asked; None leaves it to `training/tasks.py`.
    distract:   share of videos whose missing paths are filled with those of other videos, which nothing is asked of.
    longest:    seconds; longer videos are left out.
    rough:      how far what pictures and motions are seen as is shaken, `training/rough.py`; 0: not at all.
    """

    weights: Mapping[str, float] = field(
        default_factory=lambda: {"features": 4, "composed": 3, "skeletons": 2, "hands": 1}
    )
    assets: str | None = None
    bank: int = 2000
    drawn: float = 0.0
    real: tuple[Mapping[str, str], ...] = ()
    questions: int = 6
    kinds: Mapping[str, float] | None = None
    distract: float = 0.5
    longest: float = 64.0
    rough: float = 0.0

    def __post_init__(self) -> None:
        known = {"features", "composed", "skeletons", "hands", "real"}
        if not self.weights or not set(self.weights) <= known or min(self.weights.values()) < 0:
            raise TrainingError(f"data.weights are of {', '.join(sorted(known))}, not {dict(self.weights)}")
        if ("real" in self.weights) != bool(self.real):
            raise TrainingError("data.real lists instruction sets, and data.weights says how often: both or neither")
        if any(set(each) != {"path", "videos"} for each in self.real):
            raise TrainingError("a set of data.real has a path and videos, the folder that they are in")
        if self.bank < 1:
            raise TrainingError("data.bank is at least 1")
        if not 0 <= self.drawn <= 1:
            raise TrainingError(f"data.drawn is a share, not {self.drawn}")
        if not 0 <= self.rough <= 1:
            raise TrainingError(f"data.rough is between 0 and 1, not {self.rough}")
        unknown = sorted(set(self.kinds or ()) - set(KINDS))
        if unknown:
            raise TrainingError(f"no kind of task is called {unknown[0]}", hint=f"there are {', '.join(KINDS)}")


@dataclass(frozen=True)
class TrainConfig:
    """One run.

    out:         folder of checkpoints, log and results.
    motion:      a motion network that was trained before (`stage = "motion"`), as safetensors; None: untrained. Of
                 that stage itself: where to go on from.
    stage:       "lite", all at once; "motion": the motion network alone, on what moves how in drawn snippets; "head":
                 eyes, head and judge alone, without the language model, which is most of what a step costs; "judge":
                 the judge alone, of what eyes and head of `start` tell, which two cores can do; "hands": what hands
                 add alone, all else as in `start`, which two cores can do as well; "words": the language model
                 alone, of what those of `start` tell, which stay as they are; "mean": no training, the mean of
                 the weights of `mean_of` ("model soups", Wortsman et al. 2022, arXiv 2203.05482: the uniform one).
    start:       weights to begin with, `model.safetensors` of an earlier run of either stage; None: random ones.
    mean_of:     the same of several runs that began with the same weights, for the stage "mean".
    steps:       optimiser steps; videos: in each, on each GPU; workers: processes that draw scenes.
    lr:          of new modules; adapter_lr: of adapters and new words. Cosine to a hundredth after `warmup` steps.
    text_weight: of the text loss, the head's losses weigh 1 each.
    compile:     the blocks of the language model are compiled for the GPU, which takes a minute and then half the time.
    until:       steps after which training ends though the rates fall over all of `steps`; 0: with them. Where the
                 rates had fallen, weights were better on generated videos and worse on real ones (LOG.md).
    max_seconds: saves and stops after that long, to be resumed; 0: no limit.
    budget_seconds: the rates fall by the clock and training ends after that long, if `steps` do not end it first;
                 0: by steps alone, which can be repeated exactly.
    save_every:  steps between checkpoints. evaluate: held-out videos of each source that the end is measured on.
    """

    out: str
    stage: str = "lite"
    start: str | None = None
    mean_of: tuple[str, ...] = ()
    model: LiteConfig = field(default_factory=LiteConfig)
    data: DataConfig = field(default_factory=DataConfig)
    motion: str | None = None
    seed: int = 0
    steps: int = 2000
    videos: int = 48
    workers: int = 4
    lr: float = 1e-3
    adapter_lr: float = 1e-3
    weight_decay: float = 0.02
    warmup: int = 100
    text_weight: float = 0.5
    compile: bool = False
    max_seconds: float = 0.0
    budget_seconds: float = 0.0
    until: int = 0
    save_every: int = 500
    evaluate: int = 64
    log_every: int = 20

    def __post_init__(self) -> None:
        if self.stage not in ("lite", "motion", "head", "judge", "hands", "words", "mean"):
            raise TrainingError(f"stage is lite, motion, head, judge, hands, words or mean, not {self.stage!r}")
        if (self.stage == "mean") != bool(self.mean_of):
            raise TrainingError("mean_of lists what the stage mean is the mean of: both or neither")
        if self.stage == "words" and (not self.start or self.model.hears):
            raise TrainingError(
                "words are about what a trained head tells by itself", hint="start names its weights, listens = false"
            )
        if self.stage == "judge" and not (self.start and self.model.has_prior and self.model.judges):
            raise TrainingError("a judge judges what a trained head tells", hint="start names its weights")
        if self.stage == "hands" and not (self.start and "hands" in self.model.paths):
            raise TrainingError("hands are added to what a trained head knows", hint="start names its weights")
        if self.trains_language and not self.model.reads:
            raise TrainingError("a model that does not read is trained by its head alone", hint='stage = "head"')
        if min(self.steps, self.videos, self.workers + 1, self.log_every) < 1:
            raise TrainingError("steps, videos and log_every are at least 1, and workers at least 0")
        if not 0 <= self.until <= self.steps:
            raise TrainingError(f"until is one of the {self.steps} steps, not {self.until}")

    @property
    def trains_language(self) -> bool:
        """Whether this stage trains the language model."""
        return self.stage in ("lite", "words")

    @classmethod
    def read(cls, path: Path, changes: Mapping[str, Any] | None = None) -> "TrainConfig":
        """From a .toml or .json file; `changes` (dotted names to values) come on top.

        Raises TrainingError for a file that is none, and for names that no config has.
        """
        try:
            text = path.read_text("utf-8")
            told = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
        except FileNotFoundError:
            raise TrainingError(f"{path} does not exist", hint="tvu train takes a .toml or .json file") from None
        except (OSError, UnicodeDecodeError, ValueError) as error:
            raise TrainingError(f"{path} is no config: {error}", hint="it is TOML, or JSON by its suffix") from error
        if not isinstance(told, dict):
            raise TrainingError(f"{path} is no config: it holds no table")
        for name, value in (changes or {}).items():
            *parents, last = name.split(".")
            place = told
            for parent in parents:
                place = place.setdefault(parent, {})
                if not isinstance(place, dict):
                    raise TrainingError(f"{parent} is no table, so it holds no {name}")
            place[last] = value
        return cls.from_told(told)

    @classmethod
    def from_told(cls, told: Mapping[str, Any]) -> "TrainConfig":
        """From plain values."""
        values = dict(told)
        for name in ("model", "data"):
            if not isinstance(values.get(name, {}), Mapping):
                raise TrainingError(f"{name} is a table of settings")
        values["model"] = _made(LiteConfig, values.get("model", {}), "model.")
        _check_parts(values["model"])
        values["mean_of"] = tuple(values.get("mean_of", ()))
        data = dict(values.get("data", {}))
        data["real"] = tuple(data.get("real", ()))
        values["data"] = _made(DataConfig, data, "data.")
        return _made(cls, values, "")

    def to_json(self) -> dict[str, Any]:
        """Plain values, as `from_told` takes them."""
        return asdict(self)


def _check_parts(model: LiteConfig) -> None:
    """Parts that are told by name are made once. Raises TrainingError for one that cannot be.

    Not on torch's device without memory: its first use imports all decompositions, which takes a second.
    """
    import torch

    from tvu.video_llm.lite.model import Eyes
    from tvu.video_llm.models.parts import build_codec

    try:
        build_codec(model.codec)
        with torch.random.fork_rng(devices=[]):
            Eyes(model)
    except (TvuError, TypeError, ValueError, KeyError, RuntimeError) as error:  # the last: no memory for it
        raise TrainingError(f"model cannot be made: {error}") from error


def _made(kind: type, told: Mapping[str, Any], prefix: str) -> Any:
    known = {each.name for each in fields(kind)}
    unknown = [name for name in told if name not in known]
    if unknown:
        names = ", ".join(sorted(known))
        raise TrainingError(f"no setting is called {prefix}{unknown[0]}", hint=f"there are {names}")
    try:
        return kind(**told)
    except (TypeError, ValueError) as error:
        raise TrainingError(f"a setting is missing or wrong: {error}") from error
