"""`lite` as files: a config, safetensors in shards of at most 15 MB, and the calibration of its scores."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tvu.temporal.squeezetime.fused import fused
from tvu.temporal.squeezetime.network import SqueezeTime
from tvu.video_llm.lite.adapters import merge
from tvu.video_llm.lite.files import shipped_folder
from tvu.video_llm.lite.language import CausalLlama, load_language
from tvu.video_llm.lite.model import LiteConfig, LiteModel
from tvu.video_llm.lite.prompt import class_name_ids
from tvu.weights.errors import WeightsError
from tvu.weights.load import located

SHARD_BYTES = 14_900_000  # of tensors; their names and places come on top
AGAIN = "install tvu again, or export the checkpoint again"


@dataclass(frozen=True)
class Calibration:
    """From what the head says to probabilities: `sigmoid(a + b * x)`, fitted on held-out scenes.

    span: of the logit of a span's score, that it is right (IoU of at least 0.5) where there is anything: a, b.
    present: of the logit of presence, that there is: a, b. A span is right with the product of both.
    """

    span: tuple[float, float] = (0.0, 1.0)
    present: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True)
class LoadedLite:
    """A checkpoint that can answer: everything in `eval()` on one device, adapters merged.

    causal: SmolLM2 with its new words, sharing its weights with `model.language`; None of a model that does not read.
    """

    model: LiteModel
    causal: CausalLlama | None
    motion: SqueezeTime
    card: Mapping[str, Any]


def save_lite(
    folder: Path,
    config: LiteConfig,
    trained: Mapping[str, Tensor],
    motion: Mapping[str, Tensor],
    calibration: Calibration,
    card: Mapping[str, Any],
) -> None:
    """Writes `config.json` and the shards into an empty folder, in float16.

    trained: what training changed, by its name in `LiteModel`; motion: the state of the motion network.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {**trained, **{f"motion.{name}": each for name, each in motion.items() if each.is_floating_point()}}
    shards: list[dict[str, Tensor]] = [{}]
    size = 0
    for name in sorted(tensors):
        half = tensors[name].detach().to("cpu", torch.float16).contiguous()
        if size + half.nbytes > SHARD_BYTES and shards[-1]:
            shards.append({})
            size = 0
        shards[-1][name] = half
        size += half.nbytes
    for number, shard in enumerate(shards, 1):
        path = folder / f"lite-{number:05d}-of-{len(shards):05d}.safetensors"
        save_file(shard, path)
        path.chmod(0o644)  # it writes for its owner alone
    told = {"model": config.to_json(), "calibration": asdict(calibration), "card": dict(card)}
    (folder / "config.json").write_text(json.dumps(told, indent=1) + "\n", "utf-8")


@dataclass(frozen=True)
class LiteFiles:
    """What the files of a checkpoint hold, before anything is made of it; state: tensors by name, in float16."""

    folder: Path
    config: LiteConfig
    calibration: Calibration
    card: Mapping[str, Any]
    state: Mapping[str, Tensor]

    def motion(self, device: torch.device | str = "cpu") -> SqueezeTime:
        """The motion network, for answering only. Raises WeightsError where the files hold none of their config."""
        network = SqueezeTime(self.config.motion_config)
        told = {name.removeprefix("motion."): each for name, each in self.state.items() if name.startswith("motion.")}
        counters = {name: each for name, each in network.state_dict().items() if not each.is_floating_point()}
        try:
            network.load_state_dict({**told, **counters})
        except RuntimeError as error:
            raise WeightsError(f"{self.folder} lacks the motion network", hint=AGAIN) from error
        return fused(network).to(device)


def read_lite(folder: Path | None = None) -> LiteFiles:
    """The files of a folder, by default those that ship with tvu.

    Raises WeightsError where there are none, or they are damaged.
    """
    is_shipped = folder is None
    folder = folder or shipped_folder()
    try:
        told = json.loads((folder / "config.json").read_text("utf-8"))
        model: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in told["model"].items()}
        config = LiteConfig(**model)
        calibration = Calibration(**{name: tuple(values) for name, values in told["calibration"].items()})
        state: dict[str, Tensor] = {}
        shards = sorted(folder.glob("lite-*-of-*.safetensors"))
        if not shards or len(shards) != int(shards[0].stem.rpartition("-")[2]):
            raise ValueError(f"{len(shards)} of its shards are there")
        for shard in shards:
            state.update(load_file(shard))
    except (FileNotFoundError, NotADirectoryError) as error:
        if is_shipped:
            hint = "train one: tvu train CONFIG --export DIR, then -m lite:DIR"
            raise WeightsError("no trained lite ships with this tvu", hint=hint) from error
        raise WeightsError(f"{folder} holds no checkpoint of lite", hint="tvu train CONFIG --export DIR") from error
    except Exception as error:  # json and safetensors raise their own
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise WeightsError(f"{folder} cannot be loaded: {reason}", hint=AGAIN) from error
    return LiteFiles(folder, config, calibration, told.get("card", {}), state)


WORDED_BY = ("eyes.clock.", "eyes.out.", "eyes.as_words.", "told.", "grades", "new_rows", "language.")
"""What is there for words alone, by how names begin."""
HEARD_BY = ("head.hidden.", "head.asked.")
"""What hears of the head what was read."""


def without_words(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Of the weights of a model those of the same that does not read."""
    return {name: each for name, each in state.items() if not name.startswith((*WORDED_BY, *HEARD_BY))}


def load_lite(
    files: LiteFiles,
    device: torch.device | str = "cpu",
    motion: SqueezeTime | None = None,
    *,
    with_words: bool = True,
) -> LoadedLite:
    """A checkpoint that can answer; `motion`: its motion network, if that was made before; with_words: else without the
    language model, where moments are found without it.

    Raises WeightsError where the files, or the language model that they were trained with, are missing or damaged.
    """
    config, state = files.config, dict(files.state)
    if not (with_words or config.hears):
        config = replace(config, reads=False)
        state = without_words(state)
    dtype = torch.bfloat16 if torch.device(device).type == "cuda" else torch.float32
    causal = load_language(located("smollm2-135m"), dtype) if config.reads else None
    model = LiteModel(config, None if causal is None else causal.model, known_names(config))
    fill(model, {name: each for name, each in state.items() if not name.startswith("motion.")}, files.folder)
    if causal is not None:
        merge(model.language)
        causal.set_table(model.table)
        causal.requires_grad_(False).eval().to(device)
    model.requires_grad_(False).eval().to(device)
    motion = motion or files.motion(device)
    return LoadedLite(model, causal, motion, files.card)


def known_names(config: LiteConfig) -> list[list[int]] | None:
    """The names that shots are told with, as SmolLM2 reads them. Raises WeightsError where Lite0 or SmolLM2 is
    missing."""
    if not (config.has_prior and config.reads):
        return None
    return class_name_ids(located("efficientnet-lite0") / "classes.json", located("smollm2-135m") / "tokenizer.json")


@torch.no_grad()
def fill(model: nn.Module, state: Mapping[str, Tensor], folder: Path) -> None:
    """Trained weights into a model of their config. Raises WeightsError where they do not fit it."""
    wanted = {name: each for name, each in model.named_parameters() if each.requires_grad}
    if set(state) != set(wanted) or any(state[name].shape != each.shape for name, each in wanted.items()):
        lacking = sorted(set(wanted) ^ set(state))
        about = f": {lacking[0]}" if lacking else ""
        raise WeightsError(f"{folder} holds the weights of another model{about}", hint=AGAIN)
    for name, each in wanted.items():
        each.copy_(state[name].to(each.dtype))
