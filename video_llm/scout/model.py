"""`scout`: three channels look at a video at once, and their answers are fused.

Nothing of a video is decoded twice: one pass feeds the eyes and the reader of on-screen text, the sound is heard beside
it, and what each channel makes of it is kept in the cache by content, so that the next question starts from there.
"""

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tvu.temporal.errors import TvuError
from tvu.video_llm.cache import CacheEntry, FeatureCache
from tvu.video_llm.encode import FrameEncoder
from tvu.video_llm.media.sound import sound_windows
from tvu.video_llm.parse import in_words
from tvu.video_llm.pipeline import Report, be_silent
from tvu.video_llm.sample import SamplingConfig, Watch, watch
from tvu.video_llm.scout.background import Background
from tvu.video_llm.scout.fuse import fuse
from tvu.video_llm.scout.match import WordCandidate, addresses
from tvu.video_llm.scout.query import Router
from tvu.video_llm.scout.screen_text import ScreenText, read_screen_text, score_screen_text
from tvu.video_llm.scout.speech import Transcript, heard_in, score_speech, transcribe
from tvu.video_llm.scout.visual import Scorer, VisualIndex, VisualIndexer, score_visual
from tvu.video_llm.sentence import SentenceEncoder
from tvu.video_llm.types import EVIDENCE, Answer, Evidence, FrameBatch, Grounding, ScoreCurve, Timing, VideoClip
from tvu.weights.errors import WeightsError
from tvu.weights.load import located, require

SAMPLING = SamplingConfig(fps=4.0, max_side=400)
LAYOUT = 3  # of what the channels keep in the cache; raised when it, or how it is made, changes
LEAST_SCORE = 0.25  # below it a span is more likely noise than an answer
UNASKED = 0.5  # of the probability that remains for what is said when the question does not ask for words: a narrator
# may speak of ships while the question is about the one in the picture
HELD_BATCHES = 4  # batches that the reader of text may lag behind the eyes

T = TypeVar("T")

Rethink = Callable[[list[Grounding]], list[Grounding]]
"""What somebody who saw the clip as well makes of the visual channel, before the channels are fused."""


@dataclass(frozen=True)
class Eyes:
    """What looks at pictures: an encoder of frames, and what scores its features for a question."""

    encoder: FrameEncoder
    scorer: Scorer


@dataclass(frozen=True)
class Seen:
    """What the channels made of one clip; None for a channel that was not asked for, or that the file does not have."""

    visual: VisualIndex | None = None
    transcript: Transcript | None = None
    screen_text: ScreenText | None = None
    decode_s: float = 0.0
    encode_s: float = 0.0
    notes: tuple[str, ...] = field(default=())


class Scout:
    """The zero-shot model. It remembers the clip it looked at last.

    eyes: makes the scorer of pictures when the first picture needs it, with the sentence encoder it may share.
    weights: the channels to use, each with the names of the weights it needs.
    least_score: spans less likely than this are not told.
    cache: where features are kept; None keeps nothing.
    """

    def __init__(
        self,
        name: str,
        eyes: Callable[[SentenceEncoder], Eyes],
        weights: Mapping[Evidence, Sequence[str]],
        *,
        least_score: float = LEAST_SCORE,
        cache: FeatureCache | None = None,
        report: Report = be_silent,
    ) -> None:
        self.name = name
        self._make_eyes = eyes
        self._weights = weights
        self.least_score = least_score
        self.cache = cache
        self._report = report
        self._last: tuple[VideoClip, Seen] | None = None

    @cached_property
    def eyes(self) -> Eyes:
        """What looks at pictures. Raises WeightsError where its weights are missing."""
        return self._make_eyes(self.sentences)

    @cached_property
    def router(self) -> Router:
        """What tells whether a question is about pictures."""
        return Router(self.sentences)

    @cached_property
    def sentences(self) -> SentenceEncoder:
        """What knows the meaning of a sentence. Raises WeightsError where its weights are missing."""
        return SentenceEncoder()

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """The channels that are used, in the order they are usually told."""
        return tuple(channel for channel in EVIDENCE if channel in self._weights)

    def channels_of(self, clip: VideoClip) -> set[Evidence]:
        """The channels that are used and that the clip has. Raises WeightsError where one of them lacks its weights."""
        channels = set(self._weights) if clip.has_audio else set(self._weights) - {"speech"}
        require(name for channel in channels for name in self._weights[channel])
        return channels

    def look(self, clip: VideoClip) -> Seen:
        """What the channels make of a clip: recalled, or made now and kept for whoever asks about it.

        Raises VideoError, WeightsError or BackendError.
        """
        return self._look(clip)[0]

    def find(self, clip: VideoClip, queries: Sequence[str]) -> list[Answer]:
        """An answer to each query; the video is decoded and encoded once for all of them."""
        return [self.answer(clip, query) for query in queries]

    def ground(self, clip: VideoClip, queries: Sequence[str]) -> list[list[Grounding]]:
        """The spans alone, best first."""
        return [list(answer.groundings) for answer in self.find(clip, queries)]

    def answer(self, clip: VideoClip, question: str, rethink: Rethink | None = None) -> Answer:
        """All likely occurrences, best first. Raises VideoError, WeightsError or BackendError.

        rethink: takes the groundings of the visual channel, none of them left out yet, and gives those to go on with.
        """
        started = time.perf_counter()
        seen, is_new = self._look(clip)
        scored = time.perf_counter()
        found: list[Grounding] = []
        curves: list[ScoreCurve] = []
        for candidates, curve in self._score(seen, question):
            found += rethink(candidates) if rethink and curve.evidence == "visual" else candidates
            curves.append(curve)
        groundings = tuple(fuse(found, self.least_score))
        done = time.perf_counter()
        timing = Timing(
            decode_s=seen.decode_s if is_new else 0.0,
            encode_s=seen.encode_s if is_new else 0.0,
            generate_s=done - scored,
            total_s=done - started,
        )
        return Answer(
            question,
            in_words(groundings),
            groundings,
            self.name,
            timing,
            self._notes(seen),
            tuple(curves),
            prompt=question,
            frame_seconds=() if seen.visual is None else tuple(seen.visual.frame_times.tolist()),
        )

    def _notes(self, seen: Seen) -> tuple[str, ...]:
        trouble = self.cache.trouble if self.cache else ""
        return (*seen.notes, trouble) if trouble else seen.notes

    def _score(self, seen: Seen, question: str) -> Iterator[tuple[list[Grounding], ScoreCurve]]:
        if seen.visual is not None:
            looks, curve = score_visual(seen.visual, question, self.eyes.scorer, self.router)
            yield [Grounding(c.span, c.probability, "visual", c.phrase) for c in looks], curve
        for candidates, curve in self._score_words(seen, question):
            yield [Grounding(c.span, c.probability, c.evidence, c.phrase) for c in candidates], curve

    def _score_words(self, seen: Seen, question: str) -> Iterator[tuple[list[WordCandidate], ScoreCurve]]:
        if seen.transcript is not None and seen.transcript.words:
            heard, curve = score_speech(seen.transcript, question, self.sentences)
            asked = UNASKED + (1 - UNASKED) * addresses(question)["speech"]
            scaled = replace(curve, scores=(curve.scores * asked).astype(np.float32))
            yield [replace(c, probability=c.probability * asked) for c in heard], scaled
        if seen.screen_text is not None and seen.screen_text.tracks:
            yield score_screen_text(seen.screen_text, question, self.sentences)

    # --- looking, listening and reading ---

    def _look(self, clip: VideoClip) -> tuple[Seen, bool]:
        if self._last is not None and self._last[0] == clip:
            return self._last[1], False
        seen = self._examine(clip)
        self._last = (clip, seen)
        return seen, True

    def _examine(self, clip: VideoClip) -> Seen:
        content = self.cache.content_of(clip.path) if self.cache else ""
        notes: list[str] = []
        wanted = self.channels_of(clip)
        visual = self._recall(clip, content, "visual", VisualIndex.from_arrays) if "visual" in wanted else None
        text = self._recall(clip, content, "screen-text", ScreenText.from_arrays) if "screen-text" in wanted else None
        transcript = self._recall(clip, content, "speech", Transcript.from_arrays) if "speech" in wanted else None
        looks = "visual" in wanted and visual is None
        reads = "screen-text" in wanted and text is None
        hears = "speech" in wanted and transcript is None

        whisper = located("whisper-tiny.en") if hears else None
        indexer = VisualIndexer(clip, self.eyes.encoder) if looks else None
        hearing = Background(lambda: self._hear(clip, whisper)) if whisper else None
        watched = Pass(clip, self._report)
        reading = Background(lambda: read_screen_text(watched.frames_for_reader())) if reads else None
        started = time.perf_counter()
        try:
            if looks or reads:
                for step in watched.run(to_reader=reads):
                    if indexer:
                        indexer.add(step)
                visual = indexer.finish() if indexer else visual
        finally:
            watched.stop()
        if reading:
            text = reading.result()
        if hearing:
            try:
                transcript = hearing.result()
            except WeightsError:
                raise
            except TvuError as error:  # the pictures may still answer
                notes.append(f"speech was not heard: {error.message}")
        took = time.perf_counter() - started
        if looks and visual is not None:
            self._keep(clip, content, "visual", visual)
        if reads and text is not None:
            self._keep(clip, content, "screen-text", text)
        if hears and transcript is not None:
            self._keep(clip, content, "speech", transcript)
        return Seen(visual, transcript, text, watched.decode_s, max(0.0, took - watched.decode_s), tuple(notes))

    def _hear(self, clip: VideoClip, whisper: Any) -> Transcript:
        parts = []
        for reached, part in heard_in(sound_windows(clip), lambda sound: transcribe(sound, whisper)):
            parts.append(part)
            self._report("listening", min(1.0, (reached - clip.span.start_seconds) / clip.span.seconds))
        return Transcript.joined(parts)

    # --- the cache ---

    def _key(self, clip: VideoClip, content: str, channel: Evidence) -> str:
        return key_of(clip, content, self.eyes.encoder.name if channel == "visual" else channel)

    def _recall(
        self, clip: VideoClip, content: str, channel: Evidence, build: Callable[[dict[str, NDArray[Any]]], T]
    ) -> T | None:
        if self.cache is None:
            return None
        entry = self.cache.load(self._key(clip, content, channel))
        if entry is None:
            return None
        try:
            return build(dict(entry.arrays))
        except (KeyError, ValueError):  # an entry that another version wrote
            return None

    def _keep(self, clip: VideoClip, content: str, channel: Evidence, kept: Any) -> None:
        if self.cache is not None:
            self.cache.store(self._key(clip, content, channel), CacheEntry(kept.to_arrays(), {}))


def key_of(clip: VideoClip, content: str, maker: str) -> str:
    """The key in the cache of what a maker (an encoder of frames, or a channel of words) made of a clip.

    content: the hash of the file, as `FeatureCache.content_of` gives it.
    """
    span = f"{clip.span.start_seconds:.3f}-{clip.span.end_seconds:.3f}"
    return f"{content} {span} {clip.decoder} {SAMPLING} {maker} {LAYOUT}"


class Pass:
    """One decoding pass for two: the eyes, which drive it, and the reader of text, which follows in its own thread."""

    def __init__(self, clip: VideoClip, report: Report) -> None:
        self._clip = clip
        self._report = report
        self._frames: queue.Queue[FrameBatch] = queue.Queue(HELD_BATCHES)
        self._is_over = threading.Event()
        self._reader_left = threading.Event()
        self.decode_s = 0.0  # spent waiting for the decoder

    def run(self, to_reader: bool) -> Iterator[Watch]:
        """Every step of the pass, for the eyes; each is handed to the reader first."""
        steps = watch(self._clip, SAMPLING)
        while True:
            asked = time.perf_counter()
            step = next(steps, None)
            self.decode_s += time.perf_counter() - asked
            if step is None:
                break
            if to_reader:
                self._hand_over(step.frames)
            if len(step.thumbnail_seconds):
                done = (step.thumbnail_seconds[-1] - self._clip.span.start_seconds) / self._clip.span.seconds
                self._report("watching", float(min(1.0, max(0.0, done))))
            yield step

    def frames_for_reader(self) -> Iterator[FrameBatch]:
        """The frames in order, until the pass ends or is stopped."""
        try:
            while True:
                try:
                    yield self._frames.get(timeout=0.1)
                except queue.Empty:
                    if self._is_over.is_set():
                        return
        finally:
            self._reader_left.set()

    def _hand_over(self, batch: FrameBatch) -> None:
        while batch.pixels.shape[1] and not self._reader_left.is_set():
            with contextlib.suppress(queue.Full):
                self._frames.put(batch, timeout=0.1)
                break

    def stop(self) -> None:
        """Nothing more will come; what is already handed over is still read."""
        self._is_over.set()
