"""What is said and when: Whisper tiny.en over the voiced parts of the sound, its words cut into sentences, matched by
`match`."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tvu.temporal.types import Span
from tvu.video_llm.errors import BackendError
from tvu.video_llm.runtime import quiet_threads, usable_cores
from tvu.video_llm.scout.match import Sentences, Unit, WordCandidate, WordIndex, build_index, plain_words, score_words
from tvu.video_llm.types import ScoreCurve

if TYPE_CHECKING:
    from tvu.video_llm.media.sound import Sound

RATE = 16000
WINDOW_SECONDS = 120.0  # transcribed at once; bounds the spectrogram that is held
PAUSE_SECONDS = 0.6  # a silence between words that ends an utterance
LONG_SECONDS = 12.0  # an utterance above this is cut at its longest pause
SHORT_SECONDS = 3.5  # a sentence below this is not cut into clauses
BRIGHTENING = 0.8  # of each sample taken from the next for the second hearing
EDGE_SECONDS = 0.5  # a sentence that ends nearer to the end of a unit than this ends with it
SLACK_SECONDS = 0.3  # a word is stretched to the end of its voiced stretch over at most half of this
BREATH_SECONDS = 0.2  # a silence between words where a sentence may have ended unmarked
MIN_PART_WORDS = 3
LOOP_COMPRESSION = 2.4  # zlib shrinks the text of one sentence or several less than this, a loop of words more
UNHEARD_SECONDS = 0.05  # the recogniser gives words that it has no sound for less than this
NEIGHBOUR_SECONDS = 0.6  # sentences closer than this may be one answer together


@dataclass(frozen=True)
class Word:
    """One word as heard, punctuation attached; probability is the recogniser's own, in [0, 1]."""

    text: str
    start_seconds: float
    end_seconds: float
    probability: float


@dataclass(frozen=True)
class Transcript:
    """All words of a sound track in order of time; `language` is an ISO 639-1 code.

    again: the words of a second hearing, which often gets right what the first misheard.
    """

    words: tuple[Word, ...]
    again: tuple[Word, ...] = ()
    language: str = "en"

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """For the cache: `text` uint8 (UTF-8, words separated by newlines), `times` float64 `[W, 2]`, `probability`
        float32 `[W]`, of both hearings one after the other; `first` int64 `[1]`, how many words are of the first."""
        words = self.words + self.again
        return {
            "text": np.frombuffer("\n".join(w.text for w in words).encode(), np.uint8),
            "times": np.array([(w.start_seconds, w.end_seconds) for w in words], np.float64).reshape(-1, 2),
            "probability": np.array([w.probability for w in words], np.float32),
            "first": np.array([len(self.words)], np.int64),
            "language": np.frombuffer(self.language.encode(), np.uint8),
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> "Transcript":
        """The inverse of `to_arrays`."""
        texts = bytes(arrays["text"]).decode().split("\n") if len(arrays["times"]) else []
        rows = zip(texts, arrays["times"].tolist(), arrays["probability"].tolist(), strict=True)
        words = tuple(Word(text, start, end, p) for text, (start, end), p in rows)
        first = int(arrays["first"][0])
        return cls(words[:first], words[first:], bytes(arrays["language"]).decode())

    @classmethod
    def joined(cls, transcripts: Sequence["Transcript"]) -> "Transcript":
        """Transcripts of successive stretches of one sound track as one."""
        return cls(
            tuple(w for t in transcripts for w in t.words),
            tuple(w for t in transcripts for w in t.again),
            transcripts[0].language if transcripts else "en",
        )


@cache
def _whisper(model_dir: Path) -> Any:
    quiet_threads()
    import ctranslate2
    from faster_whisper import WhisperModel

    if ctranslate2.get_cuda_device_count() > 0:
        try:
            model = WhisperModel(str(model_dir), device="cuda", compute_type="float16")
            model.encode(np.zeros((80, 3000), np.float32))  # CUDA libraries are first looked for here
            return model
        except (RuntimeError, ValueError):  # a GPU without cuBLAS or cuDNN, or one that is full: the CPU does it too
            pass
    try:
        return WhisperModel(str(model_dir), device="cpu", compute_type="int8", cpu_threads=usable_cores())
    except (RuntimeError, ValueError, OSError) as error:
        raise BackendError(
            f"the speech model in {model_dir} cannot be loaded: {error}", hint="tvu models pull"
        ) from error


def _windows(samples: NDArray[np.float32]) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Stretches of at most WINDOW_SECONDS, each cut where the last quarter is quietest, with their first sample."""
    first, longest, tick = 0, round(WINDOW_SECONDS * RATE), RATE // 20
    while first < len(samples):
        last = min(first + longest, len(samples))
        if last < len(samples):
            tail = samples[last - longest // 4 : last]
            tail = tail[: len(tail) // tick * tick].reshape(-1, tick)
            loud = np.convolve(
                (tail**2).mean(axis=1), np.ones(8), "same"
            )  # the middle of a pause, not a gap within a word
            last = last - longest // 4 + int(loud.argmin()) * tick + tick // 2
        yield first, samples[first:last]
        first = last


def transcribe(sound: "Sound", model_dir: Path, language: str = "en") -> Transcript:
    """Words of `sound` with times on its clock; none where nobody speaks.

    language: ISO 639-1, one that the recogniser in `model_dir` was trained on.

    Only stretches that silero's detector finds voiced reach the recogniser, which would otherwise invent words for
    silence and music; what it still invents is dropped by its own doubts (no speech and unlikely words together) and
    where a loop of words outruns the sound. The same sound gives the same words.
    For hours of sound use `heard_in` and `Transcript.joined`: the spectrogram is bounded here, the samples are not.

    Raises BackendError if the model cannot be loaded or run; ValueError unless the sound is at 16 kHz.
    """
    if sound.rate != RATE:
        raise ValueError(f"speech is recognised at {RATE} Hz, not {sound.rate}")
    model = _whisper(model_dir)
    words: list[Word] = []
    again: list[Word] = []
    for first, samples in _windows(sound.samples):
        voiced = _voiced(samples)
        for heard, listened in ((words, samples), (again, _brightened(samples))):
            heard += (
                replace(
                    w,
                    start_seconds=sound.start_seconds + first / RATE + w.start_seconds,
                    end_seconds=sound.start_seconds + first / RATE + w.end_seconds,
                )
                for w in _snapped(_heard(model, listened, language), voiced)
            )
    return Transcript(tuple(words), tuple(again), language)


def heard_in(sounds: Iterable["Sound"], hear: Callable[["Sound"], Transcript]) -> Iterator[tuple[float, Transcript]]:
    """What `hear` makes of sounds that follow each other, and the file second that each part of it reaches.

    Parts of at most WINDOW_SECONDS, cut where it is quietest and not where one sound ends: what is behind the last
    cut is heard together with the next sound, so that no word is cut. Holds two of the sounds at most.
    """
    held: Sound | None = None
    for sound in sounds:
        held = sound if held is None else replace(held, samples=np.concatenate([held.samples, sound.samples]))
        while len(held.samples) > round(WINDOW_SECONDS * held.rate):
            _, samples = next(_windows(held.samples))
            yield held.start_seconds + len(samples) / held.rate, hear(replace(held, samples=samples))
            start = held.start_seconds + len(samples) / held.rate
            held = replace(held, samples=held.samples[len(samples) :], start_seconds=start)
    if held is not None:
        yield held.start_seconds + len(held.samples) / held.rate, hear(held)


def languages_of(model_dir: Path) -> tuple[str, ...]:
    """ISO 639-1 codes of the languages that a recogniser was trained on. Raises BackendError if it cannot be loaded."""
    model = _whisper(model_dir)
    return tuple(model.supported_languages) if model.model.is_multilingual else ("en",)


def language_of(sound: "Sound", model_dir: Path) -> str:
    """The language that is spoken first in `sound`, as a recogniser of several tells it.

    Raises BackendError if the model cannot be loaded or run.
    """
    try:
        language, _, _ = _whisper(model_dir).detect_language(
            sound.samples, vad_filter=True, language_detection_segments=4
        )
    except RuntimeError as error:
        raise BackendError(f"the language that is spoken was not recognised: {error}") from error
    return str(language)


def _heard(model: Any, samples: NDArray[np.float32], language: str) -> list[Word]:
    try:
        segments, _ = model.transcribe(
            samples,
            language=language,
            beam_size=5,
            temperature=0.0,  # never decoded again with dice because the first looks doubtful: five times the cost
            word_timestamps=True,
            condition_on_previous_text=False,
            vad_filter=True,
            vad_parameters={"min_silence_duration_ms": 500, "speech_pad_ms": 400},
        )
        return [
            Word(w.word.strip(), float(w.start), float(max(w.end, w.start)), float(w.probability))
            for segment in segments
            for w in _believed(segment)
            if w.word.strip()
        ]
    except RuntimeError as error:
        raise BackendError(f"speech recognition failed: {error}") from error


def _brightened(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """The sound with its high tones brought forward: the same words, misheard elsewhere."""
    return np.append(samples[:1], samples[1:] - BRIGHTENING * samples[:-1]).astype(np.float32)


def _voiced(samples: NDArray[np.float32]) -> list[tuple[float, float]]:
    """Seconds where somebody speaks, parted by silences of 0.16 s and more, to silero's 0.03 s."""
    from faster_whisper.vad import VadOptions, get_speech_timestamps

    options = VadOptions(min_silence_duration_ms=160, speech_pad_ms=30)
    return [(r["start"] / RATE, r["end"] / RATE) for r in get_speech_timestamps(samples, options)]


def _snapped(words: Sequence[Word], voiced: Sequence[tuple[float, float]]) -> list[Word]:
    """Words cut to the voiced stretch that holds most of them: the recogniser lets them begin and end in silence."""
    if not voiced:
        return list(words)
    edges = np.array(voiced)
    snapped: list[Word] = []
    for word in words:
        shared = np.minimum(edges[:, 1], word.end_seconds) - np.maximum(edges[:, 0], word.start_seconds)
        start, end = edges[int(shared.argmax())]
        if shared.max() > 0:
            reach = min(SLACK_SECONDS, word.end_seconds - word.start_seconds)
            first = start if 0 < word.start_seconds - start < reach / 2 else max(word.start_seconds, start)
            last = end if 0 < end - word.end_seconds < reach / 2 else min(word.end_seconds, end)
            word = replace(word, start_seconds=float(first), end_seconds=float(last))
        if snapped and word.start_seconds < snapped[-1].end_seconds:
            word = replace(word, start_seconds=min(snapped[-1].end_seconds, word.end_seconds))
        snapped.append(word)
    return snapped


def _believed(segment: Any) -> list[Any]:
    """The words of a segment of faster-whisper that were not invented: none, all, or all before a loop."""
    words = list(segment.words or ())
    if segment.avg_logprob < (-0.8 if segment.no_speech_prob > 0.6 else -1.5):
        return []
    if segment.compression_ratio > LOOP_COMPRESSION:
        # people do repeat themselves, and clips loop; an invented loop goes on where there is no sound left for it
        lasting = [i for i, w in enumerate(words) if w.end - w.start >= UNHEARD_SECONDS]
        return words[: lasting[-1] + 2] if len(lasting) > len(words) / 4 else []
    return words


# --- units --------------------

_ENDS = re.compile(r"[.?!…][\"'”’)]*$")
_ABBREVIATION = re.compile(r"^(?:mr|mrs|ms|dr|st|prof|jr|sr|vs|etc|no|[a-z]|(?:[a-z]\.)+[a-z]?)\.$", re.IGNORECASE)

_CONJUNCTIONS = {"and", "or", "but", "so", "because", "that", "which", "who", "when", "if", "then", "than", "while"}
_OPENERS = re.compile(
    r"The|An?|You|We|They|He|She|It|This|That|These|Those|There|My|Our|Your|His|Her|Their|If|When|Where|What|Who|Why|How"
    r"|Please|Do|Let|And|But|So|Now|Here|Always|Never|Could|Would|Can|Will|In|On|At"
)


def sentences_of(words: Sequence[Word]) -> list[tuple[Word, ...]]:
    """Words cut into sentences: at a pause, at the end of a sentence, and at the longest pause of what is still too
    long."""
    pieces: list[tuple[Word, ...]] = []
    begin = 0
    for i, word in enumerate(words):
        last = i + 1 == len(words)
        stops = bool(_ENDS.search(word.text)) and not _ABBREVIATION.match(word.text)
        # one word that ends a sentence after a pause is a late time stamp, not an utterance
        leads_on = not stops and not last and bool(_ENDS.search(words[i + 1].text)) and not word.text.endswith(",")
        pause = 0.0 if last else words[i + 1].start_seconds - word.end_seconds
        if last or stops or pause >= PAUSE_SECONDS * (3 if leads_on else 1):
            pieces += _shortened(tuple(words[begin : i + 1]))
            begin = i + 1
    return pieces


def _shortened(words: tuple[Word, ...]) -> list[tuple[Word, ...]]:
    if len(words) < 4 or words[-1].end_seconds - words[0].start_seconds <= LONG_SECONDS:
        return [words]
    inner = range(1, len(words))  # a comma is worth a third of a second of silence
    pauses = [
        words[i].start_seconds - words[i - 1].end_seconds + 0.3 * words[i - 1].text.endswith((",", ";", ":"))
        for i in inner
    ]
    middle = [-abs(2 * i / len(words) - 1) * 0.2 for i in inner]  # all else equal, cut near the middle
    cut = 1 + int(np.argmax(np.add(pauses, middle)))
    return _shortened(words[:cut]) + _shortened(words[cut:])


def clauses_of(words: Sequence[Word]) -> list[tuple[Word, ...]]:
    """A sentence cut where hurried speech may hide the end of another: at commas that no conjunction follows, at odd
    capitals."""
    pieces, begin = [], 0
    for i in range(1, len(words)):
        comma = words[i - 1].text.endswith((",", ";", ":", "-", "—")) and words[i].text.lower() not in _CONJUNCTIONS
        capital = _OPENERS.fullmatch(words[i].text) is not None and not _ENDS.search(words[i - 1].text)
        breath = words[i].start_seconds - words[i - 1].end_seconds >= BREATH_SECONDS
        if comma or capital or breath:
            pieces.append(tuple(words[begin:i]))
            begin = i
    return [*pieces, tuple(words[begin:])]


def units_of(transcript: Transcript) -> list[Unit]:
    """What may answer a question: every sentence, every run of clauses within a long one, and every two sentences
    that are close; of both hearings, but once where they agree."""
    hearings = [sentences_of(words) for words in (transcript.words, transcript.again) if words]
    ends = [np.array([piece[-1].end_seconds for piece in pieces]) for pieces in hearings]
    units: dict[tuple[str, int, int], Unit] = {}
    for pieces in hearings:
        for unit in _units_heard(pieces):
            start, end = unit.span.start_seconds, unit.span.end_seconds
            inside = [np.sum((e > start + EDGE_SECONDS) & (e < end - EDGE_SECONDS)) for e in ends]
            key = " ".join(plain_words(unit.text)), round(start * 2), round(end * 2)
            units.setdefault(key, replace(unit, ends_inside=float(np.minimum(inside, 2).mean())))
    return list(units.values())


def _units_heard(pieces: Sequence[tuple[Word, ...]]) -> list[Unit]:
    units = [_unit(piece) for piece in pieces]
    for a, b in pairwise(pieces):
        if b[0].start_seconds - a[-1].end_seconds < NEIGHBOUR_SECONDS:
            units.append(_unit(a + b, is_joined=True))
    for piece in pieces:
        clauses = clauses_of(piece)
        if piece[-1].end_seconds - piece[0].start_seconds < SHORT_SECONDS:
            continue
        for i in range(len(clauses)):
            for j in range(i + 1, min(i + 4, len(clauses) + 1)):
                part = sum(clauses[i:j], ())
                if j - i < len(clauses) and len(part) >= MIN_PART_WORDS:
                    units.append(_unit(part, is_part=True))
    return units


def _unit(words: tuple[Word, ...], *, is_joined: bool = False, is_part: bool = False) -> Unit:
    start, end = words[0].start_seconds, words[-1].end_seconds
    certainty = float(np.mean([w.probability for w in words]))
    return Unit(" ".join(w.text for w in words), Span(start, max(end, start + 0.1)), is_joined, is_part, certainty)


@lru_cache(maxsize=8)
def index_speech(transcript: Transcript, sentences: Sentences) -> WordIndex:
    """The sentences of a transcript with their meanings; kept for the next question about the same transcript."""
    return build_index("speech", units_of(transcript), sentences)


def score_speech(transcript: Transcript, query: str, sentences: Sentences) -> tuple[list[WordCandidate], ScoreCurve]:
    """What was said that answers `query`, most probable first, and the curve of that probability over time."""
    return score_words(index_speech(transcript, sentences), query, sentences)
