"""The pipeline from a file and a question to spans of seconds; models, evidence, batches, benchmarks.

`from tvu.video_llm import load_model, open_video` is the library; nothing heavy is imported before one of them is used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tvu.video_llm.decode import open_video
    from tvu.video_llm.load import load_model

__all__ = ["load_model", "open_video"]


def __getattr__(name: str) -> Any:
    if name == "load_model":
        from tvu.video_llm.load import load_model

        return load_model
    if name == "open_video":
        from tvu.video_llm.decode import open_video

        return open_video
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
