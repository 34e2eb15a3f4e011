"""The store that commands share, and what a model that is not `scout` wants in it."""

from dataclasses import replace

from tvu.video_llm.cache import FeatureCache
from tvu.video_llm.types import VideoClip, VideoModel
from tvu.weights.store import cache_root


def feature_store() -> FeatureCache:
    """The one that `ask`, `ground`, `index` and `find` read and write."""
    return FeatureCache(cache_root() / "features")


def keep_features(model: VideoModel, clip: VideoClip) -> None:
    """Have a Video-LLM encode the frames that it looks at closely, so that they are in its cache; no words are written.

    What it looks at to search within one long video depends on the question, and is kept once that was asked.
    Raises VideoError where the clip cannot be decoded.
    """
    from tvu.video_llm.long_video import sampling_of
    from tvu.video_llm.video_llm import VideoLLM
    from tvu.video_llm.windows import windows_of

    if not isinstance(model, VideoLLM):
        return
    look = sampling_of(clip, model)
    if look is None:
        model.encode_frames(model.sample_frames(clip))
        return
    config = model.config.windows
    for window in windows_of(clip.span, config.seconds, config.overlap, 1 / look.fps):
        model.encode_frames(model.sample_frames(replace(clip, span=window), look))
