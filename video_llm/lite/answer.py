"""`lite` answers: spans from the head, listed answers from the judge, text from SmolLM2 where it has one, windows of a
minute over a long video."""

import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tvu.temporal.spans import clamp, iou, non_maximum_suppression, overlap_seconds
from tvu.temporal.squeezetime.network import SqueezeTime
from tvu.temporal.time_tokens.codec import TimeCodec
from tvu.temporal.timecode import format_timecode, percent
from tvu.temporal.types import Span, VisualTokens
from tvu.video_llm.benchmarks.choice import BEST_OPTION, MultipleChoice
from tvu.video_llm.benchmarks.matching import letter_of
from tvu.video_llm.cache import CacheEntry, FeatureCache
from tvu.video_llm.captions import Captioned, OnCaption
from tvu.video_llm.errors import BackendError, UnknownModel
from tvu.video_llm.generate import GenerateConfig, generate
from tvu.video_llm.generation.constraint import TimedCaptions
from tvu.video_llm.lite.checkpoint import LiteFiles, LoadedLite, load_lite, read_lite
from tvu.video_llm.lite.content import clauses_of
from tvu.video_llm.lite.files import folder_digest
from tvu.video_llm.lite.head import scored_spans
from tvu.video_llm.lite.inputs import STEPS_PER_SECOND
from tvu.video_llm.lite.judge import offered_on
from tvu.video_llm.lite.model import Reading
from tvu.video_llm.lite.naming import NAMES, Looks, deeds_in, statements, things_in
from tvu.video_llm.lite.options import Offered as Offers
from tvu.video_llm.lite.options import Options, fixed_of, offered_by, options_of, parts_of, words_of
from tvu.video_llm.lite.prior import ClassEvidence, Evidence, Meaning, Meanings, texts_of, texts_of_classes
from tvu.video_llm.lite.prompt import LiteTokenizer, sequences
from tvu.video_llm.lite.see import LiteSeen, see, seen_key
from tvu.video_llm.lite.telling import Telling, telling_of
from tvu.video_llm.logistic import logit, sigmoid
from tvu.video_llm.minilm import SentenceReader
from tvu.video_llm.parse import in_words, readable
from tvu.video_llm.pipeline import Report, be_silent
from tvu.video_llm.questions import captions_request, highlights_request
from tvu.video_llm.types import Answer, Grounding, Prompt, ScoreCurve, Timing, VideoClip

OnText = Callable[[str], None]

NO_WORDS = "an answer in words needs smollm2-135m: tvu models pull smollm2-135m"
NO_BODIES = "people are seen as pictures only, not by their movements"
NAMELESS = "Nothing that has a name."
LEAST_THERE = 0.5  # likely as something has to be before anything comes after it


@dataclass(frozen=True)
class LiteSettings:
    """How `lite` looks at a video.

    window_seconds: looked at once; training saw up to 64 s. overlap_seconds: of neighbouring windows, so that what
    happens at a border is whole in one of them.
    least_score: spans less likely than this are not told.
    max_iou: spans that overlap more are one.
    most_captions: of one window.
    """

    window_seconds: float = 60.0
    overlap_seconds: float = 12.0
    least_score: float = 0.25
    max_iou: float = 0.5
    most_captions: int = 16

    def __post_init__(self) -> None:
        if not 0 <= self.overlap_seconds < self.window_seconds:
            raise ValueError("windows overlap by less than their length")


@dataclass(frozen=True)
class Window:
    """One stretch, tokens `[1, V, 1, D]`. looks: for a model that knows what classes look like."""

    span: Span
    tokens: VisualTokens
    evidence: Evidence | None = None
    looks: Looks | None = None


@dataclass(frozen=True)
class Looked:
    """A clip in windows, when its frames appear, and how long it took to decode and to look at them."""

    clip: VideoClip
    windows: tuple[Window, ...]
    frame_seconds: tuple[float, ...]
    decode_s: float
    encode_s: float


@dataclass(frozen=True)
class Told:
    """What the head says of one query about one window.

    spans: (start, end, probability), file seconds, best first. present: the probability that it is there at all.
    inside: float32 `[V]`, of each token.
    """

    spans: "tuple[Scored, ...]"
    present: float
    inside: NDArray[np.float32]


class Lite:
    """The model behind `-m lite`. It remembers the clip that it looked at last.

    folder: of the checkpoint, by default the one that ships. Its files are read at once, networks are made when a clip
    needs them. Raises WeightsError where the files are missing or damaged.
    """

    def __init__(
        self,
        name: str = "lite",
        folder: Path | None = None,
        settings: LiteSettings | None = None,
        *,
        cache: FeatureCache | None = None,
        report: Report = be_silent,
    ) -> None:
        self.name = name
        self.settings = settings or LiteSettings()
        self.cache = cache
        self.files: LiteFiles = read_lite(folder)
        self._report = report
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._last: Looked | None = None
        self._last_names: tuple[Looked, tuple[Captioned, ...]] | None = None
        self._no_bodies = ""

    @cached_property
    def loaded(self) -> LoadedLite:
        """The networks that find moments and judge answers. Raises WeightsError where a part of them is missing."""
        return load_lite(self.files, self._device, self._motion, with_words=False)

    @cached_property
    def worded(self) -> LoadedLite:
        """The same with the language model, where there is one. Raises WeightsError where that is missing."""
        if self.files.config.hears:
            return self.loaded
        return load_lite(self.files, self._device, self._motion)

    @cached_property
    def _motion(self) -> SqueezeTime:
        return self.files.motion(self._device)

    @property
    def writes(self) -> bool:
        """Whether its captions are worth reading, by its card: `training/export.py` measures it."""
        return self.files.config.reads and bool(self.files.card.get("writes", True))

    @property
    def explains(self) -> bool:
        """Whether the words that it answers with are worth reading, by its card, as `writes`."""
        return self.files.config.reads and bool(self.files.card.get("explains", self.writes))

    @property
    def judges(self) -> bool:
        """Whether it tells a right answer from wrong ones, by its card, as `writes`."""
        return self._has_judge and bool(self.files.card.get("judges", True))

    @property
    def _has_judge(self) -> bool:
        config = self.files.config
        return config.has_prior and config.judges

    @property
    def has_words(self) -> bool:
        """Whether the language model that it writes with is there."""
        from tvu.weights.manifest import entry
        from tvu.weights.store import state_of

        return self.files.config.reads and state_of(entry("smollm2-135m"))[0] == "ready"

    @property
    def names(self) -> bool:
        """Whether it tells by name what it sees, where it does not write."""
        return self.files.config.has_prior

    def speaks(self, question: str) -> bool:
        """Whether the answer to a question is words, not spans alone."""
        if choice_in(question) is not None:
            return self.judges or (self.explains and self.has_words)
        if self.judges and options_of(question) is not None:
            return True
        if self._wants_names(question):
            return True
        return self._would_write(question) and self.has_words

    def lacks_words(self, question: str) -> bool:
        """Whether it would answer in words if the language model were there."""
        return self._would_write(question) and not self.has_words

    def _wants_names(self, question: str) -> bool:
        return self.names and not self._would_write(question) and telling_of(question) is not None

    def _would_write(self, question: str) -> bool:
        if question.strip() == captions_request():
            return self.writes
        return self.explains and (wants_words(question) or choice_in(question) is not None)

    @property
    def codec(self) -> TimeCodec:
        """How it writes times."""
        return self.loaded.model.codec

    @cached_property
    def tokenizer(self) -> LiteTokenizer:
        """Ids of what is read and written. Raises WeightsError where SmolLM2 is missing."""
        from tvu.weights.load import located

        return LiteTokenizer(located("smollm2-135m") / "tokenizer.json", self.codec, self.files.config.known_tokens)

    # --- the protocol of every model ---

    def find(self, clip: VideoClip, queries: Sequence[str]) -> list[Answer]:
        """When each query happens; the video is decoded and encoded once for all of them."""
        answers, _ = self._found(clip, queries)
        return answers

    def ground(self, clip: VideoClip, queries: Sequence[str]) -> list[list[Grounding]]:
        """The spans alone, best first."""
        return [list(answer.groundings) for answer in self.find(clip, queries)]

    def answer(self, clip: VideoClip, question: str, on_text: OnText | None = None) -> Answer:
        """Words for a question that wants some, where it `speaks`; spans for one that asks when. Spans come with
        both."""
        typed = choice_in(question)
        if typed is not None and self.speaks(question):
            return self.choose(clip, typed)
        options = options_of(question) if self.judges else None
        if options is not None:
            return self._judged(clip, question, options)
        telling = telling_of(question) if self._wants_names(question) else None
        if telling is not None:
            return self._told_by_name(clip, question, telling)
        ((found,), (told,)) = self._found(clip, [question])
        if not self.speaks(question):
            return replace(found, notes=(*found.notes, NO_WORDS)) if self.lacks_words(question) else found
        started = time.perf_counter()
        notes, right = found.notes, self.files.card.get("right_about_next")
        if question.strip() == captions_request():
            text = "\n".join(map(_line, self.caption(clip)))
        else:
            looked = self.look(clip)
            window = looked.windows[int(np.argmax([each.present for each in told]))]
            text = readable(self._written(window, question, on_text, 128), window.span, self.codec)
            if right is not None:
                notes = (
                    *notes,
                    f"of answers about what comes next or before in generated videos {right:.0%} were right",
                )
        answer = replace(found, text=text, is_in_words=True, notes=notes)
        return _later(answer, time.perf_counter() - started)

    # --- what else it can do ---

    def choose(self, clip: VideoClip, question: MultipleChoice) -> Answer:
        """The likeliest option, as `(B)`, with the spans that the head has for the question; of a long clip, by the
        window that these are most likely in. Where none is judged, by the letter that is likeliest to be written.

        Raises UnknownModel for a checkpoint that does neither.
        """
        put = question.request.user.rstrip()
        if not (self._has_judge or self.files.config.reads):
            raise UnknownModel(
                f"the checkpoint of {self.name} finds moments and judges no answers",
                hint="tvu train CONFIG --export DIR makes one that does, -m lite:DIR asks it",
            )
        if self.judges or not self.files.config.reads:  # else by letters, for which the weights may be missing
            options = Options(question.question, question.options, is_lettered=True)
            return replace(self._judged(clip, put, options), question=question.question)
        _ = self.worded
        ((found,), (told,)) = self._found(clip, [put])
        started = time.perf_counter()
        window = self.look(clip).windows[int(np.argmax([each.present for each in told]))]
        best = int(np.argmax(self._letters(window, question, put)))
        text = f"({letter_of(best)}) {question.options[best]}"
        return _later(
            replace(found, question=question.question, text=text, is_in_words=True), time.perf_counter() - started
        )

    def _judged(self, clip: VideoClip, question: str, options: Options) -> Answer:
        """The likeliest of some answers, and how likely it is beside the others; with the spans of the question, or of
        what the answer names where the question offers things by name."""
        ((found,), (told,)) = self._found(clip, [question])
        started = time.perf_counter()
        windows = self.look(clip).windows
        window = windows[int(np.argmax([each.present for each in told]))]
        if options.ask_for_absent:
            chances = self._absent_chances(clip, options)
        else:
            chances = self._chances(window, question, options)
        best = int(np.argmax(chances))
        text, note = words_of(options, best), f"of {len(chances)} answers this is right with {chances[best]:.0%}"
        if len(windows) > 1 and options.are_numbers:  # a window knows nothing of what others count
            count = len(apart([each.span for each in found.groundings if each.score >= 0.5]))
            text = words_of(options, options.nearest_to(count)) if options.is_lettered else str(count)
            note = f"counted are moments that are likelier than not: {count}"
        answer = replace(found, text=text, notes=(*found.notes, note), is_in_words=True)
        if not options.is_lettered and fixed_of(options.options[best]) < 0:
            named = parts_of(options.options)[best] or (options.options[best],)
            answer = self._with_named(answer, clip, named, window.span)
            if len(windows) > 1:
                times = [format_timecode(at) for at in (window.span.start_seconds, window.span.end_seconds)]
                answer = replace(answer, notes=(*answer.notes, f"judged by what is seen from {' to '.join(times)}"))
        return _later(answer, time.perf_counter() - started)

    def _with_named(self, answer: Answer, clip: VideoClip, named: Sequence[str], seen: Span) -> Answer:
        """An answer with the spans of what it names in the place of the question's, those in a part of the clip; of
        several things the best of each."""
        of_each, _ = self._found(clip, named)
        spans = [[each for each in found.groundings if overlap_seconds(each.span, seen) > 0] for found in of_each]
        told = spans[0] if len(named) == 1 else [each[0] for each in spans if each]
        if not told:
            return answer
        kept = non_maximum_suppression([g.span for g in told], [g.score for g in told], self.settings.max_iou)
        curves = of_each[0].curves if len(named) == 1 else answer.curves
        return replace(answer, groundings=tuple(told[i] for i in kept), curves=curves)

    def highlights(self, clip: VideoClip, topic: str) -> Answer:
        """The moments that show `topic` best, best first, with the curve that they were read off."""
        (found,) = self.find(clip, [highlights_request(topic)])
        return replace(found, question=topic)

    def caption(self, clip: VideoClip, on_caption: OnCaption | None = None) -> list[Captioned]:
        """What happens and when, in the order of time; each is told to `on_caption` as soon as it is known.

        Written by the language model where its words are worth reading, else what can be named (`naming.py`). Of what
        two windows see, the one tells what has its middle nearer to its own. Raises UnknownModel for a checkpoint that
        does neither.
        """
        if not self.writes:
            if self.names:
                return self._names(clip, on_caption)
            why = "on held-out scenes its words were hardly better than chance"
            raise UnknownModel(
                f"the checkpoint of {self.name} finds moments and writes no captions: "
                f"{why if self.files.config.reads else 'it was trained without a language model'}",
                hint="tvu train CONFIG --export DIR makes another, tvu caption VIDEO -m lite:DIR",
            )
        _ = self.worded  # before the video is looked at: its weights may be missing
        looked = self.look(clip)
        told: list[Captioned] = []

        def tell(own: Span, each: Captioned) -> None:
            if _is_of(each, own) and all(each.text != known.text or iou(each.span, known.span) < 0.3 for known in told):
                told.append(each)
                if on_caption is not None:
                    on_caption(each)

        for number, window in enumerate(looked.windows):
            self._report("writing", number / len(looked.windows))
            reading = CaptionReader(
                window.span, self.codec, partial(tell, _own_part([each.span for each in looked.windows], number))
            )
            self._written(window, captions_request(), reading.take, 24 * self.settings.most_captions, is_caption=True)
            reading.finish()
        return sorted(told, key=lambda each: each.span)

    def _names(self, clip: VideoClip, on_caption: OnCaption | None = None) -> list[Captioned]:
        """What can be named of a clip; remembered with what was looked at last."""
        looked = self.look(clip)
        if self._last_names is None or self._last_names[0] is not looked:
            self._last_names = looked, self._named_anew(looked)
        told = self._last_names[1]
        if on_caption is not None:
            for each in told:
                on_caption(each)
        return list(told)

    def _named_anew(self, looked: Looked) -> tuple[Captioned, ...]:
        spans, asked = [window.span for window in looked.windows], [question for question, _ in statements()]
        parts, told = list[Looks](), list[list[tuple[Scored, ...]]]()
        for number, window in enumerate(looked.windows):
            self._report("naming", number / len(looked.windows))
            if window.looks is None:
                raise ValueError("a model that knows no classes names nothing")
            parts.append(window.looks.part(_own_part(spans, number)))
            found = self._head(window, asked) if window.looks.may_show_deeds else []
            told.append([each.spans for each in found] or [()] * len(asked))
        looks = Looks.joined(parts)
        deeds = [put_together(spans, of_windows) for of_windows in zip(*told, strict=True)]
        return tuple(sorted((*things_in(looks), *deeds_in(looks, deeds)), key=lambda each: each.span))

    def _told_by_name(self, clip: VideoClip, question: str, telling: Telling) -> Answer:
        """What a question wants to be told, by name: a text in the order of time, spans best first."""
        ((found,), _) = self._found(clip, [telling.than or question])
        started = time.perf_counter()
        told, notes, nothing = self._names(clip), (*found.notes, NAMES), NAMELESS
        if telling.than:
            anchor = next((each for each in found.groundings[:1] if each.score >= LEAST_THERE), None)
            told = [] if anchor is None else next_to(told, anchor.span, telling.which == "after")
            if anchor is None:
                nothing = in_words(())
            else:
                at = [format_timecode(each) for each in (anchor.span.start_seconds, anchor.span.end_seconds)]
                notes = (*notes, f"{telling.which} {at[0]} - {at[1]}, which is that with {percent(anchor.score)}")
        elif telling.which == "first":
            told = told[:1]
        elif telling.which == "last":
            told = sorted(told, key=lambda each: each.span.end_seconds)[-1:]
        text = ", then ".join(each.text for each in told)
        if question.strip() == captions_request():
            text = "\n".join(map(_line, told))
        elif told:
            text = f"{text[:1].upper()}{text[1:]}."
        best_first = sorted(told, key=lambda each: -(each.score or 0.0))
        answer = replace(
            found,
            question=question,
            text=text or nothing,
            groundings=tuple(Grounding(each.span, each.score or 0.0, "visual", each.text) for each in best_first),
            notes=notes,
            curves=found.curves if telling.than else (),
            is_in_words=bool(told),
        )
        return _later(answer, time.perf_counter() - started)

    def look(self, clip: VideoClip) -> Looked:
        """What a clip looks like, in windows. Raises VideoError and WeightsError.

        While its frames are looked at, all that questions are read with is loaded.
        """
        if self._last is not None and self._last.clip == clip:
            return self._last
        self._last = None  # two at once would be held otherwise
        _ = self._motion
        aside = ThreadPoolExecutor(1, "lite-load")
        try:
            loading = aside.submit(self._load)
            seen = self._recalled(clip)
            loading.result()
        finally:
            aside.shutdown(wait=False, cancel_futures=True)
        parts = windows_of(len(seen.slow), self.settings)
        windows = tuple(self._window(seen, first, last) for first, last in parts)
        starts = tuple(seen.spans[:, 0].tolist())
        self._last = Looked(clip, windows, starts, seen.decode_s, seen.encode_s)
        return self._last

    # --- steps ---

    def _load(self) -> None:
        """What a question is read with. It runs beside `_recalled`, which must need nothing of it: cached properties
        do not wait for each other's threads."""
        _ = self.loaded, self._evidence, self._meanings
        if self.files.config.hears:
            _ = self.tokenizer

    def _found(self, clip: VideoClip, queries: Sequence[str]) -> tuple[list[Answer], list[list[Told]]]:
        """Answers with spans, and what the head says of each query window by window."""
        started = time.perf_counter()
        is_new = self._last is None or self._last.clip != clip
        looked = self.look(clip)
        encoded = time.perf_counter()
        per_query: list[list[Told]] = [[] for _ in queries]
        for number, window in enumerate(looked.windows):
            self._report("reading", number / len(looked.windows))
            for before, more in zip(per_query, self._head(window, queries), strict=True):
                before.append(more)
        done = time.perf_counter()
        decode_s, encode_s = (looked.decode_s, looked.encode_s) if is_new else (0.0, 0.0)
        temporal_s = max(0.0, encoded - started - decode_s - encode_s)
        timing = Timing(decode_s, encode_s, temporal_s, done - encoded, done - started)
        answers = []
        for query, told in zip(queries, per_query, strict=True):
            groundings = self._groundings([window.span for window in looked.windows], told, clip.span)
            answers.append(
                Answer(
                    query,
                    in_words(groundings),
                    groundings,
                    self.name,
                    timing,
                    tuple(note for note in (self._no_bodies, self.cache.trouble if self.cache else "") if note),
                    (_curve(looked.windows, told),),
                    query,
                    looked.frame_seconds,
                )
            )
            timing = Timing()  # the time that all of them took is told with the first
        return answers, per_query

    def _groundings(self, windows: Sequence[Span], told: Sequence[Told], part: Span) -> tuple[Grounding, ...]:
        """Spans of all windows, calibrated, best first, none of them twice."""
        settings = self.settings
        kept: list[Grounding] = []
        found = put_together(windows, [each.spans for each in told])
        for start, end, score in sorted(found, key=lambda each: -each[2]):
            if score < settings.least_score or end - start <= 1e-3:
                continue
            span = clamp(Span(start, end), part)
            if span is not None and all(iou(span, known.span) <= settings.max_iou for known in kept):
                kept.append(Grounding(span, score, "visual"))
        return tuple(kept)

    def _recalled(self, clip: VideoClip) -> LiteSeen:
        from tvu.video_llm.encode import lite0_encoder
        from tvu.weights.load import located

        cells, pose = lite0_encoder(), located("mediapipe-bodies")
        looks_at_hands = "hands" in self.files.config.paths
        people = f"{'bodies, hands' if looks_at_hands else 'bodies'}@{pose.name}"
        makers = (cells.name, f"motion@{folder_digest(self.files.folder)}", people)
        key = seen_key(clip, self.cache.content_of(clip.path), makers) if self.cache else ""
        entry = self.cache.load(key) if self.cache else None
        if entry is not None:
            try:
                return LiteSeen.from_arrays(dict(entry.arrays))
            except (KeyError, ValueError):  # another version wrote it
                pass
        bodies, hands = self._followers(pose, looks_at_hands)
        seen = see(clip, cells, self._motion, bodies, hands, lambda done: self._report("watching", done))
        if self.cache is not None and bodies is not None:  # or a machine that can look for people would never do so
            self.cache.store(key, CacheEntry(seen.to_arrays(), {}))
        return seen

    def _followers(self, folder: Path, looks_at_hands: bool) -> tuple[Any, Any]:
        """Of bodies and of hands, None of what is not to be, or cannot be, looked for."""
        from tvu.video_llm.lite.palms import HandFollower, HandModels
        from tvu.video_llm.lite.pose import BodyFollower, PoseModels

        try:  # one thread: beside two other networks on the same cores
            bodies = BodyFollower(PoseModels(folder, num_threads=1))
            return bodies, HandFollower(HandModels(folder, num_threads=1)) if looks_at_hands else None
        except BackendError as error:
            self._no_bodies = f"{NO_BODIES}: {error.message}"
            return None, None

    @torch.inference_mode()
    def _window(self, seen: LiteSeen, first: int, last: int) -> Window:
        part = seen.between(first, last)
        inputs, spans = part.inputs(self._device)
        with _autocast(self._device):
            spans = spans - spans[:, :1, :1]
            tokens = self.loaded.model.eyes.tokens(inputs, spans)
        span = Span(float(part.spans[0, 0]), float(part.spans[-1, 1]))
        if self._evidence is None:
            return Window(span, tokens)
        evidence = self._evidence(inputs, tokens)
        edges = evidence.shots.edges[0, : int(evidence.shots.counts[0]) + 1].double().cpu().numpy() + span.start_seconds
        steps = np.round((edges - span.start_seconds) * STEPS_PER_SECOND).astype(int)
        chances = self._evidence.chances(inputs, steps.tolist())
        return Window(span, tokens, evidence, Looks(edges, chances, np.array(part.has_body), part.spans[:, 0]))

    @cached_property
    def _evidence(self) -> ClassEvidence | None:
        if not self.files.config.has_prior:
            return None
        from tvu.weights.load import located

        return ClassEvidence.load(located("efficientnet-lite0")).to(self._device)

    @cached_property
    def _meanings(self) -> Meanings | None:
        """What is known of questions without training. Raises WeightsError where MiniLM is missing."""
        if not self.files.config.has_prior:
            return None
        from tvu.weights.load import located

        return Meanings(SentenceReader(self._device), texts_of_classes(located("efficientnet-lite0")), self._device)

    @torch.inference_mode()
    def _head(self, window: Window, queries: Sequence[str]) -> list[Told]:
        with _autocast(self._device):
            # In training hardly any query of moments has a clause, so there are no places for them here either.
            model = self.loaded.model
            if self.files.config.hears:
                reading = self._reading(window, queries, tells_clauses=False)
                rows = model.eyes.rows(window.tokens)
                moments = model.read(window.tokens, rows, reading, window.evidence).moments()
            else:
                moments = model.look(window.tokens, self._unread(queries, ()), window.evidence).moments
            on_cpu = moments.on_cpu()
        calibration, offset = self.files.calibration, window.span.start_seconds
        a, b = calibration.span
        told = []
        for row in range(len(queries)):
            present = float(on_cpu.present[row])
            there = sigmoid(calibration.present[0] + calibration.present[1] * present)
            spans = tuple(
                (start + offset, end + offset, sigmoid(a + b * logit(score)) * there)
                for start, end, score in scored_spans(on_cpu, row, max_iou=self.settings.max_iou)
            )
            told.append(Told(spans, there, (on_cpu.inside[row].sigmoid() * there).numpy()))
        return told

    def _reading(
        self, window: Window, queries: Sequence[str], prefill: Sequence[int] = (), *, tells_clauses: bool = True
    ) -> Reading:
        """Prompts about one window; `prefill`: how the answer begins."""
        asked, counts = [(0, query, "") for query in queries], window.tokens.lengths.tolist()
        told = sequences(self.tokenizer, asked, counts, tells_clauses=tells_clauses)
        ids, is_visual, answers, last = told.ids, told.is_visual, told.answers, told.last_asked
        if prefill:
            ids = np.concatenate([ids, np.repeat([prefill], len(queries), 0)], 1)
            is_visual, answers = (np.pad(each, ((0, 0), (0, len(prefill)))) for each in (is_visual, answers))
            last = last + len(prefill)
        meaning = None if self._meanings is None else self._meanings(texts_of(queries, told.clauses))
        return self._read(ids, is_visual, told.video, answers, last, told.clause_of, meaning)

    def _unread(self, queries: Sequence[str], clauses: Sequence[str], offers: Offers | None = None) -> Reading:
        """What the head is told of questions about one window, of the things that the first names, and its options."""
        if self._meanings is None:
            raise ValueError("a model that does not read knows questions by their meaning")
        size = len(queries)
        ids, none, zeros = np.zeros((size, 0), np.int64), np.zeros((size, 0), np.bool_), np.zeros(size, np.int64)
        meaning = self._meanings(texts_of(queries, clauses, offers))
        reading = self._read(ids, none, zeros, none, zeros, np.zeros(len(clauses), np.int64), meaning)
        return reading if offers is None else replace(reading, offered=offered_on(offers, self._device))

    def _read(
        self,
        ids: NDArray[np.int64],
        is_visual: NDArray[np.bool_],
        video: NDArray[np.int64],
        answers: NDArray[np.bool_],
        last_asked: NDArray[np.int64],
        clause_of: NDArray[np.int64],
        meaning: Meaning | None,
    ) -> Reading:
        """The same on the device."""
        moved = [torch.from_numpy(x).to(self._device) for x in (ids, is_visual, video, answers, last_asked, clause_of)]
        return Reading(moved[0], moved[1], moved[2], moved[3], moved[4], moved[5], meaning)

    @torch.inference_mode()
    def _chances(self, window: Window, question: str, options: Options) -> list[float]:
        """How likely each of the options is, beside the others."""
        clauses = [clause.text for clause in clauses_of(question)]
        with _autocast(self._device):
            reading = self._unread([question], clauses, offered_by([options]))
            judged = self.loaded.model.look(window.tokens, reading, window.evidence).judged
        if judged is None:
            raise ValueError("options are judged by models that know what questions mean")
        chances: list[float] = judged.softmax(0).tolist()
        return chances

    def _absent_chances(self, clip: VideoClip, options: Options) -> list[float]:
        """How likely it is of each option, beside the others, that it alone is nowhere in the clip."""
        _, told = self._found(clip, options.options)
        odds = [float(np.exp(-logit(max(each.present for each in windows)))) for windows in told]
        return [each / sum(odds) for each in odds]

    @torch.inference_mode()
    def _letters(self, window: Window, question: MultipleChoice, put: str) -> list[float]:
        """Of each option the logit of its letter, where the options part, after how answers of the protocol begin."""
        begins = "(" if question.protocol == "lmms-eval" else BEST_OPTION
        encode = self.tokenizer.encode
        written = [encode(f"{begins}{letter_of(i)}) {option}") for i, option in enumerate(question.options)]
        shared = 0
        while len({tuple(ids[: shared + 1]) for ids in written}) == 1 and shared + 1 < min(map(len, written)):
            shared += 1
        with _autocast(self._device):
            model = self.worded.model
            reading = self._reading(window, [put], written[0][:shared])
            hidden = model.read(window.tokens, model.eyes.rows(window.tokens), reading, window.evidence).hidden
            logits = torch.nn.functional.linear(hidden[0, int(reading.last_asked[0])], model.table).float()
        return [float(logits[ids[shared]]) for ids in written]

    def _written(
        self, window: Window, question: str, on_text: OnText | None, most_new: int, *, is_caption: bool = False
    ) -> str:
        model, reading, tokens = self.worded.model, self._reading(window, [question]), window.tokens
        with torch.inference_mode(), _autocast(self._device):
            known = model.known(tokens, reading, window.evidence)
            rows = model.rows_for(tokens, model.eyes.rows(tokens), reading, known, window.evidence)
            rows = rows[model.is_row(tokens, reading)][None]
        # The engine wants a span for each row, and rows of what is found are about the whole window.
        span = torch.tensor([0.0, window.span.seconds], dtype=torch.float64, device=rows.device)
        spans, count = span.expand(1, rows.shape[1], 2), torch.tensor([rows.shape[1]], device=rows.device)
        visual = VisualTokens.from_frames(rows[:, :, None].float(), spans, (1, 1), count)
        ids = reading.ids.cpu()
        prompt = Prompt(ids, reading.is_visual.cpu(), torch.tensor([ids.shape[1]]), visual)
        constraint = (
            TimedCaptions.of(self.codec, window.span.seconds, self._words, max_captions=self.settings.most_captions)
            if is_caption
            else None
        )
        tell = None if on_text is None else (lambda row, text: on_text(text))
        (generation,) = generate(
            prompt,
            self._engine,
            self._words,
            GenerateConfig(max_new_tokens=most_new),
            constraints=[constraint],
            on_text=tell,
        )
        return generation.text

    @cached_property
    def _engine(self) -> Any:
        from tvu.video_llm.video_llm import engine_of

        return engine_of(self.worded.causal)

    @cached_property
    def _words(self) -> Any:
        """transformers' tokenizer with the same ids, as the engine wants one."""
        from tokenizers import AddedToken
        from transformers import AutoTokenizer

        from tvu.video_llm.models.new_tokens import VIDEO_END, VIDEO_START
        from tvu.weights.load import located

        words = AutoTokenizer.from_pretrained(located("smollm2-135m"), local_files_only=True)
        words.add_tokens([AddedToken(token, normalized=False) for token in self.codec.added_tokens])
        words.add_tokens([VIDEO_START, VIDEO_END], special_tokens=True)
        return words


class CaptionReader:
    """Captions out of a text that is still being written: two times before each sentence.

    part: what times are counted in; each caption is told as soon as the next begins, or its line ends.
    """

    def __init__(self, part: Span, codec: TimeCodec, tell: OnCaption) -> None:
        token = "(?:" + "|".join(re.escape(token) for token in codec.added_tokens) + ")"
        self._whole = re.compile(rf"({token}) *({token})[^\S\n]*([^\n]*?)[^\S\n]*(?=\n|{token}|\Z)")
        self._opens = re.compile(token)
        self._part, self._codec, self._tell = part, codec, tell
        self._text = ""

    def take(self, text: str) -> None:
        """What was written after what was taken before."""
        self._text += text
        while (match := self._whole.search(self._text)) is not None:
            rest = self._text[match.end() :]
            if not (rest.startswith("\n") or self._opens.match(rest)):
                return  # its line goes on
            self._say(match)
            self._text = rest

    def finish(self) -> None:
        """Nothing more is written."""
        for match in self._whole.finditer(self._text):
            self._say(match)
        self._text = ""

    def _say(self, match: re.Match[str]) -> None:
        start, end = (self._codec.decode(match[i], self._part.seconds) for i in (1, 2))
        words = " ".join("".join(c if c.isprintable() else " " for c in match[3]).split())
        if words and end > start:
            offset = self._part.start_seconds
            self._tell(Captioned(Span(offset + start, offset + end), words))


_OPTION = r"\(?[A-Z][).:]\s+"
_WORDS = frozenset(
    {"is", "are", "does", "do", "did", "was", "were", "has", "have", "who", "whose", "why", "describe", "summarize"}
    | {"summarise", "how"}
)
_TWO_WORDS = frozenset(
    {"what happens", "what is", "what does", "what are", "what did", "what do", "what comes", "what was", "what color"}
    | {"what colour", "which color", "which colour", "which direction", "which way", "which thing"}
)


def wants_words(question: str) -> bool:
    """Whether a question asks for something else than a time: how many, which, what, yes or no, one of some options."""
    words = question.strip().lower().split()
    if not words:
        return False
    return words[0] in _WORDS or " ".join(words[:2]) in _TWO_WORDS


def choice_in(question: str) -> MultipleChoice | None:
    """A multiple choice as people type it, `Which way? (A) left (B) right`; None for any other question."""
    parts = re.split(rf"(?:^|\s)(?={_OPTION})", question.strip())
    head, options = parts[0].strip(), parts[1:]
    letters = [option.lstrip("(")[0] for option in options]
    if not head or len(options) < 2 or letters != [letter_of(i) for i in range(len(options))]:
        return None
    told = tuple(re.sub(rf"^{_OPTION}", "", option).strip().rstrip(",;") for option in options)
    head = re.sub(r"\s*\b[Oo]ptions?:$", "", head)
    return MultipleChoice(head.removeprefix("Question:").strip(), told) if all(told) else None


def windows_of(steps: int, settings: LiteSettings) -> list[tuple[int, int]]:
    """First and last step (exclusive) of each window; the last is moved back to end with the video."""
    size = round(settings.window_seconds * STEPS_PER_SECOND)
    hop = size - round(settings.overlap_seconds * STEPS_PER_SECOND)
    if steps <= size:
        return [(0, steps)]
    firsts = [*range(0, steps - size, hop), steps - size]
    return [(first, first + size) for first in firsts]


Scored = tuple[float, float, float]
"""Start and end in file seconds, and a probability."""

BORDER = 1.0  # seconds from the border of a window within which a span is taken to go on behind it


def put_together(windows: Sequence[Span], told: Sequence[Sequence[Scored]]) -> list[Scored]:
    """The spans of overlapping windows as those of the whole.

    What two windows see is told by the one that has its middle nearer to its own: the other may see a part of it. What
    goes on from one window into the next, and is whole in neither, is joined.
    """
    found = []
    for number, spans in enumerate(told):
        own = _own_part(windows, number)
        for start, end, score in spans:
            goes_on = number + 1 < len(windows) and end >= windows[number].end_seconds - BORDER
            following = told[number + 1] if goes_on else ()
            rest = [
                (later_end, later_score)
                for later_start, later_end, later_score in following
                if later_start <= windows[number + 1].start_seconds + BORDER
                and later_end > end
                and start < windows[number + 1].start_seconds
            ]
            if rest:
                later_end, later_score = max(rest, key=lambda each: each[1])
                found.append((start, later_end, min(score, later_score)))
            elif own.start_seconds <= (start + end) / 2 < own.end_seconds or len(windows) == 1:
                found.append((start, end, score))
    return found


def _own_part(windows: Sequence[Span], number: int) -> Span:
    """Of a window, what is nearer to its middle than to that of a neighbour."""
    span = windows[number]
    start = span.start_seconds if number == 0 else (span.start_seconds + windows[number - 1].end_seconds) / 2
    is_last = number + 1 == len(windows)
    end = span.end_seconds if is_last else (span.end_seconds + windows[number + 1].start_seconds) / 2
    return Span(start, end)


def apart(spans: Sequence[Span]) -> list[Span]:
    """Those that share less than a tenth of the shorter with any before them: a thing is counted once, whole or in
    part."""
    kept: list[Span] = []
    for span in spans:
        if all(overlap_seconds(span, known) < 0.1 * min(span.seconds, known.seconds) for known in kept):
            kept.append(span)
    return kept


def next_to(told: Sequence[Captioned], span: Span, is_after: bool) -> list[Captioned]:
    """Of captions in order of time the one that comes next after a span, or the one before it; none where there is
    none."""
    if is_after:
        return [each for each in told if each.span.start_seconds >= span.end_seconds - BORDER / 2][:1]
    before = [each for each in told if each.span.end_seconds <= span.start_seconds + BORDER / 2]
    return sorted(before, key=lambda each: each.span.end_seconds)[-1:]


def _is_of(told: Captioned, part: Span) -> bool:
    middle = (told.span.start_seconds + told.span.end_seconds) / 2
    return part.start_seconds <= middle < part.end_seconds


def _curve(windows: Sequence[Window], told: Sequence[Told]) -> ScoreCurve:
    """Being inside, over the whole clip; where windows overlap, the higher."""
    times = np.concatenate([_middles(window) for window in windows])
    scores = np.concatenate([each.inside for each in told]).astype(np.float32)
    order = np.argsort(times, kind="stable")
    times, scores = times[order], scores[order]
    first = np.flatnonzero(np.concatenate([[True], np.diff(times) > 1e-6]))
    return ScoreCurve("visual", times[first], np.maximum.reduceat(scores, first))


def _middles(window: Window) -> NDArray[np.float64]:
    """float64 `[V]`, file seconds; the tokens of a window count from its start."""
    middles: NDArray[np.float64] = window.tokens.spans[0].mean(-1).double().cpu().numpy()
    return middles + window.span.start_seconds


def _line(told: Captioned) -> str:
    return f"{format_timecode(told.span.start_seconds)} - {format_timecode(told.span.end_seconds)} {told.text}"


def _later(answer: Answer, seconds: float) -> Answer:
    """The same answer that took so much longer to write."""
    timing = answer.timing
    more = replace(timing, generate_s=timing.generate_s + seconds, total_s=timing.total_s + seconds)
    return replace(answer, timing=more)


def _autocast(device: torch.device) -> Any:
    return torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()
