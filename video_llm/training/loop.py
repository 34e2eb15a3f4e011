"""The training loop of `lite`: one GPU or many (torchrun), resumable at every checkpoint."""

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tvu.temporal.squeezetime.network import SqueezeTime
from tvu.video_llm.errors import TrainingError
from tvu.video_llm.lite.checkpoint import WORDED_BY, known_names
from tvu.video_llm.lite.head import moment_loss
from tvu.video_llm.lite.inputs import LiteInputs
from tvu.video_llm.lite.judge import answer_loss
from tvu.video_llm.lite.model import LiteModel
from tvu.video_llm.lite.prior import ClassEvidence
from tvu.video_llm.training.bank import Bank, SlowTower, build_bank, joined
from tvu.video_llm.training.config import DataConfig, TrainConfig
from tvu.video_llm.training.data import ASKS_FOR_MOMENTS, JUDGED, Looker, Prepared, Scenes, loader, prepared
from tvu.video_llm.training.feature_videos import FeatureWorld
from tvu.video_llm.training.real import RealVideos, look_at_real
from tvu.video_llm.training.rough import roughened
from tvu.video_llm.training.tasks import WEIGHTS
from tvu.weights.load import located

Log = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Group:
    """The processes that train together; one alone where torchrun started none."""

    rank: int
    size: int
    device: torch.device

    @classmethod
    def join(cls) -> "Group":
        """Reads what torchrun tells its processes."""
        rank, size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        has_gpu = torch.cuda.is_available()
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if has_gpu else torch.device("cpu")
        if has_gpu:
            torch.cuda.set_device(device)
        if size > 1 and not torch.distributed.is_initialized():
            torch.distributed.init_process_group("nccl" if has_gpu else "gloo")
        return cls(rank, size, device)

    def average_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Gradients become the mean of those of all processes, in place; one that a process lacks counts as zero."""
        if self.size == 1:
            return
        for each in parameters:
            if each.grad is None:  # of what no question of its batch needed
                each.grad = torch.zeros_like(each)
        gradients = [each.grad for each in parameters if each.grad is not None]
        flat = torch.cat([gradient.flatten().float() for gradient in gradients])
        torch.distributed.all_reduce(flat)
        flat /= self.size
        parts = flat.split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def of_first(self, value: float) -> float:
        """What the first process has: clocks differ, and all must stop at the same step."""
        if self.size == 1:
            return value
        told = torch.tensor(value, dtype=torch.float64, device=self.device)
        torch.distributed.broadcast(told, 0)
        return float(told)


def trainable(model: nn.Module) -> dict[str, Tensor]:
    """What training changes: parameters with gradients, by name."""
    return {name: each for name, each in model.named_parameters() if each.requires_grad}


PARTS = {
    "head": ("eyes.", "head.", "judge."),
    "judge": ("judge.",),
    "hands": ("eyes.hands.",),
    "words": WORDED_BY,
}
"""What a stage changes, by how names begin; all that can be trained in the others."""

ADDS_NOTHING = ("eyes.hands.",)
"""Parts that change nothing until they have learned: weights that a run starts from may be older than they are."""


def learned(model: nn.Module, stage: str) -> dict[str, Tensor]:
    """What a stage changes of a model, by name."""
    return {name: each for name, each in trainable(model).items() if name.startswith(PARTS.get(stage, ""))}


def new_model(config: TrainConfig, device: torch.device) -> LiteModel:
    """Eyes, adapters and head at their start, around SmolLM2-135M. Raises WeightsError where that is missing."""
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()  # stderr is for what the run tells
    torch.manual_seed(config.seed)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    language: Any = None
    if config.model.reads:
        folder = located("smollm2-135m")
        language = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, local_files_only=True).model
    model = LiteModel(config.model, language, known_names(config.model))
    return model.to(device)


def motion_network(config: TrainConfig, device: torch.device) -> SqueezeTime:
    """The motion network, trained before. Raises TrainingError for a file that is not of this config."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)  # an untrained one is the same whenever the run goes on
        network = SqueezeTime(config.model.motion_config)
    if config.motion is not None:
        try:
            network.load_state_dict(load_file(config.motion))
        except (OSError, RuntimeError, ValueError, SafetensorError) as error:
            raise TrainingError(
                f"{config.motion} is no motion network of this config: {str(error).splitlines()[0]}",
                hint='train one with stage = "motion"',
            ) from error
    return network.eval().requires_grad_(False).to(device)


def for_head(data: DataConfig) -> DataConfig:
    """The same without questions that only words answer. Raises TrainingError where none is left."""
    known = tuple(dict.fromkeys((*ASKS_FOR_MOMENTS, *JUDGED)))
    kinds = {kind: share for kind, share in (data.kinds or WEIGHTS).items() if kind in known}
    if not kinds:
        raise TrainingError("data.kinds has no questions for the head", hint=f"there are {', '.join(known)}")
    return replace(data, kinds=kinds)


def learning_rate(step: int, config: TrainConfig, seconds: float = 0.0) -> float:
    """Share of the full rate: linear for `warmup` steps, then half a cosine down to a hundredth.

    seconds: how long training has taken, for a budget of time.
    """
    if step < config.warmup:
        return (step + 1) / config.warmup
    done = (step - config.warmup) / max(1, config.steps - config.warmup)
    if config.budget_seconds:
        done = max(done, seconds / config.budget_seconds)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def optimizer_of(model: LiteModel, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW: adapters and new words at a rate of their own, no decay of vectors and tables."""
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, parameter in learned(model, config.stage).items():
        rate = config.adapter_lr if name.startswith(("language.", "new_rows")) else config.lr
        decay = config.weight_decay if parameter.ndim > 1 and not name.startswith("new_rows") else 0.0
        groups.setdefault((rate, decay), []).append(parameter)
    told = [{"params": some, "lr": rate, "peak": rate, "weight_decay": decay} for (rate, decay), some in groups.items()]
    fused = next(model.parameters()).is_cuda
    return torch.optim.AdamW(told, betas=(0.9, 0.98), fused=fused)


class Trainer:
    """One run: `run()` trains from the last checkpoint in `config.out`, or from the start, to the end or the limit."""

    def __init__(self, config: TrainConfig, group: Group, log: Log) -> None:
        self.config, self.group, self.log = config, group, log
        self.out = Path(config.out)
        if group.device.type == "cuda":
            # cuDNN's attention plans anew for every shape, and every batch has another: five times slower here.
            torch.backends.cuda.enable_cudnn_sdp(False)
        self.model = new_model(config, group.device)
        if config.compile and config.model.reads and group.device.type == "cuda":
            for layer in self.model.language.layers:
                layer.compile(dynamic=True)  # one at a time: thirty of the same compile once
        self.optimizer = optimizer_of(self.model, config)
        self.step = 0
        self.resumed = 0
        self.seconds = 0.0  # of training, those before the last resumption included

    def run(self, bank: Bank | None = None) -> None:
        """Raises TrainingError for a checkpoint of another config."""
        if self.config.stage == "mean":
            load_mean(self.model, [Path(each) for each in self.config.mean_of], ADDS_NOTHING)
            self.save()
            return
        self.restore()
        if self.is_done:
            return
        config, group = self.config, self.group
        if bank is None and config.data.weights.get("composed", 0) > 0:
            bank = self.bank("train")
        real = self.real() if config.data.weights.get("real", 0) > 0 else None
        looker = Looker(config.model, group.device, FeatureWorld(located("efficientnet-lite0"), "train"), bank, real)
        scenes = Scenes(
            config.data if config.trains_language else for_head(config.data),
            config.model,
            located("smollm2-135m") / "tokenizer.json",
            located("efficientnet-lite0"),
            bank,
            real=real,
            videos=config.videos,
            split="train",
            seed=(config.seed, 1, group.rank, self.resumed),
        )
        # What is dropped out differs between processes, and after a resumption.
        torch.manual_seed(int(np.random.SeedSequence((config.seed, 6, group.rank, self.resumed)).generate_state(1)[0]))
        with closing(prepared(loader(scenes, config.workers), looker)) as batches:
            self._train(batches, looker.evidence)

    def _train(self, batches: Iterator[Prepared], evidence: ClassEvidence | None) -> None:
        config, group = self.config, self.group
        before, started = self.seconds, time.perf_counter()
        recent: dict[str, Tensor | float] = {}
        since = (self.step, started)
        is_over = False
        while not (self.is_done or is_over):
            losses = self.update(next(batches), evidence)
            for name, value in losses.items():
                recent[name] = recent.get(name, 0.0) + value
            self.step += 1
            if self.step % config.log_every == 0:
                now = time.perf_counter()
                videos = (self.step - since[0]) * config.videos * group.size
                mean = {name: round(float(value) / config.log_every, 4) for name, value in recent.items()}
                self.log({"step": self.step, **mean, "videos_per_s": round(videos / (now - since[1]), 1)})
                recent, since = {}, (self.step, now)
            taken = group.of_first(time.perf_counter() - started)
            self.seconds = before + taken
            is_over = bool(config.max_seconds) and taken > config.max_seconds
            if self.step % config.save_every == 0 or self.is_done or is_over:
                self.save()

    @property
    def is_done(self) -> bool:
        """Whether steps or time are used up; where nothing is trained they are."""
        config = self.config
        if config.stage == "mean":
            return True
        is_late = bool(config.budget_seconds and self.seconds > config.budget_seconds)
        return self.step >= (config.until or config.steps) or is_late

    def update(self, batch: Prepared, evidence: ClassEvidence | None = None) -> dict[str, Tensor]:
        """One step of the optimiser; the losses, on the device."""
        config, model = self.config, self.model
        share = learning_rate(self.step, config, self.seconds)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * share
        is_judge = config.stage == "judge"
        model.train(config.stage not in ("judge", "words", "hands"))
        if is_judge and model.judge is not None:
            model.judge.train()
        device = self.group.device
        autocast = torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()
        dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        with autocast:
            inputs = batch.inputs.to(device, dtype)
            if config.data.rough:
                inputs = roughened(inputs, config.data.rough)
            losses = (self._of_words if config.stage == "words" else self._of_all)(inputs, batch, evidence)
        total: Any = sum(value * (config.text_weight if name == "text" else 1.0) for name, value in losses.items())
        changed = list(learned(model, config.stage).values())
        if isinstance(total, Tensor):  # none of the questions of a batch may be for a judge
            total.backward(inputs=changed)
        self.group.average_gradients(changed)
        norm = nn.utils.clip_grad_norm_(changed, 1.0)
        if bool(torch.isfinite(norm)):
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return {name: value.detach() for name, value in {**losses, "grad": norm}.items()}

    def _of_all(self, inputs: LiteInputs, batch: Prepared, evidence: ClassEvidence | None) -> dict[str, Tensor]:
        """Losses of head and judge; where the language model is trained, of its text."""
        model, is_judge, losses = self.model, self.config.stage == "judge", dict[str, Tensor]()
        if self.config.trains_language:
            output = model(inputs, batch.reading, evidence)
            losses["text"] = output.text_loss()
            tokens, moments, judged = output.tokens, output.moments(), output.judged()
        else:
            with torch.set_grad_enabled(not is_judge):
                tokens = model.eyes.tokens(inputs)
            known = None if evidence is None else evidence(inputs, tokens)
            look = model.look(tokens, batch.reading, known, judges_only=is_judge)
            moments, judged = look.moments, look.judged
        if not is_judge:
            losses |= moment_loss(moments, tokens.spans.float()[batch.reading.video], batch.targets)
        if judged is not None and batch.reading.offered is not None:
            losses["answer"] = answer_loss(judged, batch.reading.offered, batch.targets.right)
        return losses

    def _of_words(self, inputs: LiteInputs, batch: Prepared, evidence: ClassEvidence | None) -> dict[str, Tensor]:
        """The loss of the text about what was seen, which is not trained."""
        model = self.model
        with torch.no_grad():
            tokens = model.eyes.tokens(inputs)
        known = None if evidence is None else evidence(inputs, tokens)
        return {"text": model.read(tokens, model.eyes.rows(tokens), batch.reading, known).text_loss()}

    def bank(self, split: Any) -> Bank:
        """Composed videos of this process, as its eyes see them."""
        from tvu.video_llm.training.assets import Assets
        from tvu.video_llm.training.composed import ComposedWorld

        config, group = self.config, self.group
        tower = SlowTower(located("efficientnet-lite0"), group.device)
        network = motion_network(config, group.device)
        if group.device.type == "cuda":
            network = network.half()
        entries = config.data.bank if split == "train" else 2 * max(1, config.evaluate)  # few are drawn twice
        started = time.perf_counter()
        drawn = round(config.data.drawn * entries) if config.data.assets else entries
        banks = []
        for part, (number, path) in enumerate(((entries - drawn, config.data.assets), (drawn, None))):
            if number:
                assets = Assets.load(Path(path)) if path else Assets.drawn()
                banks.append(
                    build_bank(
                        ComposedWorld(assets, split),
                        number,
                        tower,
                        network,
                        group.device,
                        seed=(config.seed, 2 if split == "train" else 3, group.rank, part),
                        longest=config.data.longest,
                        workers=config.workers,
                    )
                )
        self.log({"bank": split, "videos": entries, "seconds": round(time.perf_counter() - started, 1)})
        return joined(banks)

    def real(self) -> RealVideos:
        """The user's videos of this process, as its eyes see them."""
        from tvu.video_llm.encode import lite0_encoder
        from tvu.video_llm.lite.palms import HandFollower, HandModels
        from tvu.video_llm.lite.pose import BodyFollower, PoseModels

        config, group = self.config, self.group
        folder = located("mediapipe-bodies")
        bodies, hands = PoseModels(folder, num_threads=1), HandModels(folder, num_threads=1)
        network = motion_network(config, group.device)
        started = time.perf_counter()
        real = look_at_real(
            config.data.real,
            self.out / "seen",
            lite0_encoder(),
            network.half() if group.device.type == "cuda" else network,
            lambda: (BodyFollower(bodies), HandFollower(hands)),
            lambda reason: self.log({"real": reason}),
            share=(group.rank, group.size),
        )
        self.log({"real": len(real.videos), "seconds": round(time.perf_counter() - started, 1)})
        return real

    def save(self) -> None:
        """Weights, optimiser and place, each file written beside and renamed."""
        if self.group.rank != 0:
            return
        self.out.mkdir(parents=True, exist_ok=True)
        save_trained(self.model, self.out / "model.safetensors")
        state = {"optimizer": self.optimizer.state_dict(), "step": self.step}
        beside = self.out / "optimizer.pt.part"
        torch.save(state, beside)
        beside.rename(self.out / "optimizer.pt")
        told = {
            "step": self.step,
            "resumed": self.resumed,
            "seconds": round(self.seconds, 1),
            "config": self.config.to_json(),
        }
        part = self.out / "progress.json.part"
        part.write_text(json.dumps(told, indent=1), "utf-8")
        part.rename(self.out / "progress.json")

    def restore(self) -> None:
        """Goes on from the checkpoint in `config.out`, if there is one."""
        progress = self.out / "progress.json"
        if not progress.exists():
            if self.config.start is not None:
                load_trained(self.model, Path(self.config.start), may_lack=ADDS_NOTHING)
            return
        try:
            told = json.loads(progress.read_text("utf-8"))
            of_model = told["config"]["model"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TrainingError(f"{progress} cannot be read: {error}", hint="give another `out`") from error
        if of_model != json.loads(json.dumps(self.config.model.to_json())):
            raise TrainingError(
                f"{self.out} holds a run of another model", hint="give another `out`, or remove the folder"
            )
        load_trained(self.model, self.out / "model.safetensors")
        if (self.out / "optimizer.pt").exists():
            try:
                state = torch.load(self.out / "optimizer.pt", map_location=self.group.device, weights_only=True)
                self.optimizer.load_state_dict(state["optimizer"])
            except Exception as error:  # pickle, zip files and torch raise their own
                reason = (str(error).splitlines() or [""])[0]
                hint = "give another `out`, or remove optimizer.pt to go on with a new optimiser"
                raise TrainingError(f"optimizer.pt of {self.out} cannot be read: {reason}", hint=hint) from error
            self.step = int(state["step"])
        else:
            self.step = int(told["step"])
        self.resumed = int(told["resumed"]) + 1
        self.seconds = float(told["seconds"])
        self.log({"resumed": self.step})


def save_trained(model: nn.Module, path: Path, dtype: torch.dtype = torch.float32) -> None:
    """Everything that training changes, as one safetensors file, written beside and renamed."""
    state = {name: each.detach().to("cpu", dtype).contiguous() for name, each in trainable(model).items()}
    part = path.with_suffix(".part")
    save_file(state, part)
    part.rename(path)


def load_trained(model: nn.Module, path: Path, may_lack: tuple[str, ...] = ()) -> None:
    """What `save_trained` wrote, into a model of the same config, but for parts whose names begin with `may_lack`.

    Raises TrainingError for any other.
    """
    load_mean(model, [path], may_lack)


@torch.no_grad()
def load_mean(model: nn.Module, paths: Sequence[Path], may_lack: tuple[str, ...] = ()) -> None:
    """The mean of what `save_trained` wrote, added up in float64, into a model of the same config; of what begins with
    `may_lack` the mean of the files that hold it, and where none does it stays as it is.

    Raises TrainingError where a file holds anything else.
    """
    wanted = trainable(model)
    total = {name: torch.zeros(each.shape, dtype=torch.float64) for name, each in wanted.items()}
    counts = dict.fromkeys(wanted, 0)
    for path in paths:
        try:
            state = load_file(path)
        except Exception as error:  # safetensors raises its own
            hint = "train again from an earlier checkpoint"
            raise TrainingError(f"{path} cannot be read: {error}", hint=hint) from error
        lacking = wanted.keys() - state.keys()
        if (
            any(not name.startswith(may_lack) for name in lacking)
            or not state.keys() <= wanted.keys()
            or any(each.shape != wanted[name].shape for name, each in state.items())
        ):
            raise TrainingError(f"{path} holds the weights of another model", hint="give another `out`")
        for name, each in state.items():
            total[name] += each
            counts[name] += 1
    for name, each in wanted.items():
        if counts[name]:
            each.copy_(total[name] / counts[name])
