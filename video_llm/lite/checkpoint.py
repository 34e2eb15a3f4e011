"""`lite` as files: a config, safetensors in shards of at most 15 MB, and the calibration of its scores."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tvu.temporal.squeezetime.network import SqueezeTime
from tvu.video_llm.lite.adapters import merge
from tvu.video_llm.lite.model import LiteConfig, LiteModel
from tvu.weights.errors import WeightsError
from tvu.weights.load import located

SHARD_BYTES = 15_000_000


@dataclass(frozen=True)
class Calibration:
    """From what the head says to probabilities: `sigmoid(a + b * x)`, fitted on held-out scenes.

    span: of (logit of inside times quality of the best span, logit of presence): a, b, c.
    present: of the logit of presence: a, b.
    """

    span: tuple[float, float, float] = (0.0, 1.0, 1.0)
    present: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True)
class LoadedLite:
    """A checkpoint that can answer: everything in `eval()` on one device, adapters merged.

    causal: transformers' SmolLM2 with its new words, sharing its weights with `model.language`.
    """

    model: LiteModel
    causal: Any
    motion: SqueezeTime
    calibration: Calibration
    folder: Path
    card: Mapping[str, Any]


def shipped_folder() -> Path:
    """Where the checkpoint that comes with tvu is."""
    import tvu.weights.load as beside

    return Path(beside.__file__).parent / "lite"


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
        save_file(shard, folder / f"lite-{number:05d}-of-{len(shards):05d}.safetensors")
    told = {"model": config.to_json(), "calibration": asdict(calibration), "card": dict(card)}
    (folder / "config.json").write_text(json.dumps(told, indent=1) + "\n", "utf-8")


def load_lite(folder: Path | None = None, device: torch.device | str = "cpu") -> LoadedLite:
    """The checkpoint of a folder, by default the one that ships.

    Raises WeightsError where it, or the language model that it was trained with, is missing or damaged.
    """
    from transformers import AutoModelForCausalLM

    folder = folder or shipped_folder()
    try:
        told = json.loads((folder / "config.json").read_text("utf-8"))
        config = LiteConfig(**told["model"])
        calibration = Calibration(
            **{name: tuple(values) for name, values in told.get("calibration", {}).items()}  # type: ignore[arg-type]
        )
        state: dict[str, Tensor] = {}
        for shard in sorted(folder.glob("lite-*.safetensors")):
            state.update(load_file(shard))
    except FileNotFoundError as error:
        raise WeightsError(f"{folder} holds no checkpoint of lite", hint="install tvu again") from error
    except Exception as error:  # json and safetensors raise their own
        raise WeightsError(
            f"{folder} cannot be loaded: {str(error).splitlines()[0]}", hint="install it again"
        ) from error

    on_gpu = torch.device(device).type == "cuda"
    dtype = torch.bfloat16 if on_gpu else torch.float32
    causal: Any = AutoModelForCausalLM.from_pretrained(located("smollm2-135m"), dtype=dtype, local_files_only=True)
    model = LiteModel(config, causal.model)
    motion = SqueezeTime(config.motion_config)
    fill(model, {name: each for name, each in state.items() if not name.startswith("motion.")}, folder)
    moving = {name.removeprefix("motion."): each for name, each in state.items() if name.startswith("motion.")}
    counters = {name: each for name, each in motion.state_dict().items() if not each.is_floating_point()}
    try:
        motion.load_state_dict({**moving, **counters})
    except RuntimeError as error:
        raise WeightsError(f"{folder} lacks the motion network", hint="install tvu again") from error
    merge(model.language)
    grow(causal, model)
    for part in (model, causal, motion):
        part.requires_grad_(False).eval()
    model.to(device)
    causal.to(device)
    motion.to(device)
    return LoadedLite(model, causal, motion, calibration, folder, told.get("card", {}))


@torch.no_grad()
def fill(model: nn.Module, state: Mapping[str, Tensor], folder: Path) -> None:
    """Trained weights into a model of their config. Raises WeightsError where they do not fit it."""
    wanted = {name: each for name, each in model.named_parameters() if each.requires_grad}
    if set(state) != set(wanted) or any(state[name].shape != each.shape for name, each in wanted.items()):
        lacking = sorted(set(wanted) ^ set(state))
        about = f": {lacking[0]}" if lacking else ""
        raise WeightsError(f"{folder} holds the weights of another model{about}", hint="install tvu again")
    for name, each in wanted.items():
        each.copy_(state[name].to(each.dtype))


@torch.no_grad()
def grow(causal: Any, model: LiteModel) -> None:
    """The new words get their rows in the table of the language model, which is that of its output too."""
    table = model.table.clone()
    causal.resize_token_embeddings(len(table), mean_resizing=False)
    causal.get_input_embeddings().weight.copy_(table)
    causal.tie_weights()
    model.language = causal.model
