"""Questions about videos as the model reads them, and its answers as seconds."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from transformers import AutoProcessor, ProcessorMixin

from tvu.temporal.time_tokens.lita import LitaTimeTokens
from tvu.temporal.time_tokens.read_times import Status, Times, read_times
from tvu.temporal.time_tokens.text_times import TextTimes
from tvu.temporal.types import Span
from tvu.video_llm.models.chat import template_of
from tvu.video_llm.models.configuration import TvuConfig
from tvu.video_llm.models.layout import TokenLayout
from tvu.video_llm.models.new_tokens import VIDEO, VIDEO_END, VIDEO_START
from tvu.video_llm.models.parts import build_codec
from tvu.video_llm.models.video_processing import SeenVideo, TvuBatch, TvuVideoProcessor, as_batch


class TvuProcessor(ProcessorMixin):
    """Tokenizer, video processor and chat template, and what they must know of the model.

    layout:      of the model, as `TokenLayout` holds it. codec, tells_times, times_in: as in `TvuConfig`.

    To the model the part that it sees is a video of its own: times that it is told, and those that it tells, count from
    the start of the part. `frame_spans` and `post_process_grounding` hold file seconds.
    """

    def __init__(
        self,
        video_processor: TvuVideoProcessor,
        tokenizer: Any,
        chat_template: str | None = None,
        layout: Mapping[str, Any] | None = None,
        codec: Mapping[str, Any] | None = None,
        tells_times: str | None = None,
        times_in: str = "codec",
    ) -> None:
        if layout is None or codec is None:
            raise ValueError("a processor needs the layout and the codec of its model: see TvuProcessor.for_model")
        super().__init__(video_processor, tokenizer, chat_template=chat_template)
        self.video_processor: TvuVideoProcessor
        self.tokenizer: Any
        self.layout, self.codec = dict(layout), dict(codec)
        self.tells_times, self.times_in = tells_times, times_in

    @classmethod
    def for_model(
        cls,
        config: TvuConfig,
        tokenizer: Any,
        chat_template: str | None = None,
        *,
        fps: float = 1.0,
        max_frames: int | None = 100,
    ) -> "TvuProcessor":
        """The processor of a model, with the tokenizer that `assemble` has extended.

        chat_template: one of `chat.py`; None: the one whose marks the tokenizer knows.
        """
        seeing: Any = {"vision_config": config.vision_config, "fast_path": config.fast_path}
        seeing |= {"fps": fps, "max_frames": max_frames}
        return cls(
            TvuVideoProcessor(**seeing),
            tokenizer,
            chat_template or template_of(tokenizer),
            asdict(config.layout()),
            config.codec,
            config.tells_times,
            config.times_in,
        )

    def check(self, config: TvuConfig) -> None:
        """Raises ValueError where this is not the processor of a model: what it tells would be read as other things."""
        told = {"layout": self.layout, "codec": self.codec, "tells_times": self.tells_times, "times_in": self.times_in}
        told |= {name: getattr(self.video_processor, name) for name in ("vision_config", "fast_path")}
        real = {"layout": asdict(config.layout()), **{name: getattr(config, name) for name in told if name != "layout"}}
        told, real = (json.loads(json.dumps(values)) for values in (told, real))  # a file knows no tuples
        for name, value in real.items():
            if told[name] != value:
                raise ValueError(f"the processor is of another model: its {name} is {told[name]}, the model's {value}")
        video_id, last_id = self.tokenizer.convert_tokens_to_ids(VIDEO), max(self.tokenizer.get_vocab().values())
        if video_id != config.video_token_id or last_id >= config.text_config.vocab_size:  # type: ignore[union-attr]
            raise ValueError("the tokenizer is of another model: see TvuForConditionalGeneration.assemble")
        turn: Any = {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": "?"}]}
        if self.apply_chat_template([turn], tokenize=False, add_generation_prompt=True).count(VIDEO) != 1:
            raise ValueError(f"the chat template does not write {VIDEO} for a video: see chat.py")

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """As transformers' own; code that a folder holds is never run, whatever is asked."""
        return super().from_pretrained(*args, **{**kwargs, "trust_remote_code": False})

    def __call__(
        self,
        images: None = None,
        text: str | Sequence[str] | None = None,
        videos: Any = None,
        audio: None = None,
        *,
        padding: bool | str = True,
        padding_side: str = "left",
        **told: Any,
    ) -> TvuBatch:
        """Prompts and their videos as tensors: what `forward` and `generate` take.

        text:   prompts in which `<|video|>` stands for each video in turn, as the chat template writes them.
        videos: as `TvuVideoProcessor.seen` takes them, `told` beside them.

        Raises ValueError where there are more or fewer marks than videos, and for pictures and sound.
        """
        if not text or images is not None or audio is not None:
            raise ValueError("this model takes text and videos")
        told.pop("return_tensors", None)  # always tensors of torch
        add_special_tokens = told.pop("add_special_tokens", None)
        prompts = [text] if isinstance(text, str) else list(text)
        seen = [] if videos is None else self.video_processor.seen(videos, **told)
        marks = sum(prompt.count(VIDEO) for prompt in prompts)
        if marks != len(seen):
            raise ValueError(f"the prompts have places for {marks} videos, and {len(seen)} were given")
        videos_in_turn = iter(seen)
        prompts = [
            re.sub(re.escape(VIDEO), lambda _: self.video_text(next(videos_in_turn)), prompt) for prompt in prompts
        ]
        if add_special_tokens is None:
            start = self.tokenizer.bos_token
            add_special_tokens = not (start and prompts[0].startswith(start))
        tokens = self.tokenizer(
            prompts,
            padding=padding,
            padding_side=padding_side,
            add_special_tokens=add_special_tokens,
            return_token_type_ids=False,
            return_tensors="pt",
        )
        return TvuBatch({**tokens, **(as_batch(seen) if seen else {})})

    def video_text(self, video: SeenVideo) -> str:
        """A video in a prompt: a place for each visual row, and times as `tells_times` says."""
        layout = TokenLayout.from_dict(self.layout)
        fast = None if video.fast is None else torch.from_numpy(video.fast.spans)
        spans = layout.row_spans(torch.from_numpy(video.frames.spans), fast)
        if self.tells_times == "groups":
            rows = "".join(f"{self._time(start, video.part)}{VIDEO * count}" for start, count in layout.groups(spans))
            return f"{VIDEO_START}{rows}{VIDEO_END}\n"
        rows = f"{VIDEO_START}{VIDEO * len(spans)}{VIDEO_END}\n"
        if self.tells_times is None:
            return rows
        times = [self._time(start, video.part) for start in video.frames.spans[:, 0]]
        return f"{rows}The video contains {len(times)} frames sampled at {', '.join(times)}{self._unit}.\n"

    def read_answer(self, text: str, duration: float) -> Times:
        """The times of one answer, seconds from the start of the part that the model saw.

        What the codec writes is read exactly; anything else as free text, and `status` and `notes` say what of it was
        understood. duration: seconds of that part.
        """
        codec = build_codec(self.codec)
        try:
            return Times(tuple(codec.decode_spans(text, duration)), (), "", Status.SPANS, ())
        except ValueError:
            return read_times(text, duration, codec if isinstance(codec, LitaTimeTokens) else None)

    def post_process_grounding(
        self, texts: Sequence[str], durations: Sequence[float], starts: Sequence[float] | None = None
    ) -> list[list[Span]]:
        """The spans of each answer in file seconds; none where an answer names none.

        durations: seconds of the part that each answer is about; starts: where in its file it starts (0 if None).
        """
        answers = []
        for text, duration, start in zip(texts, durations, starts or [0.0] * len(texts), strict=True):
            spans = self.read_answer(text, duration).spans
            answers.append([Span(span.start_seconds + start, span.end_seconds + start) for span in spans])
        return answers

    @property
    def model_input_names(self) -> list[str]:
        return [*self.tokenizer.model_input_names, *self.video_processor.model_input_names]

    def _time(self, file_seconds: float, part: Span) -> str:
        codec = TextTimes() if self.times_in == "seconds" else build_codec(self.codec)
        time = codec.encode(file_seconds - part.start_seconds, part.seconds)
        return f"{time}s" if self.tells_times == "groups" and isinstance(codec, TextTimes) else time

    @property
    def _unit(self) -> str:
        return "" if self.times_in == "codec" and self.codec["name"] == "lita" else " seconds"


AutoProcessor.register(TvuConfig, TvuProcessor, exist_ok=True)
