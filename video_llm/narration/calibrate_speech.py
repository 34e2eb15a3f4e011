"""Fit and measure the speech signal of `tvu align`: `python -P -m tvu.video_llm.narration.calibrate_speech [--work DIR]
[--write]`.

Narrations are spoken by espeak-ng over music and noise, at known times; scripts of them are made as people make them:
numbers in digits, steps in another order, lines with some or all words changed, lines that are never said (some with
words of those that are), sentences said twice. All are heard as in use. What is fitted on one half of the sentences is
measured on the other; what ships with --write is fitted on both. `--work` keeps what was heard. Needs espeak-ng and the
pulled weights.
"""

import argparse
import hashlib
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvu.temporal.spans import iou
from tvu.temporal.types import Span
from tvu.video_llm.logistic import fit_signed, signs_of
from tvu.video_llm.media.sound import Sound
from tvu.video_llm.narration.speech import FEATURES, OF_MEANING, RECOGNISER, Found, SpeechCalibration, find_lines
from tvu.video_llm.scout.match import Sentences
from tvu.video_llm.scout.narrated import RATE, narrate, read_script
from tvu.video_llm.scout.narrated import Line as SpokenLine
from tvu.video_llm.scout.speech import Transcript, transcribe

OUT = Path(__file__).with_name("speech_calibration.json")
SECONDS = 75.0  # of one narration
ABSENT = 0.2  # of the lines of a script that are never said
REPEATED = 0.1  # of the sentences that are said twice
REWORDED = 0.15  # of the lines that say it in other words
EDITED = 0.2  # of the lines of which some words are left out or are others
CHANGED = 0.3  # of the words of such a line
MIXED = 0.3  # of the absent lines, with a third of their words from a sentence that is said
RIGHT_IOU = 0.5  # with the time it is said, for a place to be right
SPEAKS_FOR = frozenset({"covered", "well_covered", "sounds", "weight", "agreed", "certainty", "in_order", "meaning"})
SPEAKS_AGAINST = frozenset({"extra", "behind", "brief", "meaning_behind"})


@dataclass(frozen=True)
class Sentence:
    """Something that is said, as a text may write it, and the same in other words (empty: none is known)."""

    said: str
    written: str
    reworded: str = ""


@dataclass(frozen=True)
class Wanted:
    """One line of a script: how it relates to what is said, and when that is said; never where `spans` is empty."""

    text: str
    kind: str  # verbatim, edited, reworded, absent
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class Narration:
    """A script beside what was heard of its narration; `ordered`: the lines are in the order of the speech."""

    wanted: tuple[Wanted, ...]
    transcript: Transcript
    ordered: bool


@cache
def read_sentences() -> tuple[Sentence, ...]:
    """All sentences that come with the package."""
    rows = resources.files(__package__).joinpath("spoken_lines.txt").read_text("utf-8").splitlines()
    own = [Sentence(*(part.strip() for part in row.split(" | "))) for row in rows if row and not row.startswith("#")]
    return (*own, *(Sentence(line.text, line.text) for line in read_script().spoken))


def narration(
    sentences: Sequence[Sentence], number: int, seed: int
) -> tuple[NDArray[np.float32], tuple[Wanted, ...], bool]:
    """Sound at 16 kHz of one narration, the script to align to it, and whether its lines are in order."""
    rng = np.random.default_rng([seed, number])
    dealt = [sentences[i] for i in rng.permutation(len(sentences))]
    said = dealt[: len(dealt) // 2][:16]
    spoken: list[Sentence] = []
    for sentence in said:
        spoken.append(sentence)
        if len(spoken) > 2 and rng.random() < REPEATED:
            spoken.append(spoken[int(rng.integers(len(spoken) - 1))])
    lines = [SpokenLine(sentence.said, ()) for sentence in spoken]
    sound, placed = narrate(lines, SECONDS, rng, run_on=number % 4 == 3)
    spans: dict[str, list[Span]] = {}
    for each in placed:
        spans.setdefault(each.line.text, []).append(each.span)
    wanted = []
    for sentence in said:
        if sentence.said in spans:
            drawn = rng.random()
            text, kind = sentence.written, "verbatim"
            if sentence.reworded and drawn < REWORDED:
                text, kind = sentence.reworded, "reworded"
            elif drawn > 1 - EDITED and len(text.split()) > 4:
                text, kind = _edited(text, dealt, rng), "edited"
            wanted.append(Wanted(text, kind, tuple(spans[sentence.said])))
    absent = dealt[len(dealt) // 2 :][: max(1, round(len(wanted) * ABSENT / (1 - ABSENT)))]
    for sentence in absent:
        text = sentence.written
        if rng.random() < MIXED:
            others = said[int(rng.integers(len(said)))].written.split()
            words = text.split()
            words[len(words) // 3 : 2 * len(words) // 3] = others[len(others) // 3 : 2 * len(others) // 3]
            text = " ".join(words)
        wanted.insert(int(rng.integers(len(wanted) + 1)), Wanted(text, "absent", ()))
    ordered = bool(rng.random() < 0.5)
    if not ordered:
        wanted = [wanted[i] for i in rng.permutation(len(wanted))]
    return sound, tuple(wanted), ordered


def _edited(text: str, sentences: Sequence[Sentence], rng: np.random.Generator) -> str:
    """A text of which some words are left out, or are those of other sentences."""
    words = []
    for word in text.split():
        drawn = rng.random()
        if drawn < CHANGED / 2:
            other = sentences[int(rng.integers(len(sentences)))].written.split()
            words.append(other[int(rng.integers(len(other)))])
        elif drawn >= CHANGED:
            words.append(word)
    return " ".join(words) or text


def heard(sentences: Sequence[Sentence], number: int, seed: int, recogniser: Path, work: Path) -> Narration:
    """The narration as in use; what was heard is kept in `work` by the sound it was heard in."""
    sound, wanted, ordered = narration(sentences, number, seed)
    kept = work / f"{hashlib.blake2b(sound.tobytes(), digest_size=16).hexdigest()}.npz"
    if kept.exists():
        with np.load(kept, allow_pickle=False) as stored:
            return Narration(wanted, Transcript.from_arrays(dict(stored)), ordered)
    transcript = transcribe(Sound(sound, RATE, 0.0), recogniser)
    arrays: dict[str, Any] = transcript.to_arrays()
    np.savez(kept, **arrays)
    return Narration(wanted, transcript, ordered)


@dataclass(frozen=True)
class Case:
    """One line with the places where it may be said."""

    wanted: Wanted
    places: tuple[Found, ...]


def cases_of(narrations: Sequence[Narration], sentences: Sentences | None) -> list[Case]:
    """Every line of every narration with its places."""
    out = []
    for each in narrations:
        found = find_lines([w.text for w in each.wanted], each.transcript, sentences)
        out += [Case(wanted, places) for wanted, places in zip(each.wanted, found, strict=True)]
    return out


def fit(cases: Sequence[Case], *, has_meaning: bool) -> SpeechCalibration:
    """A logistic regression over all places, features with a sign that only these sentences explain left out."""
    x = np.array([place.features for case in cases for place in case.places])
    y = np.array([_is_right(place.span, case.wanted) for case in cases for place in case.places], float)
    used = np.array([has_meaning or name not in OF_MEANING for name in FEATURES])
    found = fit_signed(x, y, signs_of(FEATURES, tuple(SPEAKS_FOR), tuple(SPEAKS_AGAINST)), used=used)
    return SpeechCalibration(float(found[0]), tuple(found[1:].tolist()))


def _is_right(span: Span, wanted: Wanted) -> bool:
    return max((iou(span, truth) for truth in wanted.spans), default=0.0) >= RIGHT_IOU


@dataclass(frozen=True)
class Measured:
    """Of the best place of each line, on sentences that nothing was fitted on.

    middle, start: shares of said lines whose predicted middle, and start, is inside a time it is said (the start to
    0.25 s); by kind. start_error, end_error: median seconds where the middle is inside. repeats: share of the times of
    lines said twice that are among the first two places.
    """

    lines: int
    middle: dict[str, float]
    start: float
    start_error: float
    end_error: float
    repeats: float
    auroc: float
    brier: float
    calibration_error: float
    bins: tuple[tuple[float, float, int], ...]

    def __str__(self) -> str:
        middle = ", ".join(f"{kind} {100 * share:.1f}" for kind, share in self.middle.items())
        bins = " ".join(f"{said:.2f}:{true:.2f}({count})" for said, true, count in self.bins)
        return (
            f"{self.lines} lines: R@1 by the middle, %: {middle}; by the start {100 * self.start:.1f} %; "
            f"median error of start {self.start_error:.3f} s, end {self.end_error:.3f} s; "
            f"said twice, both found {100 * self.repeats:.1f} %; absent lines AUROC {self.auroc:.3f}; "
            f"Brier {self.brier:.3f}, ECE {self.calibration_error:.3f}; "
            f"said:true(count) {bins}"
        )


def measure(cases: Sequence[Case], calibration: SpeechCalibration) -> Measured:
    """How a calibration does."""
    hits: dict[str, list[bool]] = {"all": [], "verbatim": [], "edited": [], "reworded": []}
    starts, start_errors, end_errors, repeats = [], [], [], []
    said, absent, right = [], [], []
    for case in cases:
        p = calibration.probability(np.array([f.features for f in case.places])) if case.places else np.zeros(0)
        order = np.argsort(-p, kind="stable")
        top = float(p[order[0]]) if len(p) else 0.0
        span = case.places[order[0]].span if len(p) else None
        right.append((top, float(span is not None and _is_right(span, case.wanted))))
        if not case.wanted.spans:
            absent.append(top)
            continue
        said.append(top)
        middle = -1.0 if span is None else (span.start_seconds + span.end_seconds) / 2
        inside = [truth for truth in case.wanted.spans if middle in truth]
        for kind in ("all", case.wanted.kind):
            hits[kind].append(bool(inside))
        near = [
            t
            for t in case.wanted.spans
            if span is not None and t.start_seconds - 0.25 <= span.start_seconds < t.end_seconds
        ]
        starts.append(bool(near))
        if inside and span is not None:
            start_errors.append(abs(span.start_seconds - inside[0].start_seconds))
            end_errors.append(abs(span.end_seconds - inside[0].end_seconds))
        if len(case.wanted.spans) == 2:
            first = [case.places[i].span for i in order[:2]]
            middles = [(s.start_seconds + s.end_seconds) / 2 for s in first]
            repeats += [any(m in truth for m in middles) for truth in case.wanted.spans]
    a, b = np.array(said), np.array(absent)
    score, truth = np.array(right).T
    bins = np.minimum((score * 10).astype(int), 9)
    table = [
        (float(score[bins == k].mean()), float(truth[bins == k].mean()), int((bins == k).sum()))
        for k in sorted(set(bins.tolist()))
    ]
    return Measured(
        len(cases),
        {kind: float(np.mean(values)) for kind, values in hits.items() if values},
        float(np.mean(starts)),
        float(np.median(start_errors)),
        float(np.median(end_errors)),
        float(np.mean(repeats)) if repeats else float("nan"),
        float((a[:, None] > b).mean() + 0.5 * (a[:, None] == b).mean()),
        float(((score - truth) ** 2).mean()),
        float(sum(abs(s - t) * count for s, t, count in table) / len(score)),
        tuple(table),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    from tvu.video_llm.sentence import SentenceEncoder
    from tvu.weights.load import located

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, help="folder that keeps what was heard")
    parser.add_argument("--narrations", type=int, default=24, help="of each half")
    parser.add_argument("--write", action="store_true", help="write the constants into the package")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        recogniser = located(RECOGNISER)
        halves = []
        for half in (0, 1):
            made = []
            for number in range(options.narrations):
                made.append(heard(read_sentences()[half::2], number, 70 + half, recogniser, work))
                print(f"half {half}: {number + 1} of {options.narrations} narrations heard", file=sys.stderr)
            halves.append(made)
    table: dict[str, dict[str, object]] = {}
    for name, sentences in (("words", None), ("words and meaning", SentenceEncoder())):
        cases = [cases_of(made, sentences) for made in halves]
        for fitted, other in ((0, 1), (1, 0)):
            measured = measure(cases[other], fit(cases[fitted], has_meaning=sentences is not None))
            print(f"{name}, fitted on half {fitted}, measured on half {other}: {measured}")
        final = fit(cases[0] + cases[1], has_meaning=sentences is not None)
        weights = {n: round(w, 4) for n, w in zip(FEATURES, final.weights, strict=True) if w}
        table[name] = {"intercept": round(final.intercept, 4), "weights": weights}
    print(json.dumps(table, indent=1))
    if options.write:
        OUT.write_text(json.dumps(table, indent=1) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
