"""From a model's name to a model."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from tvu.video_llm.errors import UnknownModel
from tvu.video_llm.pipeline import Report, be_silent
from tvu.video_llm.types import EVIDENCE, Evidence, VideoModel

if TYPE_CHECKING:
    from tvu.video_llm.scout.model import Eyes
    from tvu.video_llm.sentence import SentenceEncoder


def weights_needed(name: str, evidence: Sequence[Evidence] = EVIDENCE) -> tuple[str, ...]:
    """The weights that the model loads for these channels. Raises UnknownModel."""
    _check(name)
    eyes = ("efficientnet-lite0", "minilm-l6") if name == "scout" else (name, "minilm-l6")
    needed = {"visual": eyes, "speech": ("whisper-tiny.en", "minilm-l6"), "screen-text": ("minilm-l6",)}
    return tuple(dict.fromkeys(w for channel in evidence for w in needed[channel]))


def load_model(
    name: str = "scout",
    *,
    evidence: Sequence[Evidence] = EVIDENCE,
    min_score: float | None = None,
    use_cache: bool = True,
    report: Report = be_silent,
) -> VideoModel:
    """`scout`, or `clip:<open_clip model>/<tag>`: scout with the eyes of that model.

    evidence: the channels to use. min_score: spans less likely than this are not told; None leaves it to the model.
    use_cache: read and keep features. report: told how far the work is.
    Weights are looked for when a video needs them. Raises UnknownModel.
    """
    _check(name)
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
    from tvu.video_llm.encode import OpenClipEncoder
    from tvu.video_llm.scout.model import Eyes
    from tvu.video_llm.scout.visual import ClipScorer

    encoder = OpenClipEncoder(name)
    return Eyes(encoder, ClipScorer(encoder))


def _check(name: str) -> None:
    if name != "scout" and not (name.startswith("clip:") and "/" in name):
        raise UnknownModel(f"no model is called {name!r}", hint="scout, or clip:<open_clip model>/<tag>")
