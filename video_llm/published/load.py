"""From a name like `lita-13b:FOLDER` to a published model."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tvu.temporal.errors import TvuError
from tvu.video_llm.errors import UnknownModel
from tvu.video_llm.pipeline import Report, be_silent
from tvu.video_llm.types import VideoModel
from tvu.weights.errors import WeightsError

if TYPE_CHECKING:
    from tvu.video_llm.published.memory import PublishedConfig
    from tvu.video_llm.published.model import PublishedModel

OFFICIAL = "+official"
ORIGINS = {
    "lita-13b": "huggingface.co/deahuang/lita-vicuna-v1-3-13b (CC-BY-NC-SA-4.0: not for commercial use) and "
    "huggingface.co/openai/clip-vit-large-patch14 (MIT) in a folder inside it",
    "vtg-llm-7b": "huggingface.co/Yongxin-Guo/VTG-LLM (Apache-2.0, on Llama-2's licence) and the tokenizer of "
    "huggingface.co/DAMO-NLP-SG/Video-LLaMA-2-7B-Finetuned",
    "videochat-t-7b": "huggingface.co/Lanxingxuan/TimeSuite (MIT) with "
    "huggingface.co/mistralai/Mistral-7B-Instruct-v0.2 and "
    "huggingface.co/google-bert/bert-base-uncased (Apache-2.0) in folders inside it",
}
"""Where the files of each model come from, and under which licence."""


@dataclass(frozen=True)
class PublishedName:
    """What a name says: which model, in which folder, and whether as its authors evaluate it (`lita-13b+official`)."""

    model: str
    folder: Path
    official: bool = False


def published_named(name: str) -> PublishedName | None:
    """The published model that `name` means; None where it means none. Nothing is looked for on the disk.

    `lita-13b:FOLDER`, `lita-13b+official:FOLDER`; without a folder the files are in `weights/lita-13b` of the cache.
    Raises UnknownModel for the name of one with something else behind it.
    """
    from tvu.weights.store import cache_root

    whole, colon, folder = name.partition(":")
    model = whole.removesuffix(OFFICIAL)
    if model not in ORIGINS:
        return None
    if colon and not folder:
        raise UnknownModel(f"{name} names no folder", hint=f"{whole}:FOLDER, or {whole} for the weights cache")
    place = Path(folder).expanduser() if folder else cache_root() / "weights" / model
    return PublishedName(model, place, whole.endswith(OFFICIAL))


def files_of(told: PublishedName) -> Path:
    """The folder of the model's files. Raises WeightsError, with where to get them, where it is not there."""
    if not told.folder.is_dir():
        hint = f"download {ORIGINS[told.model]}, and name the folder: -m {told.model}:FOLDER"
        raise WeightsError(f"the files of {told.model} are not here: {told.folder} is not a folder", hint=hint)
    return told.folder


def load_published(
    name: str,
    told: PublishedName,
    *,
    config: "PublishedConfig | None" = None,
    min_score: float | None = None,
    report: Report = be_silent,
) -> VideoModel:
    """The model, ready to be asked.

    Raises WeightsError where its files are missing, damaged, of another model, would run code, or need more memory than
    there is.
    """
    folder = files_of(told)
    from tvu.video_llm.runtime import brisk_threads

    brisk_threads()
    from transformers.utils import logging

    from tvu.video_llm.published.lita import load_lita
    from tvu.video_llm.published.memory import PublishedConfig
    from tvu.video_llm.published.videochat_t import load_videochat_t
    from tvu.video_llm.published.vtg_llm import load_vtg_llm

    logging.disable_progress_bar()  # stderr is ours, and is for who watches `report`
    logging.set_verbosity_error()
    loaders: dict[str, Callable[..., PublishedModel]] = {
        "lita-13b": load_lita,
        "vtg-llm-7b": load_vtg_llm,
        "videochat-t-7b": load_videochat_t,
    }
    chosen = config or PublishedConfig()
    if told.official:
        chosen = replace(chosen, official=True)
    try:
        return loaders[told.model](folder, chosen, name=name, min_score=min_score or 0.0, report=report)
    except TvuError:
        raise
    except MemoryError as error:
        raise WeightsError(f"{told.model} does not fit into the memory", hint="close other programs") from error
    except (KeyError, IndexError, TypeError, ValueError, RuntimeError, OSError) as error:
        # a config whose numbers make no network, or tensors that torch cannot cast: the files, not our code
        reason = str(error).strip().split("\n")[0][:200] or type(error).__name__
        hint = f"download it again: {ORIGINS[told.model]}"
        raise WeightsError(f"{folder} cannot be loaded as {told.model}: {reason}", hint=hint) from error
