"""What is said, for `tvu align`: hours of sound as words, and the user's own text aligned to them.

Each line is aligned to the words that were heard (`forced`), over both hearings of a `Transcript`, which mishear
differently; a line that was said in other words is looked for by its meaning. Every place that comes of it is given the
probability that the line is said there, by a logistic regression that `calibrate_speech` fits and measures on
narrations with known times.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import chain
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tvu.temporal.types import Span
from tvu.video_llm.cache import CacheEntry, FeatureCache
from tvu.video_llm.errors import BackendError
from tvu.video_llm.logistic import Logistic
from tvu.video_llm.media.sound import sound_windows
from tvu.video_llm.narration.forced import Heard, Place, in_reading_order, place_within, places_of
from tvu.video_llm.narration.numerals import Token, joined, tokens_of
from tvu.video_llm.narration.sounds_alike import SoundsHeard, phonetic_key, sounds_coded, sounds_within, stretches_of
from tvu.video_llm.narration.spoken_cues import script_of
from tvu.video_llm.narration.types import Candidate, Candidates, Script
from tvu.video_llm.pipeline import Report, be_silent
from tvu.video_llm.scout.match import Sentences, WordIndex
from tvu.video_llm.scout.model import key_of
from tvu.video_llm.scout.speech import Transcript, Word, heard_in, index_speech, language_of, languages_of, transcribe
from tvu.video_llm.types import VideoClip
from tvu.weights.load import located

__all__ = ["HearingConfig", "recogniser_of", "script_of", "speech_candidates", "transcribe_clip"]

RECOGNISER = "whisper-tiny.en"
NEEDED = ("model.bin", "config.json", "tokenizer.json")  # of a folder that faster-whisper loads without a network

# --- hearing --------------------


@dataclass(frozen=True)
class HearingConfig:
    """Who listens, and for which language.

    language: ISO 639-1; None for the one that is spoken first, as far as the recogniser knows languages.
    model: a folder with a faster-whisper model; None for Whisper tiny.en, which knows English only.
    """

    language: str | None = None
    model: Path | None = None

    def __post_init__(self) -> None:
        if self.language is not None and not re.fullmatch(r"[a-z]{2,3}", self.language):
            raise ValueError(f"a language is given by its ISO 639-1 code, not {self.language!r}")


def transcribe_clip(
    clip: VideoClip,
    config: HearingConfig | None = None,
    *,
    cache: FeatureCache | None = None,
    report: Report = be_silent,
) -> Transcript:
    """All words of a clip, in memory that does not grow with its length; no words where it has no sound.

    What was heard is kept in `cache` by what is in the file, and what `tvu index` or `tvu ask` heard with the same
    recogniser is taken from there. report: told "listening" and the share that was heard.
    Raises VideoError, WeightsError, and BackendError where the recogniser cannot be run or does not know the language.
    """
    config = config or HearingConfig()
    if not clip.has_audio:
        return Transcript((), language=config.language or "en")
    folder = recogniser_of(config)
    key = ""
    if cache is not None:
        key = key_of(clip, cache.content_of(clip.path), _maker(config, cache))
        entry = cache.load(key)
        if entry is not None:
            try:
                return Transcript.from_arrays(dict(entry.arrays))
            except (KeyError, ValueError):  # an entry that another version wrote
                pass
    language = config.language or ("en" if config.model is None else _spoken_in(clip, config.model))
    parts = []
    for reached, part in heard_in(sound_windows(clip), lambda sound: transcribe(sound, folder, language)):
        parts.append(part)
        report("listening", min(1.0, (reached - clip.span.start_seconds) / clip.span.seconds))
    transcript = Transcript.joined(parts)
    if cache is not None:
        cache.store(key, CacheEntry(transcript.to_arrays(), {}))
    return transcript


def recogniser_of(config: HearingConfig) -> Path:
    """The folder of who listens. Raises WeightsError where it is not there yet, BackendError where it is none, or does
    not know the language."""
    if config.model is None:
        if config.language not in (None, "en"):
            raise BackendError(
                f"Whisper tiny.en knows English only, not {config.language!r}",
                hint="give the folder of a multilingual faster-whisper model",
            )
        return located(RECOGNISER)
    missing = [name for name in NEEDED if not (config.model / name).is_file()]
    if missing:
        raise BackendError(
            f"{config.model} holds no faster-whisper model: {', '.join(missing)} missing",
            hint="a folder with model.bin, config.json and tokenizer.json, as ct2-transformers-converter writes it",
        )
    if config.language is not None and config.language not in languages_of(config.model):
        raise BackendError(
            f"the recogniser in {config.model} does not know the language {config.language!r}",
            hint="is it a multilingual model?",
        )
    return config.model


def _maker(config: HearingConfig, cache: FeatureCache) -> str:
    """What the key of the cache calls the recogniser: for Whisper tiny.en as `Scout` does."""
    if config.model is None:
        return "speech"
    return f"speech {cache.content_of(config.model / NEEDED[0])} {config.language}"


def _spoken_in(clip: VideoClip, folder: Path) -> str:
    languages = languages_of(folder)
    if len(languages) == 1:
        return languages[0]
    first = next(sound_windows(clip), None)
    return "en" if first is None else language_of(first, folder)


# --- aligning --------------------

BREATH_SECONDS = 0.4  # unmatched words at an edge belong to a line while no longer silence parts them from it
FASTEST, SLOWEST = 25.0, 8.0  # letters a second, to judge how long words take that were not recognised
SHARED = 0.5  # of the shorter of two places in different hearings that are one
MOST = 8  # candidates of a line
UNITS_BY_MEANING = 3  # sentences that may be a line in other words
LEAST_MEANING = 0.35  # cosine below which a sentence is not considered
LEAST_SCORE = 0.01
CLEARLY_COVERED = 0.7  # lines whose words were heard less than this are looked for by their sounds too
LEAST_SOUNDS = 0.6  # share of a line's sounds in a stretch that may be it
STRETCHES = 2
SHORTEST = 8  # sounds of a line that is looked for so

FEATURES = (
    "covered",
    "well_covered",
    "sounds",
    "weight",
    "extra",
    "behind",
    "agreed",
    "certainty",
    "in_order",
    "brief",
    "by_sound",
    "by_meaning",
    "meaning",
    "meaning_behind",
)
OF_MEANING = frozenset({"by_meaning", "meaning", "meaning_behind"})

_NOT_SAID = re.compile(r"\[[^\]]*\]|♪|♫|^\s*[A-Z][A-Z .'\d]{1,24}:(?=\s)|^\s*[-–—>]+\s", re.MULTILINE)
_ENDS = re.compile(r"[.?!…][\"'”’)]*$")


def speech_candidates(script: Script, transcript: Transcript, sentences: Sentences | None = None) -> Candidates:
    """Where each line may be said, with the probability that it is said there; best first.

    sentences: finds lines by their meaning that are said in other words; None goes by the words alone.
    A line that is said twice has two candidates; one whose words were not heard has none, or unlikely ones.
    """
    found = find_lines([line.text for line in script.lines], transcript, sentences)
    calibration = calibration_of(has_meaning=sentences is not None)
    return tuple(_candidates(places, calibration) for places in found)


def _candidates(places: "Sequence[Found]", calibration: "SpeechCalibration") -> tuple[Candidate, ...]:
    if not places:
        return ()
    scores = calibration.probability(np.array([place.features for place in places]))
    order = np.argsort(-scores, kind="stable")[:MOST]
    return tuple(Candidate(places[i].span, float(scores[i]), "speech") for i in order if scores[i] >= LEAST_SCORE)


@dataclass(frozen=True)
class Found:
    """A place where a line may be said: when, and its features, as FEATURES names them."""

    span: Span
    features: tuple[float, ...]


@dataclass(frozen=True)
class _Hearing:
    """The words of one hearing beside the lines of a text.

    lines, tokens: of the text and of what was heard; starts, ends: float64 `[N]` of each heard token, seconds.
    sounds: those of all heard tokens; sound_ends: int64 `[N]`, how many of them are before the end of each token.
    """

    words: tuple[Word, ...]
    lines: tuple[tuple[Token, ...], ...]
    tokens: tuple[Token, ...]
    starts: NDArray[np.float64]
    ends: NDArray[np.float64]
    texts: Heard
    sounds: SoundsHeard
    sound_ends: NDArray[np.int64]

    @classmethod
    def of(cls, texts: Sequence[str], words: Sequence[Word], language: str) -> "_Hearing":
        lines = [tokens_of(_NOT_SAID.sub(" ", text).split(), language) for text in texts]
        heard = tokens_of([w.text for w in words], language)
        compounds = {t.text for t in chain(heard, *lines) if len(t.text) >= 4 and not t.text[0].isdigit()}
        lines = [joined(line, compounds) for line in lines]
        heard = joined(heard, compounds)
        starts = np.array([words[t.first].start_seconds for t in heard], np.float64)
        ends = np.array([words[t.last].end_seconds for t in heard], np.float64)
        pauses = np.concatenate([[0.0], starts[1:] - ends[:-1]])[: len(heard)]
        compared = Heard.of([[t.text for t in line] for line in lines], [t.text for t in heard], pauses.tolist())
        keys = [phonetic_key(t.text) for t in heard]
        return cls(
            tuple(words),
            tuple(map(tuple, lines)),
            tuple(heard),
            starts,
            ends,
            compared,
            SoundsHeard(sounds_coded("".join(keys))),
            np.cumsum([len(key) for key in keys], dtype=np.int64),
        )

    def sounds_of(self, line: int) -> NDArray[np.int64]:
        """int64 `[S]`: the sounds of a line."""
        return sounds_coded("".join(phonetic_key(t.text) for t in self.lines[line]))

    def sounds_at(self, first: int, end: int) -> NDArray[np.int64]:
        """int64 `[S]`: the sounds of heard tokens from `first` to before `end`."""
        if first >= end:
            return self.sounds.codes[:0]
        return self.sounds.codes[self.sound_ends[first - 1] if first else 0 : self.sound_ends[end - 1]]

    def tokens_at(self, first: int, end: int) -> tuple[int, int]:
        """The first token, and the one behind the last, of which most is among the sounds from `first` to before
        `end`; at least one token."""
        starts = np.concatenate([[0], self.sound_ends[:-1]])
        middles = (starts + self.sound_ends) / 2
        begin, stop = np.searchsorted(middles, [first, end]).tolist()
        begin = min(begin, len(middles) - 1)
        return begin, max(stop, begin + 1)


@dataclass(frozen=True)
class _Draft:
    """A place in one hearing; lead, trail: tokens of the line that are not matched at its ends."""

    place: Place
    hearing: _Hearing
    span: Span
    lead: int
    trail: int
    found_by: Literal["words", "sound", "meaning"] = "words"


def find_lines(
    texts: Sequence[str], transcript: Transcript, sentences: Sentences | None = None
) -> tuple[tuple[Found, ...], ...]:
    """Every place where each text may be said, with what speaks for it: without probabilities."""
    heard = [words for words in (transcript.words, transcript.again) if words]
    if not heard:
        return tuple(() for _ in texts)
    hearings = [_Hearing.of(texts, words, transcript.language) for words in heard]
    order = _Order.of(hearings[0])
    meaning = _Meaning.of(texts, transcript, sentences) if sentences is not None else None
    return tuple(_places(line, hearings, order, meaning) for line in range(len(texts)))


@dataclass(frozen=True)
class _Order:
    """Where the lines are if they are said in the order of the text.

    worth: of each line, `[(middle of a matched word in seconds, share of the line's weight)]`; share: of the whole text
    that was found so; it says how far the order of the text is that of the speech.
    """

    worth: dict[int, NDArray[np.float64]]
    share: float

    @classmethod
    def of(cls, hearing: _Hearing) -> "_Order":
        matched = in_reading_order(hearing.texts)
        whole = [hearing.texts.weight_of(n) for n in range(len(hearing.lines))]
        middles = (hearing.starts + hearing.ends) / 2
        worth = {
            line: np.array([(middles[j], value / max(whole[line], 1e-6)) for _, j, value in matches])
            for line, matches in matched.items()
        }
        total = sum(value for matches in matched.values() for _, _, value in matches)
        return cls(worth, total / max(sum(whole), 1e-6))

    def within(self, line: int, span: Span) -> float:
        rows = self.worth.get(line)
        if rows is None:
            return 0.0
        inside = (rows[:, 0] >= span.start_seconds) & (rows[:, 0] <= span.end_seconds)
        return self.share * float(rows[inside, 1].sum())


@dataclass(frozen=True)
class _Meaning:
    """How near each line (rows of `lines`, float32 `[L, 384]`) is in meaning to the sentences that were heard."""

    lines: NDArray[np.float32]
    index: WordIndex

    @classmethod
    def of(cls, texts: Sequence[str], transcript: Transcript, sentences: Sentences) -> "_Meaning":
        return cls(sentences.embed([text or " " for text in texts]), index_speech(transcript, sentences))

    def of_line(self, line: int) -> NDArray[np.float64]:
        """float64 `[U]` cosines with every sentence, at least 0."""
        return np.clip(self.index.vectors @ self.lines[line], 0.0, 1.0).astype(np.float64)

    def likely(self, cosines: NDArray[np.float64]) -> list[Span]:
        """The sentences nearest in meaning that do not share time."""
        spans: list[Span] = []
        for i in np.argsort(-cosines, kind="stable"):
            if len(spans) == UNITS_BY_MEANING or cosines[i] < LEAST_MEANING:
                break
            span = self.index.units[i].span
            if all(_overlap(span, other) < SHARED for other in spans):
                spans.append(span)
        return spans

    def at(self, span: Span, cosines: NDArray[np.float64]) -> tuple[float, float]:
        """The cosine of what is said in a span, and how much higher that of something elsewhere is."""
        starts, ends = self.index.edges.T
        shared = np.minimum(ends, span.end_seconds) - np.maximum(starts, span.start_seconds)
        overlap = np.clip(shared, 0, None) / np.maximum(
            np.maximum(ends, span.end_seconds) - np.minimum(starts, span.start_seconds), 1e-6
        )
        here = float((cosines * np.minimum(1.0, 2 * overlap)).max(initial=0.0))
        elsewhere = float(cosines[shared <= 0].max(initial=0.0))
        return here, max(0.0, elsewhere - here)


def _overlap(a: Span, b: Span) -> float:
    shared = min(a.end_seconds, b.end_seconds) - max(a.start_seconds, b.start_seconds)
    return max(0.0, shared) / max(min(a.seconds, b.seconds), 1e-6)


def _places(line: int, hearings: Sequence[_Hearing], order: _Order, meaning: _Meaning | None) -> tuple[Found, ...]:
    if not hearings[0].lines[line]:
        return ()
    groups: list[list[_Draft]] = []
    for hearing in hearings:
        for place in places_of(line, hearing.texts):
            _join(groups, _draft(line, place, hearing))
    if max((draft.place.covered for draft in chain(*groups)), default=0.0) < CLEARLY_COVERED:
        for hearing in hearings:
            for draft in _by_sound(line, hearing):
                if all(_overlap(draft.span, known.span) < SHARED for known in chain(*groups)):
                    groups.append([draft])
    cosines = np.zeros(0)
    if meaning is not None:
        cosines = meaning.of_line(line)
        for span in meaning.likely(cosines):
            if all(_overlap(span, draft.span) < SHARED for draft in chain(*groups)):
                groups.append([_by_meaning(line, span, hearings[0])])
    tops = [max(group, key=_likeness) for group in groups]
    best = max((top.place.covered for top in tops), default=0.0)
    found = []
    for top, group in zip(tops, groups, strict=True):
        span = top.span if top.found_by != "words" else _agreed_span(group)
        here, behind = (0.0, 0.0) if meaning is None else meaning.at(span, cosines)
        found.append(Found(span, _features(line, top, group, best, order.within(line, span), here, behind)))
    return tuple(found)


def _join(groups: list[list[_Draft]], draft: _Draft) -> None:
    for group in groups:
        if group[0].hearing is not draft.hearing and _overlap(group[0].span, draft.span) >= SHARED:
            group.append(draft)
            return
    groups.append([draft])


def _likeness(draft: _Draft) -> float:
    return draft.place.covered


def _features(
    line: int, top: _Draft, group: Sequence[_Draft], best: float, in_order: float, meaning: float, behind: float
) -> tuple[float, ...]:
    """covered: share of the line's weight that was heard; well_covered: of it what is above 0.6. sounds: share of the
    line's sounds in what was heard there. weight: logarithm of the heard weight. extra: heard words between that are
    not of the line, for each of its words. behind: how much better the best place of the line is covered. agreed: what
    the other hearing covers there. certainty: the recogniser's. in_order: what of the line is there in the order of
    the text. brief: 1 of one word, falling with more. by_sound, by_meaning: not found by its words. meaning: cosine
    with what was said there; meaning_behind: how much higher that of something said elsewhere is."""
    place, hearing = top.place, top.hearing
    tokens = hearing.lines[line]
    first, last = (place.first, place.last) if place.matches else (0, -1)
    within = np.searchsorted(hearing.starts, [top.span.start_seconds - 0.01, top.span.end_seconds - 0.01]).tolist()
    sounds = sounds_within(hearing.sounds_of(line), hearing.sounds_at(*within))
    words = hearing.words[hearing.tokens[first].first : hearing.tokens[last].last + 1] if place.matches else ()
    values = {
        "covered": place.covered,
        "well_covered": max(0.0, place.covered - 0.6),
        "sounds": sounds,
        "weight": float(np.log1p(place.covered * hearing.texts.weight_of(line))),
        "extra": min(2.0, (last + 1 - first - len(place.matches)) / len(tokens)),
        "behind": best - place.covered,
        "agreed": max((d.place.covered for d in group if d is not top), default=0.0),
        "certainty": float(np.mean([w.probability for w in words])) if words else 0.0,
        "in_order": in_order,
        "brief": 1 / len(tokens),
        "by_sound": float(top.found_by == "sound"),
        "by_meaning": float(top.found_by == "meaning"),
        "meaning": meaning,
        "meaning_behind": behind,
    }
    return tuple(values[name] for name in FEATURES)


# --- edges --------------------


def _draft(line: int, place: Place, hearing: _Hearing) -> _Draft:
    """A place with its times: from first to last matched word, and over those at its ends that were misheard."""
    tokens = hearing.lines[line]
    lead, trail = place.matches[0][0], len(tokens) - 1 - place.matches[-1][0]
    first, last = place.first, place.last
    start, end = float(hearing.starts[first]), float(hearing.ends[last])
    letters = sum(len(tokens[i].text) + 1 for i in range(lead, len(tokens) - trail))
    rate = min(FASTEST, max(SLOWEST, letters / max(end - start, 0.1)))
    if lead:
        missing = sum(len(t.text) + 1 for t in tokens[:lead]) / rate
        start = _reached(start, missing, hearing, range(first - 1, -1, -1))
    if trail:
        missing = sum(len(t.text) + 1 for t in tokens[len(tokens) - trail :]) / rate
        end = _reached(end, missing, hearing, range(last + 1, len(hearing.tokens)))
    return _Draft(place, hearing, Span(max(0.0, start), max(end, start + 0.1, 0.1)), lead, trail)


def _reached(edge: float, missing: float, hearing: _Hearing, onward: range) -> float:
    """The edge of a line moved over `missing` seconds of words that were not recognised.

    onward: heard tokens from the edge outwards. They are passed while they join on, and the edge comes to lie where
    one of them does; where none joins on it stays, since nobody was heard to speak there.
    """
    back = onward.step < 0
    at, best = edge, edge
    wanted = edge - missing if back else edge + missing
    for token in onward:
        near, far = (
            (hearing.ends[token], hearing.starts[token]) if back else (hearing.starts[token], hearing.ends[token])
        )
        ends = hearing.words[hearing.tokens[token].last if back else hearing.tokens[token].first - 1].text
        if abs(at - near) > BREATH_SECONDS or _ENDS.search(ends):
            break
        at = float(far)
        if abs(at - wanted) < abs(best - wanted):
            best = at
        if abs(at - edge) >= missing:
            break
    return best


def _by_meaning(line: int, span: Span, hearing: _Hearing) -> _Draft:
    """The place of a line that is meant by what is said in `span`, with what it has of its words."""
    first, end = np.searchsorted(hearing.starts, [span.start_seconds - 0.05, span.end_seconds - 0.05]).tolist()
    place = place_within(line, hearing.texts, first, end) or Place((), 0.0)
    return _Draft(place, hearing, span, 0, 0, found_by="meaning")


def _by_sound(line: int, hearing: _Hearing) -> list[_Draft]:
    """Places where something was heard that sounds like the line, in whichever words."""
    sounds = hearing.sounds_of(line)
    if len(sounds) < SHORTEST:
        return []
    drafts = []
    for stretch in stretches_of(sounds, hearing.sounds, least=LEAST_SOUNDS, most=STRETCHES):
        first, end = hearing.tokens_at(*stretch)
        start, last = float(hearing.starts[first]), float(hearing.ends[end - 1])
        place = place_within(line, hearing.texts, first, end) or Place((), 0.0)
        drafts.append(_Draft(place, hearing, Span(start, max(last, start + 0.1)), 0, 0, found_by="sound"))
    return drafts


def _agreed_span(drafts: Sequence[_Draft]) -> Span:
    """One span of what the hearings say: each end from whoever heard most of the words there, or the mean of both."""
    least_lead, least_trail = min(d.lead for d in drafts), min(d.trail for d in drafts)
    start = float(np.mean([d.span.start_seconds for d in drafts if d.lead == least_lead]))
    end = float(np.mean([d.span.end_seconds for d in drafts if d.trail == least_trail]))
    return Span(start, max(end, start + 0.1))


# --- probability --------------------


@dataclass(frozen=True)
class SpeechCalibration(Logistic):
    """A logistic regression from features to the probability that a line is said in a place; `weights` follow FEATURES.

    Written by `python -P -m tvu.video_llm.narration.calibrate_speech`.
    """

    names = FEATURES


@cache
def calibration_of(*, has_meaning: bool) -> SpeechCalibration:
    """The calibration that ships with the package, for alignment by words alone or by meaning too."""
    text = resources.files(__package__).joinpath("speech_calibration.json").read_text("utf-8")
    table = json.loads(text)["words and meaning" if has_meaning else "words"]
    return SpeechCalibration(table["intercept"], tuple(table["weights"].get(name, 0.0) for name in FEATURES))
