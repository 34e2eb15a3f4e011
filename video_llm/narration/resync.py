"""Subtitles that are out of step, put back in step: which piece of them was moved by how much, which lines were cut.

The map from the clock of the subtitles to that of the video is `video = rate * subtitles + offset`, one rate for all
and one offset for each piece. Pieces part where a scene was cut from the video (the offset falls, and the lines of the
scene are shown nowhere) and where an advertisement was put in (it rises).

**What a line says of an offset.** Score `s[i, k]` of line i at offset k is a log likelihood ratio, in nats: speech
where the line claims speech and silence beside it, against speech as often as anywhere in this video; with a
transcript, also its own words heard there. It is clipped, so that no line that was badly heard, or never said,
outweighs others.

**The programme.** Over lines in order of time and offsets on a grid of 0.1 s, with a cost c for each break and u for
each line that is not shown:

    V[i, k] = s[i, k] + max(V[i-1, k], B[i, k])
    B[i, k] = max over j < i and k' of V[j, k'] - c - u (i - 1 - j)   where start(i, k) >= end(j, k')

so lines stay in order and no two pieces overlap. `B` is a running maximum over positions in the video: with the cost of
lines that were passed over kept as one sum, each step touches the offsets of one line only. The maximum is exact on the
grid, in O(lines * offsets) time; which choice was made is kept in three bits a cell (10,000 lines and half an hour to
either side: 135 MB). Approximate are the grid, which a fit of each piece to the beginnings of speech refines
afterwards, and the choice of the rate: film rates are tried as they are, and others where a second programme, whose
offset may creep by one step a line, comes to a slope.
"""

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tvu.temporal.types import Span
from tvu.video_llm.logistic import sigmoid
from tvu.video_llm.narration.activity import FRAME_SECONDS, Activity
from tvu.video_llm.narration.types import AlignedLine, Line, Script
from tvu.video_llm.scout.match import plain_words
from tvu.video_llm.scout.speech import Transcript

STEP_SECONDS = 0.1  # of the grid of offsets
FRAMES_A_STEP = round(STEP_SECONDS / FRAME_SECONDS)
FILM_RATES = (1.0, 25 / 23.976, 23.976 / 25, 25 / 24, 24 / 25, 24 / 23.976, 23.976 / 24)
MAX_CELLS = 400_000_000  # lines times offsets, above which fewer offsets are looked at
LINES_FOR_RATE = 600  # the rate is found on so many lines
LINES_FOR_SLOPE = 300  # and where it may be any, first looked for on so many

# What speech and silence are worth, in nats a second: neighbouring frames are no news, so a second counts as three.
NEWS_A_SECOND = 3.0
SPEECH_IN_LINES = 0.92  # of the time that a line is spoken for, its speech is heard
SPEECH_BESIDE = 0.2  # and beside lines nevertheless some
BEFORE_SECONDS, AFTER_SECONDS = 1.0, 0.6  # how much silence counts beside a line
LEAST_SCORE, MOST_SCORE = -4.0, 6.0  # of one line, by speech
HOUR_SECONDS = 3600.0
CHARACTERS_A_SECOND = 15.0  # spoken; what a line stays longer is for reading, and says nothing
LEAST_SPEECH_SECONDS = 0.4

WORD_SCORE = 3.0  # for two words in a row that are heard in one place only
MOST_WORD_SCORE = 10.0  # of one line, by words
PLACES = 8  # words that are heard more often than that say nothing
RARE_LETTERS = 5  # a word alone counts from so many letters on

FILM_RATE_COST, FREE_RATE_COST = 3.0, 8.0  # nats that another rate than 1 must be worth
FREE_RATES = tuple(np.round(np.arange(0.91, 1.0901, 0.015), 4).tolist())
CREEP_COST = 0.4  # nats for a step of the offset within a piece, where the rate is sought
AS_IT_IS = 3.0  # nats in favour of the times that the file has

ONSET_REACH_SECONDS = 0.4
ONSET_SPREAD_SECONDS = 0.1
LEAD_SECONDS = 0.09  # a line is up before its words are heard, by about that; silero hears them a little late
CLEAR_SLOPE = 4.0  # standard errors that a slope must differ from none by, to change the rate

NEIGHBOURS = 6  # lines to each side that a line's confidence looks at
OWN_STEPS = 5  # of the grid that are the same place
EVEN_MARGIN, MARGIN_SCALE = 11.0, 2.5  # nats; of 1469 lines of wrong films 97 % have less, of right ones 1 %
TRUSTED_MARGIN = 7.0  # nats less are enough for a line where the whole is sure
ENOUGH_SHOWN = 0.5  # of the lines: fewer lower the confidence in the whole


@dataclass(frozen=True)
class ResyncConfig:
    """How subtitles are put back in step.

    max_offset_seconds: farther than that no piece is moved; rates: those tried besides free ones; free_rate: whether
        any rate from 0.9 to 1.1 may be found; break_cost, cut_cost: nats for a break, and for a line not shown;
    min_confidence: below it the outcome is not to be trusted (`Resync.is_reliable`).
    """

    max_offset_seconds: float = 1800.0
    rates: tuple[float, ...] = FILM_RATES
    free_rate: bool = True
    break_cost: float = 13.0
    cut_cost: float = 0.5
    min_confidence: float = 0.5

    def __post_init__(self) -> None:
        if not self.max_offset_seconds >= STEP_SECONDS:
            raise ValueError(f"pieces may move by {self.max_offset_seconds} s?")
        if not self.rates or not all(0.1 < rate < 10 for rate in self.rates):
            raise ValueError(f"rates are near 1, not {self.rates}")
        if self.break_cost < 0 or self.cut_cost < 0:
            raise ValueError("costs are not negative")
        if not 0 <= self.min_confidence <= 1:
            raise ValueError(f"a confidence is a probability, not {self.min_confidence}")


@dataclass(frozen=True)
class Piece:
    """A stretch of subtitles that belongs together: `video = rate * subtitles + offset_seconds`.

    start_seconds, end_seconds: from its first line to the end of its last, on the clock of the subtitles.
    """

    start_seconds: float
    end_seconds: float
    rate: float
    offset_seconds: float

    def at(self, seconds: float) -> float:
        """That time of the subtitles, on the clock of the video."""
        return self.rate * seconds + self.offset_seconds


@dataclass(frozen=True)
class Resync:
    """How a script belongs to a video.

    pieces: in order of time. piece_of: for each line of the script its piece; None where it is not shown, or has no
        time. line_confidence: for each line the probability that its place is right within 0.4 s (of a line not shown:
        that it is shown at all). confidence: the mean over lines that are shown, less where they are fewer than half;
        is_reliable: whether it is high enough to move anything at all.
    """

    pieces: tuple[Piece, ...]
    piece_of: tuple[int | None, ...]
    line_confidence: tuple[float, ...]
    confidence: float
    is_reliable: bool

    @property
    def num_breaks(self) -> int:
        """How often the offset changes."""
        return max(0, len(self.pieces) - 1)


def resynchronise(
    script: Script, activity: Activity, words: Transcript | None = None, config: ResyncConfig | None = None
) -> Resync:
    """Find which piece of `script` belongs where in the video with that speech; `words` make it far surer.

    Lines without a time, or with one that no offset brings into the video, have no piece. Where nothing can be told (no
    line with a time, no speech), there is one piece that moves nothing, and confidence 0. Times that count from a full
    hour behind the video's end, as a tape's time code does, are taken to start there.
    """
    config = config or ResyncConfig()
    every = _cues_of(script)
    tape = _tape_start(every, activity, config)
    cues = _in_reach([_moved(cue, -tape) for cue in every], activity, config)
    if not cues or not activity.seconds or not activity.share:
        return _unmoved(script, every)
    hearing = _Hearing(activity, words)
    rate = _find_rate(cues[:LINES_FOR_RATE], hearing, config)
    track = _Track(cues, hearing, rate, config)
    path = track.decode()
    pieces = [
        replace(
            piece,
            start_seconds=piece.start_seconds + tape,
            end_seconds=piece.end_seconds + tape,
            offset_seconds=piece.offset_seconds - piece.rate * tape,
        )
        for piece in _pieces(cues, path, track)
    ]
    return _outcome(script, cues, path, pieces, _confidence(path, track), config.min_confidence)


def retime(script: Script, resync: Resync) -> tuple[AlignedLine, ...]:
    """Every line of the script where the map puts it; without span where it is not shown, or has no time.

    A line that ends before the video begins is not shown either. What begins before it is cut to begin with it.
    """
    lines = []
    for index, line in enumerate(script.lines):
        place, confidence = resync.piece_of[index], resync.line_confidence[index]
        span = None
        if place is not None:
            piece = resync.pieces[place]
            start, end = _times_of(line)
            first, last = piece.at(start), piece.at(end)
            span = Span(max(0.0, first), last) if last > max(0.0, first) else None
        evidence = ("speech",) if span is not None else ()
        lines.append(AlignedLine(index, span, confidence, evidence))  # type: ignore[arg-type]
    return tuple(lines)


# --- lines ---

_TOLD = re.compile(r"\[[^\]]*\]|\([^)]*\)|\{[^}]*\}|[♪♫#*]+|^\s*(?:-\s*)?[A-Z][A-Z .'0-9-]{1,24}:", re.MULTILINE)


@dataclass(frozen=True)
class _Cue:
    """A line with a time. speech_seconds: how long its words take, 0 where it tells of sounds or has no text."""

    index: int
    start: float
    end: float
    speech_seconds: float
    words: tuple[str, ...]


def _times_of(line: Line) -> tuple[float, float]:
    """Start and end, the end by the length of the text where the file's cannot be. Raises ValueError without start."""
    if line.start_seconds is None:
        raise ValueError("the line has no time")
    end = line.end_seconds
    if end is None or end <= line.start_seconds:
        end = line.start_seconds + max(1.0, len(line.text) / CHARACTERS_A_SECOND)
    return line.start_seconds, end


def _cues_of(script: Script) -> list[_Cue]:
    """The lines that have a time, in order of it."""
    cues = []
    for index, line in enumerate(script.lines):
        if line.start_seconds is None:
            continue
        start, end = _times_of(line)
        text = _TOLD.sub(" ", line.text).strip()
        spoken = 0.0
        if any(c.isalnum() for c in text):
            spoken = min(end - start, max(LEAST_SPEECH_SECONDS, len(text) / CHARACTERS_A_SECOND))
        cues.append(_Cue(index, start, end, spoken, tuple(plain_words(text))))
    cues.sort(key=lambda cue: (cue.start, cue.end, cue.index))
    for n in range(1, len(cues)):  # what is drawn in many layers, or told in two languages, is heard once
        if (cues[n].start, cues[n].end) == (cues[n - 1].start, cues[n - 1].end):
            cues[n] = replace(cues[n], speech_seconds=0.0)
    return cues


def _tape_start(cues: Sequence[_Cue], activity: Activity, config: ResyncConfig) -> float:
    """The full hour that the subtitles count from, seconds; 0 where they may count from the start of the video."""
    if not cues or cues[len(cues) // 2].start <= activity.start_seconds + activity.seconds + config.max_offset_seconds:
        return 0.0
    return HOUR_SECONDS * math.floor(cues[0].start / HOUR_SECONDS)


def _moved(cue: _Cue, seconds: float) -> _Cue:
    return replace(cue, start=cue.start + seconds, end=cue.end + seconds) if seconds else cue


def _in_reach(cues: Sequence[_Cue], activity: Activity, config: ResyncConfig) -> list[_Cue]:
    """The cues that may be in the video at all, none longer than a minute: one slip of a key costs no memory."""
    first = activity.start_seconds - config.max_offset_seconds
    last = (activity.start_seconds + activity.seconds + config.max_offset_seconds) / min(*config.rates, 1.0)
    return [replace(cue, end=min(cue.end, cue.start + 60.0)) for cue in cues if first <= cue.start <= last]


# --- what is heard ---


class _Hearing:
    """The speech of a video as sums of evidence, its beginnings, and where words are heard."""

    def __init__(self, activity: Activity, words: Transcript | None) -> None:
        self.activity = activity
        self.start = activity.start_seconds
        speech = activity.speech.astype(np.float64)
        usual = float(np.clip(speech.mean(), 0.1, 0.9))
        scale = NEWS_A_SECOND * FRAME_SECONDS
        self.silence = scale * np.log((1 - SPEECH_IN_LINES) / (1 - usual))  # what a frame without speech tells a line
        inside = scale * (
            speech * np.log(SPEECH_IN_LINES / usual) + (1 - speech) * np.log((1 - SPEECH_IN_LINES) / (1 - usual))
        )
        beside = scale * (
            speech * np.log(SPEECH_BESIDE / usual) + (1 - speech) * np.log((1 - SPEECH_BESIDE) / (1 - usual))
        )
        self.inside = np.append(0.0, np.cumsum(inside))
        self.beside = np.append(0.0, np.cumsum(beside))
        self.heard: list[tuple[str, float]] = []
        self.pairs: dict[tuple[str, str], list[int]] = defaultdict(list)
        self._votes: dict[int, list[tuple[float, float, float]]] = {}
        self.singles: dict[str, list[int]] = defaultdict(list)
        for word in words.words if words is not None else ():
            plain = plain_words(word.text)
            length = (word.end_seconds - word.start_seconds) / max(1, len(plain))
            self.heard += [(w, word.start_seconds + n * length) for n, w in enumerate(plain)]
        for n, (text, _) in enumerate(self.heard):
            self.singles[text].append(n)
            if n:
                self.pairs[self.heard[n - 1][0], text].append(n - 1)

    @cached_property
    def onsets(self) -> NDArray[np.float64]:
        """When somebody begins to speak after 0.2 s of silence, ascending seconds."""
        speech = self.activity.speech
        rises = np.flatnonzero((speech[1:] >= 0.5) & (speech[:-1] < 0.5)) + 1
        quiet = round(0.2 / FRAME_SECONDS)
        kept = [n for n in rises.tolist() if not (speech[max(0, n - quiet) : n] >= 0.5).any()]
        before, after = speech[np.array(kept, int) - 1], speech[np.array(kept, int)]
        part = (0.5 - before) / np.maximum(1e-6, after - before)
        return self.start + (np.array(kept) - 0.5 + part) * FRAME_SECONDS

    def votes(self, cue: _Cue) -> list[tuple[float, float, float]]:
        """For words of the line that are heard: (when they should be said after its start, on the clock of the
        subtitles; when they are heard; nats)."""
        out = self._votes.get(cue.index)
        if out is not None:
            return out
        out = self._votes[cue.index] = []
        count = max(1, len(cue.words))
        for n, word in enumerate(cue.words):
            expected = cue.speech_seconds * n / count
            if n + 1 < len(cue.words):
                places = self.pairs.get((word, cue.words[n + 1]), ())
                if 0 < len(places) <= PLACES:
                    out += [(expected, self.heard[p][1], WORD_SCORE / len(places)) for p in places]
            places = self.singles.get(word, ()) if len(word) >= RARE_LETTERS else ()
            if 0 < len(places) <= PLACES // 2:
                out += [(expected, self.heard[p][1], WORD_SCORE / 2 / len(places)) for p in places]
        return out


# --- the programme ---


@dataclass(frozen=True)
class _Path:
    """Where each cue goes: its offset on the grid, -1 where it is not shown; begins: which begin a piece."""

    offsets: NDArray[np.int64]
    begins: NDArray[np.bool_]
    score: float


class _Track:
    """Cues at one rate before all their offsets."""

    def __init__(self, cues: Sequence[_Cue], hearing: _Hearing, rate: float, config: ResyncConfig) -> None:
        self.cues, self.hearing, self.rate, self.config = cues, hearing, rate, config
        end = hearing.start + hearing.activity.seconds
        reach = min(config.max_offset_seconds, MAX_CELLS / len(cues) * STEP_SECONDS / 2)
        # stretching moves late cues far without any offset, so the reach is about the middle of the subtitles
        middle = (1 - rate) * (cues[0].start + cues[-1].start) / 2
        low = max(middle - reach, hearing.start - rate * cues[-1].end)
        high = min(middle + reach, end - rate * cues[0].start)
        if not low < high:
            low, high = middle - reach, middle + reach
        self.lowest = float(np.floor(low / STEP_SECONDS) * STEP_SECONDS)
        self.num_offsets = int(np.ceil((high - self.lowest) / STEP_SECONDS)) + 1
        starts = np.array([cue.start for cue in cues]) * rate
        ends = np.array([cue.start + min(cue.speech_seconds, cue.end - cue.start) for cue in cues]) * rate
        ends[:-1] = np.minimum(ends[:-1], starts[1:])
        zero = starts[0]
        self.starts = np.floor((starts - zero) / STEP_SECONDS).astype(np.int64)
        self.ends = np.maximum(self.starts, np.floor((ends - zero) / STEP_SECONDS).astype(np.int64))
        self._pad()

    def _pad(self) -> None:
        """Sums of evidence, with silence around the video, ordered so that the offsets of a cue lie side by side."""
        first = self.rate * self.cues[0].start + self.lowest - BEFORE_SECONDS - 1
        last = max(cue.end for cue in self.cues) * self.rate + self.lowest + self.num_offsets * STEP_SECONDS + 2
        start = self.hearing.start
        self.lead = max(0, int(np.ceil((start - first) / FRAME_SECONDS)))
        inside, beside = self.hearing.inside, self.hearing.beside
        total = max(len(inside) + self.lead, int(np.ceil((last - start) / FRAME_SECONDS)) + self.lead)
        total += FRAMES_A_STEP - total % FRAMES_A_STEP
        after = total - self.lead - len(inside)
        before = np.arange(-self.lead, 0) * self.hearing.silence
        behind = inside[-1] + np.arange(1, after + 1) * self.hearing.silence
        full = np.concatenate([before, inside, behind])
        self.inside = full.reshape(-1, FRAMES_A_STEP).T.astype(np.float32).copy()
        full = np.concatenate([np.zeros(self.lead), beside, np.full(after, beside[-1])])
        self.beside = full.reshape(-1, FRAMES_A_STEP).T.astype(np.float32).copy()

    def _sums(self, sums: NDArray[np.float32], seconds: float) -> NDArray[np.float32]:
        """The sum up to that time of the subtitles, for all offsets: float32 `[K]`."""
        at = (self.rate * seconds + self.lowest - self.hearing.start) / FRAME_SECONDS
        step, phase = divmod(round(at) + self.lead, FRAMES_A_STEP)
        return sums[phase, step : step + self.num_offsets]

    def score(self, i: int) -> NDArray[np.float32]:
        """What cue i says of each offset, nats, float32 `[K]`."""
        cue = self.cues[i]
        if not cue.speech_seconds:
            return np.zeros(self.num_offsets, np.float32)
        score = self._sums(self.inside, cue.start + cue.speech_seconds) - self._sums(self.inside, cue.start)
        earlier = max(self.cues[i - 1].end if i else -np.inf, cue.start - BEFORE_SECONDS)
        if earlier < cue.start:
            score += self._sums(self.beside, cue.start) - self._sums(self.beside, earlier)
        later = min(self.cues[i + 1].start if i + 1 < len(self.cues) else np.inf, cue.end + AFTER_SECONDS)
        if later > cue.end:
            score += self._sums(self.beside, later) - self._sums(self.beside, cue.end)
        np.clip(score, LEAST_SCORE, MOST_SCORE, out=score)
        self._add_words(score, cue)
        return score

    def _add_words(self, score: NDArray[np.float32], cue: _Cue) -> None:
        votes = self.hearing.votes(cue)
        if not votes:
            return
        near: dict[int, float] = defaultdict(float)
        for after, heard, nats in votes:
            at = (heard - LEAD_SECONDS - self.rate * (cue.start + after) - self.lowest) / STEP_SECONDS
            width = 3.0 + 0.25 * after / STEP_SECONDS  # steps; the later in the line, the less sure
            for k in range(max(0, math.ceil(at - width)), min(self.num_offsets, int(at + width) + 1)):
                near[k] += nats * (1 - abs(k - at) / width)
        for k, nats in near.items():
            score[k] += min(MOST_WORD_SCORE, nats)

    def decode(self, *, creep: bool = False) -> _Path:
        """The best path through all cues. creep: the offset may also move by one step from line to line, at a cost."""
        n, size, cost = len(self.cues), self.num_offsets, self.config.break_cost
        passed = np.append(0.0, np.cumsum([self.config.cut_cost * (c.speech_seconds > 0) for c in self.cues]))
        width = (size + 7) // 8
        entered, record, fresh = (np.zeros((n, width), np.uint8) for _ in range(3))
        crept = np.zeros((2, n, width), np.uint8) if creep else None
        positions = np.full(int(self.ends[-1]) + size, -np.inf, np.float32)  # best of pieces that end there
        floor, floor_at, left = 0.0, -1, 0  # best of what ends before all positions of the present cue
        floors = np.empty(n, np.int64)
        value = np.full(size, -np.inf, np.float32)
        for i in range(n):
            a, e = int(self.starts[i]), int(self.ends[i])
            if a > left:
                gone = positions[left:a]
                if len(gone) and gone.max() > floor:
                    floor, floor_at = float(gone.max()), left + int(gone.argmax())
                left = a
            floors[i] = floor_at
            before = positions[a : a + size]
            running = np.maximum.accumulate(before)
            record[i] = np.packbits((before == running) & (before > floor))
            entry = np.maximum(running, floor) - passed[i]
            if crept is not None:
                value, from_below, from_above = _creep(value)
                crept[0, i], crept[1, i] = np.packbits(from_below), np.packbits(from_above)
            entered[i] = np.packbits(entry > value)
            value = np.maximum(value, entry) + self.score(i)
            if i == 0:
                zero = round(-self.lowest / STEP_SECONDS)
                if self.rate == 1.0 and 0 <= zero < size:
                    value[zero] += AS_IT_IS
                floor = -cost  # the first lines may be cut, as others may
            leaving = (value - (cost - passed[i + 1])).astype(np.float32)
            target = positions[e : e + size]
            fresh[i] = np.packbits(leaving > target)
            np.maximum(target, leaving, out=target)
        ending = max(float(positions[left:].max()), floor) - passed[n]
        best = float(value.max())
        offsets, begins = np.full(n, -1), np.zeros(n, bool)
        i, k = n - 1, int(value.argmax())
        if ending > best:  # the last lines are cut
            best = ending
            at = left + int(positions[left:].argmax()) if positions[left:].max() >= floor else floor_at
            i, k = self._writer(fresh, n, at)
        while i >= 0:
            offsets[i] = k
            if _bit(entered[i], k):
                begins[i] = True
                bits = np.unpackbits(record[i], count=size)[: k + 1]
                at = int(self.starts[i]) + int(np.flatnonzero(bits)[-1]) if bits.any() else int(floors[i])
                i, k = self._writer(fresh, i, at)
                continue
            if crept is not None:
                k += _bit(crept[1, i], k) - _bit(crept[0, i], k)
            i -= 1
        return _Path(offsets, begins, best)

    def _writer(self, fresh: NDArray[np.uint8], before: int, at: int) -> tuple[int, int]:
        """Which cue before that one left its best at this position, and by which offset; (-1, -1) for none."""
        if at >= 0:
            for j in range(before - 1, -1, -1):
                k = at - int(self.ends[j])
                if 0 <= k < self.num_offsets and _bit(fresh[j], k):
                    return j, k
        return -1, -1


def _bit(row: NDArray[np.uint8], k: int) -> bool:
    return bool(row[k >> 3] >> (7 - (k & 7)) & 1)


def _creep(value: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
    """The best of each offset and its two neighbours, those at a cost; and where it is the one below, and above."""
    below, above = np.full_like(value, -np.inf), np.full_like(value, -np.inf)
    below[1:], above[:-1] = value[:-1] - CREEP_COST, value[1:] - CREEP_COST
    from_below = (below > value) & (below >= above)
    return np.maximum(value, np.maximum(below, above)), from_below, (above > value) & ~from_below


# --- the rate ---


def _find_rate(cues: Sequence[_Cue], hearing: _Hearing, config: ResyncConfig) -> float:
    """The rate whose best path is worth most, dearer rates less their cost."""
    found: list[tuple[float, float]] = []
    for rate in config.rates:
        worth = _Track(cues, hearing, rate, config).decode().score
        found.append((worth - (FILM_RATE_COST if rate != 1.0 else 0.0), rate))
    if not config.free_rate or len(cues) < 3:
        return max(found)[1]
    crept, some = [], cues[:LINES_FOR_SLOPE]
    for rate in FREE_RATES:
        path = _Track(some, hearing, rate, config).decode(creep=True)
        crept.append((path.score, rate + _slope(some, path)))
    crept.sort(reverse=True)
    for _, rate in [*crept[:2], (0.0, max(found)[1])]:
        near = _Track(cues, hearing, rate, config).decode(creep=True)
        for free in {round(rate, 6), round(rate + _slope(cues, near), 6)}:
            if 0.85 < free < 1.15 and all(abs(free - known) > 2e-4 for _, known in found):
                found.append((_Track(cues, hearing, free, config).decode().score - FREE_RATE_COST, free))
    return max(found)[1]


def _slope(cues: Sequence[_Cue], path: _Path) -> float:
    """How fast the offset creeps along a path, seconds a second, by least squares with one slope for all pieces."""
    above = below = 0.0
    for members in _runs(path):
        t = np.array([cues[i].start for i in members])
        o = path.offsets[members] * STEP_SECONDS
        above += float(((t - t.mean()) * (o - o.mean())).sum())
        below += float(((t - t.mean()) ** 2).sum())
    return above / below if below > 0 else 0.0


def _runs(path: _Path) -> list[list[int]]:
    """The cues of each piece."""
    runs: list[list[int]] = []
    for i, offset in enumerate(path.offsets.tolist()):
        if offset < 0:
            continue
        if path.begins[i] or not runs:
            runs.append([])
        runs[-1].append(i)
    return runs


# --- finer than the grid ---


def _pieces(cues: Sequence[_Cue], path: _Path, track: _Track) -> list[Piece]:
    """The pieces of a path, with offsets, and where it is clear a rate, that the beginnings of speech agree with."""
    runs, rate = _runs(path), track.rate
    starts = [np.array([cues[i].start for i in run if cues[i].speech_seconds]) for run in runs]
    due = track.hearing.onsets - LEAD_SECONDS
    offsets = [track.lowest + STEP_SECONDS * float(np.mean(path.offsets[run])) for run in runs]
    offsets = [_fit_offset(rate * s, o, due) for s, o in zip(starts, offsets, strict=True)]
    slope, spread = _slope_left(starts, rate, offsets, due)
    if abs(slope) > CLEAR_SLOPE * spread:
        offsets = [o - slope * float(s.mean()) if len(s) else o for s, o in zip(starts, offsets, strict=True)]
        rate += slope
        offsets = [_fit_offset(rate * s, o, due) for s, o in zip(starts, offsets, strict=True)]
    return [
        Piece(cues[run[0]].start, max(cues[i].end for i in run), float(rate), float(offset))
        for run, offset in zip(runs, offsets, strict=True)
    ]


def _fit_offset(starts: NDArray[np.float64], offset: float, due: NDArray[np.float64]) -> float:
    """The offset by which most starts fall on the nearest time that is due: reweighted means, with Cauchy's weights."""
    first = offset
    for turn in range(12):
        off = _off(starts + offset, due)
        near = off[np.abs(off) < ONSET_REACH_SECONDS]
        if len(near) < 3:
            return first
        weights = 1 / (1 + (near / ONSET_SPREAD_SECONDS) ** 2)
        offset += float(np.median(near)) if turn == 0 else float((weights * near).sum() / weights.sum())
    return offset


def _slope_left(
    starts: Sequence[NDArray[np.float64]], rate: float, offsets: Sequence[float], due: NDArray[np.float64]
) -> tuple[float, float]:
    """How fast lines still creep away from what is due, one slope for all pieces; and its standard error."""
    above = below = squares = news = 0.0
    for s, offset in zip(starts, offsets, strict=True):
        off = _off(rate * s + offset, due)
        near = np.abs(off) < ONSET_REACH_SECONDS
        if near.sum() < 3:
            continue
        w = 1 / (1 + (off[near] / ONSET_SPREAD_SECONDS) ** 2)
        t = s[near] - float(np.average(s[near], weights=w))
        above, below = above + float((w * t * off[near]).sum()), below + float((w * t * t).sum())
        squares, news = squares + float((w * off[near] ** 2).sum()), news + float(w.sum())
    if below <= 0 or news < 8:
        return 0.0, np.inf
    return above / below, float(np.sqrt(squares / news / below))


def _off(at: NDArray[np.float64], due: NDArray[np.float64]) -> NDArray[np.float64]:
    """From each time to the nearest that is due; far where none is."""
    if not len(due):
        return np.full(len(at), np.inf)
    right = np.searchsorted(due, at).clip(0, len(due) - 1)
    left = (right - 1).clip(0)
    nearest = np.where(np.abs(due[left] - at) < np.abs(due[right] - at), due[left], due[right])
    return np.asarray(nearest - at)


# --- how sure ---


def _margins(path: _Path, track: _Track) -> NDArray[np.float64]:
    """By how many nats each cue and its neighbours in the piece prefer their offset to any other, float64 `[n]`.

    0 where it is not shown.
    """
    margins = np.zeros(len(path.offsets))
    for run in _runs(path):
        total = np.zeros(track.num_offsets, np.float32)
        held: list[NDArray[np.float32]] = []
        for place in range(-NEIGHBOURS, len(run)):
            coming = place + NEIGHBOURS
            if coming < len(run):
                held.append(track.score(run[coming]))
                total += held[-1]
            if place - NEIGHBOURS > 0:
                total -= held.pop(0)
            if place < 0:
                continue
            k = int(path.offsets[run[place]])
            own = float(total[max(0, k - 1) : k + 2].max())
            others = max(
                float(total[: max(0, k - OWN_STEPS)].max(initial=-np.inf)),
                float(total[k + OWN_STEPS + 1 :].max(initial=-np.inf)),
            )
            margins[run[place]] = own - others if np.isfinite(others) else own
    return margins


def _confidence(path: _Path, track: _Track) -> tuple[NDArray[np.float64], float]:
    """For each cue the probability that its place is right within 0.4 s, or if it has none that it is shown at all; and
    the confidence in the whole.

    In a file whose lines are sure taken together, a line that little speaks for is likelier right than in another one.
    """
    margins, is_shown = _margins(path, track), path.offsets >= 0
    if not is_shown.any():
        return np.full(len(margins), 0.5), 0.0
    alone = sigmoid((margins - EVEN_MARGIN) / MARGIN_SCALE)
    whole = float(alone[is_shown].mean() * min(1.0, is_shown.mean() / ENOUGH_SHOWN))
    sure = sigmoid((margins - EVEN_MARGIN + TRUSTED_MARGIN * whole) / MARGIN_SCALE)
    shown = np.flatnonzero(is_shown)
    for i in np.flatnonzero(~is_shown).tolist():
        after = int(np.searchsorted(shown, i))
        beside = shown[[max(0, after - 1), min(len(shown) - 1, after)]]
        sure[i] = float(np.clip(1 - sure[beside].min(), 0.02, 0.5))
    return sure, whole


def _outcome(
    script: Script,
    cues: Sequence[_Cue],
    path: _Path,
    pieces: Sequence[Piece],
    confident: tuple[NDArray[np.float64], float],
    least: float,
) -> Resync:
    sure, whole = confident
    piece_of: list[int | None] = [None] * len(script.lines)
    confidence = [0.0] * len(script.lines)
    for p, run in enumerate(_runs(path)):
        for i in run:
            piece_of[cues[i].index] = p
    for cue, value in zip(cues, sure.tolist(), strict=True):
        confidence[cue.index] = value
    return Resync(tuple(pieces), tuple(piece_of), tuple(confidence), whole, bool(pieces) and whole >= least)


def _unmoved(script: Script, cues: Sequence[_Cue]) -> Resync:
    nothing = tuple(0.0 for _ in script.lines)
    if not cues:
        return Resync((), tuple(None for _ in script.lines), nothing, 0.0, False)
    timed = {cue.index for cue in cues}
    piece = Piece(cues[0].start, max(cue.end for cue in cues), 1.0, 0.0)
    return Resync((piece,), tuple(0 if i in timed else None for i in range(len(script.lines))), nothing, 0.0, False)
