"""What `hf:` names, and how a model of transformers is used."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl

from tvu.video_llm.errors import UnknownModel
from tvu.video_llm.generation.span_scores import SpanSearch
from tvu.video_llm.video_llm import VideoLLMConfig

PREFIX = "hf:"


@dataclass(frozen=True)
class HfConfig(VideoLLMConfig):
    """How a model of transformers is used; fields of `VideoLLMConfig` that are None are those of its family.

    max_pixels:      of a picture, height times width; larger ones are decoded smaller. Families that need pictures of
                     one size resize what they get.
    dropped:         the share of the frames to leave out before the vision tower, those most like the frame before
                     them (`temporal/reduction/changed.py`); in [0, 1). The times of those that stay are told as ever,
                     so every family allows it; all were trained on frames evenly apart, and how much one loses with
                     others is not known here. Within a frame no family takes fewer tokens than its tower makes; the
                     processor of VideoLLaMA 3 leaves out patches that did not change by itself.
    window_seconds:  the longest stretch that is seen at once; None: as many as the frames last at the family's rate.
    max_memory_gib:  what the weights may take; None: what is free on the device. See `checkpoint.check_memory`.
    device_map:      as accelerate takes it, e.g. `auto` for several GPUs; None: the first GPU, or the CPU.
    dtype:           of the weights, e.g. `bfloat16`; None: bfloat16 on a GPU, float32 on the CPU.
    least_presence:  where the model says yes to whether an event happens at all with less than this, there is none.
    least_score:     spans less likely than this are not told. The score of a span is the probability that the event
                     happens times that of the span where it does; it is what the model says, calibrated by nobody.
    """

    max_pixels: int | None = None
    dropped: float = 0.0
    window_seconds: float | None = None
    max_memory_gib: float | None = None
    device_map: str | None = None
    dtype: str | None = None
    least_presence: float = 0.5
    least_score: float = 0.001
    search: SpanSearch = field(default_factory=SpanSearch)

    def __post_init__(self) -> None:
        if self.generation.contrast:
            raise ValueError("a model of transformers is not contrasted with itself without its video")
        if not (0 <= self.dropped < 1 and 0 <= self.least_presence <= 1):
            raise ValueError(f"dropped in [0, 1), least_presence in [0, 1]; not {self}")
        for name in ("fps", "max_frames", "max_pixels", "window_seconds", "max_memory_gib"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise ValueError(f"{name} must be above 0, not {value}")


_OPTIONS: dict[str, Callable[[str], Any]] = {
    "fps": float,
    "max_frames": int,
    "max_pixels": int,
    "dropped": float,
    "window_seconds": float,
    "max_memory_gib": float,
    "device_map": str,
    "dtype": str,
    "least_presence": float,
}


def parse_name(name: str, config: HfConfig | None = None) -> tuple[str, HfConfig]:
    """`hf:SOURCE` or `hf:SOURCE?fps=1&max_frames=32`: the folder or repository, and `config` with what the name says.

    Raises UnknownModel for an option that there is not, or a value that makes no sense.
    """
    source, _, told = name.removeprefix(PREFIX).partition("?")
    hint = f"hf:FOLDER or hf:OWNER/NAME, then ?OPTION=VALUE&...: {', '.join(_OPTIONS)}"
    if not source:
        raise UnknownModel(f"{name!r} names no folder and no repository", hint=hint)
    fields: dict[str, Any] = {}
    for option, value in parse_qsl(told, keep_blank_values=True):
        if option not in _OPTIONS:
            raise UnknownModel(f"a model of transformers has no option {option!r}", hint=hint)
        try:
            fields[option] = _OPTIONS[option](value)
        except ValueError:
            raise UnknownModel(f"{option}={value} is no {_OPTIONS[option].__name__}", hint=hint) from None
    try:
        return source, replace(config or HfConfig(), **fields)
    except ValueError as error:
        raise UnknownModel(f"{name!r}: {error}", hint=hint) from None
