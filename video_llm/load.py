"""From a model's name to a model."""

import json
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvu.temporal.errors import TvuError
from tvu.video_llm.errors import UnknownModel
from tvu.video_llm.pipeline import Report, be_silent
from tvu.video_llm.published.load import files_of, load_published, published_named
from tvu.video_llm.remote.address import is_remote, parse_remote
from tvu.video_llm.types import EVIDENCE, Evidence, VideoModel
from tvu.weights.errors import WeightsError

if TYPE_CHECKING:
    from tvu.video_llm.lite.answer import Lite
    from tvu.video_llm.scout.model import Eyes, Scout
    from tvu.video_llm.sentence import SentenceEncoder


WHICH = (
    "scout, lite, lite:FOLDER, scout+lite, scout+lite:FOLDER, align, clip:<open_clip model>/<tag>, "
    "hf:<folder or repository>, lita-13b:FOLDER, vtg-llm-7b:FOLDER, videochat-t-7b:FOLDER, "
    "http(s)://host/v1#model, or the folder of a saved Video-LLM"
)
HF = "hf:"  # before the folder or repository of a model of transformers
LITE = "lite"  # our own small Video-LLM; `lite:FOLDER` is a checkpoint that somebody trained
TOGETHER = "scout+lite"  # both about one clip; `scout+lite:FOLDER` with a checkpoint that somebody trained
ALIGN = "align"  # texts placed as `tvu align` places lines
OURS = "tvu"  # the model type of our own Video-LLM, and the mark of a folder that holds one


def baseline_named(name: str) -> VideoModel | None:
    """The baseline of that name; None where the name is none of a baseline. Raises UnknownModel for an unknown one."""
    if not name.startswith("baseline:"):
        return None
    from tvu.video_llm.benchmarks import baselines

    return baselines.baseline_named(name)


def weights_needed(name: str, evidence: Sequence[Evidence] = EVIDENCE, *, for_words: bool = False) -> tuple[str, ...]:
    """The weights that the model loads for these channels; for_words: for all that it writes as well, which `lite`
    loads only then. Raises UnknownModel."""
    if is_remote(name) or name.startswith(HF):
        return ()
    if baseline_named(name) is not None or published_named(name) is not None or folder_named(name) is not None:
        return ()
    if is_lite(name):
        from tvu.weights.manifest import names_of

        told = _told_of(name)
        reads = bool(told.get("reads", True)) and (for_words or bool(told.get("listens", False)))
        return (*names_of(LITE), "smollm2-135m") if reads else names_of(LITE)
    if is_together(name):
        lite = name.replace(TOGETHER, LITE, 1)
        return tuple(dict.fromkeys((*weights_needed("scout", evidence), *weights_needed(lite, for_words=for_words))))
    _check(name)
    eyes = ("efficientnet-lite0", "minilm-l6") if name in ("scout", ALIGN) else (*_clip_names(name), "minilm-l6")
    needed = {"visual": eyes, "speech": ("whisper-tiny.en", "minilm-l6"), "screen-text": ("minilm-l6",)}
    return tuple(dict.fromkeys(w for channel in evidence for w in needed[channel]))


def weights_of(model: str) -> dict[str, str]:
    """A hash of the files of each of a model's weights, by name, `not here` where they are missing; none of baselines.

    Raises UnknownModel, VideoError for a folder that cannot be read, and WeightsError for a published one that is not
    there.
    """
    import hashlib

    from tvu.video_llm.cache import FeatureCache
    from tvu.weights.manifest import entry
    from tvu.weights.store import cache_root, folder_of, read_inventory

    if baseline_named(model) is not None or is_remote(model):  # what a server's name means today nobody tells
        return {}
    if model.startswith(HF):
        from tvu.video_llm.hf.checkpoint import find_folder, source_of

        found = find_folder(source_of(model))
        return {"folder": FeatureCache(cache_root() / "features").content_of(found)}
    published = published_named(model)
    folder = files_of(published) if published else _hf_folder(model) or folder_named(model)
    if folder is not None:
        return {"folder": FeatureCache(cache_root() / "features").content_of(folder)}
    hashes = {}
    if is_lite(model) or is_together(model):
        from tvu.video_llm.lite.files import folder_digest, shipped_folder

        hashes["lite"] = folder_digest(lite_folder(model) or shipped_folder()) or "not here"
    for name in weights_needed(model, for_words=True):
        inventory = read_inventory(folder_of(entry(name)))
        files = "\n".join(f"{file.path} {file.sha256}" for file in inventory.files) if inventory else ""
        hashes[name] = hashlib.sha256(files.encode()).hexdigest() if files else "not here"
    return hashes


def load_model(
    name: str = "scout",
    *,
    evidence: Sequence[Evidence] = EVIDENCE,
    min_score: float | None = None,
    use_cache: bool = True,
    may_fetch: bool = False,
    report: Report = be_silent,
) -> VideoModel:
    """`scout`, or `clip:<open_clip model>/<tag>`: scout with the eyes of that model, or of several with `+` between; or
    the folder of a Video-LLM.

    A folder is one that `save_pretrained` of our model and of its processor wrote; `tvu:FOLDER` says the same.
    `baseline:NAME` looks at nothing (`benchmarks/baselines.py`). `lita-13b:FOLDER`, `vtg-llm-7b:FOLDER` and
    `videochat-t-7b:FOLDER` are published models from their authors' files (`published/`).
    `lite` is our own small Video-LLM (`lite/answer.py`), `lite:FOLDER` a checkpoint of it that `tvu train` exported.
    `scout+lite`, `scout+lite:FOLDER`: both look, and moments are those of both (`lite/together.py`).
    `align` places questions as `tvu align` places lines of a text (`narration/model.py`).
    `http(s)://host/v1#model` is a model of a server (`remote/address.py`), which chooses its own evidence.
    `hf:SOURCE` is a model of transformers that sees videos, from a folder or from the hub's cache (`hf/load.py`).
    evidence: the channels to use. min_score: spans less likely than this are not told; None leaves it to the model.
    use_cache: read and keep features. report: told how far the work is.
    may_fetch: fetch files of `hf:` that are not in the hub's cache; without it no network is used.
    Weights of `scout` are looked for when a video needs them. Raises UnknownModel, and WeightsError for a folder whose
    weights are missing or damaged.
    """
    baseline = baseline_named(name)
    if baseline is not None:
        return baseline
    if is_remote(name):
        from tvu.video_llm.remote.model import Remote

        return Remote(name, parse_remote(name), min_score)
    published = published_named(name)
    if published is not None:
        return load_published(name, published, min_score=min_score, report=report)
    if name.startswith(HF):
        return _hf(name, min_score, may_fetch, report)
    folder = folder_named(name)
    if folder is not None:
        return _video_llm(name, folder, min_score, use_cache, report)
    if is_lite(name):
        return _lite(name, min_score, use_cache, report)
    if is_together(name):
        return _together(name, evidence, min_score, use_cache, report)
    _check(name)
    if name == ALIGN:
        from tvu.video_llm.narration.model import AlignModel
        from tvu.video_llm.scout.model import LEAST_SCORE

        least = LEAST_SCORE if min_score is None else min_score
        return AlignModel(evidence, min_score=least, use_cache=use_cache, report=report)
    return _scout(name, evidence, min_score, use_cache, report)


def _scout(
    name: str, evidence: Sequence[Evidence], min_score: float | None, use_cache: bool, report: Report
) -> "Scout":
    from tvu.video_llm.cache import FeatureCache
    from tvu.video_llm.scout.model import LEAST_SCORE, Scout
    from tvu.weights.store import cache_root

    cache = FeatureCache(cache_root() / "features") if use_cache else None
    eyes = _lite_eyes if name == "scout" else partial(_clip_eyes, name)
    least = LEAST_SCORE if min_score is None else min_score
    weights = {channel: weights_needed(name, (channel,)) for channel in evidence}
    return Scout(name, eyes, weights, least_score=least, cache=cache, report=report)


def prepare_scout() -> None:
    """Compute what `scout` needs once for all videos. Raises WeightsError where its weights are missing."""
    from tvu.video_llm.sentence import SentenceEncoder

    _lite_eyes(SentenceEncoder())


def _lite_eyes(sentences: "SentenceEncoder") -> "Eyes":
    from tvu.video_llm.cache import FeatureCache
    from tvu.video_llm.encode import lite0_encoder
    from tvu.video_llm.scout.model import Eyes
    from tvu.video_llm.scout.visual import ClassLogitScorer, usual_features
    from tvu.weights.load import located
    from tvu.weights.store import cache_root

    encoder = lite0_encoder()
    texts = FeatureCache(cache_root() / "texts")  # of the classes, not of a video: kept even where features are not
    return Eyes(encoder, ClassLogitScorer(encoder, sentences, usual_features(located(encoder.weights_name)), texts))


def _clip_eyes(name: str, sentences: "SentenceEncoder") -> "Eyes":
    from tvu.video_llm.encode import ClipEnsemble, OpenClipEncoder
    from tvu.video_llm.scout.model import Eyes
    from tvu.video_llm.scout.visual import ClipScorer

    encoders = [OpenClipEncoder(each) for each in _clip_names(name)]
    encoder = encoders[0] if len(encoders) == 1 else ClipEnsemble(encoders)
    return Eyes(encoder, ClipScorer(encoder))


def folder_named(name: str) -> Path | None:
    """The folder that a model's name means; None where it means another model.

    Raises UnknownModel for a folder, or what looks like one, that holds no Video-LLM of ours.
    """
    if is_remote(name):
        return None
    path = Path(name.removeprefix(f"{OURS}:")).expanduser()
    is_told = name.startswith(f"{OURS}:")
    if not is_told and (
        name in ("scout", ALIGN)
        or is_lite(name)
        or is_together(name)
        or name.startswith(("clip:", HF))
        or not (path.is_dir() or "/" in name)
    ):
        return None
    if not path.is_dir():
        raise UnknownModel(f"{path} is not a folder", hint="-m takes the folder that save_pretrained wrote")
    try:
        told = json.loads((path / "config.json").read_text("utf-8"))
        kind = told.get("model_type") if isinstance(told, dict) else None
    except FileNotFoundError:
        raise UnknownModel(f"{path} holds no model: it has no config.json", hint=WHICH) from None
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}/config.json cannot be read: {error}", hint="save the model again") from error
    if kind != OURS:
        raise UnknownModel(f"{path} holds a model of type {kind!r}, not a Video-LLM of tvu", hint=WHICH)
    return path


def is_lite(name: str) -> bool:
    """Whether a model's name means `lite`, with the checkpoint that ships or another."""
    return name == LITE or name.startswith(f"{LITE}:")


def is_together(name: str) -> bool:
    """Whether a model's name means `scout` and `lite` together, with the checkpoint that ships or another."""
    return name == TOGETHER or name.startswith(f"{TOGETHER}:")


def _told_of(name: str) -> dict[str, Any]:
    """The config of a `lite`. Of one that cannot be read, which is told where it is loaded, that it reads nothing."""
    import json

    from tvu.video_llm.lite.files import shipped_folder

    try:
        told = json.loads(((lite_folder(name) or shipped_folder()) / "config.json").read_text("utf-8"))
        return dict(told["model"])
    except (OSError, ValueError, KeyError, TypeError):
        return {"reads": False}


def best_model() -> str:
    """What `tvu ask` asks unless it is told: `scout+lite` where all that it needs is in the cache, else `scout`."""
    from tvu.weights.manifest import entry
    from tvu.weights.store import state_of

    is_there = all(state_of(entry(name))[0] == "ready" for name in weights_needed(TOGETHER))
    return TOGETHER if is_there else "scout"


def lite_folder(name: str) -> Path | None:
    """The folder of `lite:FOLDER` or `scout+lite:FOLDER`; None for the checkpoint that ships.

    Raises UnknownModel where it is no folder.
    """
    model, mark, told = name.partition(":")
    if not mark:
        return None
    folder = Path(told).expanduser()
    if not folder.is_dir():
        hint = f"{model}:DIR takes what tvu train CONFIG --export DIR wrote"
        raise UnknownModel(f"{folder} is not a folder", hint=hint)
    return folder


def _lite(name: str, min_score: float | None, use_cache: bool, report: Report) -> "Lite":
    from tvu.video_llm.runtime import brisk_threads

    folder = lite_folder(name)
    brisk_threads()
    from tvu.video_llm.cache import FeatureCache
    from tvu.video_llm.lite.answer import Lite, LiteSettings
    from tvu.weights.load import require
    from tvu.weights.store import cache_root

    settings = LiteSettings() if min_score is None else LiteSettings(least_score=min_score)
    cache = FeatureCache(cache_root() / "features") if use_cache else None
    model = Lite(name, folder, settings, cache=cache, report=report)
    require(weights_needed(name.replace(TOGETHER, LITE, 1)))
    return model


def _together(
    name: str, evidence: Sequence[Evidence], min_score: float | None, use_cache: bool, report: Report
) -> VideoModel:
    from tvu.video_llm.runtime import brisk_threads

    lite_folder(name)  # what is no folder is told before torch is imported
    brisk_threads()
    from tvu.video_llm.lite.together import JoinConfig, ScoutAndLite

    config = JoinConfig()
    support = config.least_support if min_score is None else min(config.least_support, min_score)
    lite = _lite(name, support, use_cache, report)
    return ScoutAndLite(name, _scout("scout", evidence, min_score, use_cache, report), lite, config)


def _video_llm(name: str, folder: Path, min_score: float | None, use_cache: bool, report: Report) -> VideoModel:
    from tvu.video_llm.runtime import brisk_threads

    brisk_threads()
    import torch
    from transformers.utils import logging

    from tvu.video_llm.cache import FeatureCache
    from tvu.video_llm.models.modeling import TvuForConditionalGeneration
    from tvu.video_llm.models.processing import TvuProcessor
    from tvu.video_llm.video_llm import VideoLLM, VideoLLMConfig
    from tvu.weights.store import cache_root

    has_gpu = torch.cuda.is_available()
    logging.disable_progress_bar()  # stderr is ours, and is for who watches `report`
    logging.set_verbosity_error()
    try:
        processor = TvuProcessor.from_pretrained(folder, local_files_only=True)
        model = TvuForConditionalGeneration.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype="auto" if has_gpu else torch.float32
        )
        config = VideoLLMConfig() if min_score is None else VideoLLMConfig(least_score=min_score)
        cache = FeatureCache(cache_root() / "features") if use_cache else None
        model.to("cuda" if has_gpu else "cpu")
        video_llm = VideoLLM(name, model, processor, config, cache=cache, report=report)
        _ = video_llm.sampling  # is as the folder says, and may make no sense
    except TvuError:
        raise
    except Exception as error:  # transformers, tokenizers and safetensors raise whatever they like about a file
        reason = re.split(r"\n|\. ", str(error).strip())[0] or type(error).__name__
        raise WeightsError(f"{folder} cannot be loaded: {reason}", hint="save model and processor again") from error
    return video_llm


def _hf_folder(name: str) -> Path | None:
    if not name.startswith(HF):
        return None
    from tvu.video_llm.hf.checkpoint import find_folder, source_of

    return find_folder(source_of(name))


def _hf(name: str, min_score: float | None, may_fetch: bool, report: Report) -> VideoModel:
    from tvu.video_llm.hf.checkpoint import find_folder, read_folder, source_of
    from tvu.video_llm.runtime import brisk_threads

    read_folder(find_folder(source_of(name), may_fetch=may_fetch))  # what is no model is told before torch is imported
    brisk_threads()
    from tvu.video_llm.hf.config import HfConfig
    from tvu.video_llm.hf.load import load_hf

    config = HfConfig() if min_score is None else HfConfig(least_score=min_score)
    return load_hf(name, config, may_fetch=may_fetch, report=report)


def _clip_names(name: str) -> list[str]:
    """The models of `clip:A/tag+B/tag`, each as `clip:A/tag`."""
    return [f"clip:{each}" for each in name.removeprefix("clip:").split("+")]


def _check(name: str) -> None:
    if name not in ("scout", ALIGN) and not (
        name.startswith("clip:") and all("/" in each for each in _clip_names(name))
    ):
        raise UnknownModel(f"no model is called {name!r}", hint=WHICH)
