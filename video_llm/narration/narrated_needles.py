"""The generated narration set, and how well texts are aligned on it:
`python -P -m tvu.video_llm.narration.narrated_needles NEEDLES OUT [--evaluate] [--only PREFIX]`.

NEEDLES holds joined clips with known boundaries (`*_gt.json` and the videos they name, as the kit of needles builds
them). Every description of a clip becomes a line of two texts about the silent video, a narration in order and steps in
no order, and the lines that fit into their clip are spoken by espeak-ng over a copy of the video, at known times, which
gives a third text. One line in five is about something that is shown in none of the clips. OUT receives `truth.json`,
the texts, and the spoken videos; the same needles give the same texts and times.

--evaluate aligns every text by each signal alone and by all of them, and prints R@1 (the middle of the predicted span
lies inside the truth; a line told as not shown is missed), the errors of the boundaries where it does, and how well
the confidence tells lines that are shown from lines that are not.

Clips have several descriptions and what is not shown has one, so a line that no other line resembles is likely not
shown: how far that goes is printed as "text alone", which has not seen the video. Nothing that knows of it is fitted.
"""

import argparse
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tvu.temporal.metrics import auroc_of
from tvu.temporal.types import Span
from tvu.video_llm.narration.calibrate import Truth, measure, middle
from tvu.video_llm.narration.fuse import decide_order, fused_lines
from tvu.video_llm.narration.types import Candidates, Line, Order, Script
from tvu.video_llm.scout.query import visual_content
from tvu.video_llm.types import Evidence

Kind = Literal["narration", "steps", "spoken"]

DISTRACTORS = 0.2  # share of the lines
LEAD_SECONDS = 0.3  # of silence at the start of a clip and between lines
RATE = 16000


@dataclass(frozen=True)
class Told:
    """One line of a text: where it is shown, and where it is spoken; neither for what is not in the video."""

    text: str
    shown: tuple[tuple[float, float], ...] = ()
    said: tuple[float, float] | None = None


@dataclass(frozen=True)
class Case:
    """One text about one video. video: a path, relative to the folder of `truth.json` or absolute."""

    name: str
    kind: Kind
    video: str
    duration_seconds: float
    lines: tuple[Told, ...]

    @property
    def order(self) -> Order:
        """That in which the lines are told."""
        return "free" if self.kind == "steps" else "monotone"

    def truth(self) -> tuple[tuple[Span, ...], ...]:
        """Where each line belongs: where it is said, if the text is spoken, else where it is shown."""
        if self.kind == "spoken":
            return tuple(() if line.said is None else (Span(*line.said),) for line in self.lines)
        return tuple(tuple(Span(*s) for s in line.shown) for line in self.lines)

    def shown(self) -> tuple[tuple[Span, ...], ...]:
        """Where each line is to be seen, spoken or not."""
        return tuple(tuple(Span(*s) for s in line.shown) for line in self.lines)

    def script(self) -> Script:
        """The text, without times."""
        return Script(tuple(Line(line.text) for line in self.lines), "txt")


def sentence_of(query: str) -> str:
    """A question about a clip as a line of a narration: `The cartoon rabbit.` of "When does the cartoon rabbit
    appear?"."""
    content = visual_content(query)
    return content[:1].upper() + content[1:] + "."


def with_distractors(lines: Sequence[Told], strange: Sequence[str], rng: np.random.Generator) -> tuple[Told, ...]:
    """The lines in their order, and among them as many of `strange` as make `DISTRACTORS` of all."""
    wanted = min(len(strange), max(1, round(len(lines) * DISTRACTORS / (1 - DISTRACTORS))))
    mixed = list(lines)
    for i in rng.permutation(len(strange))[:wanted].tolist():
        mixed.insert(int(rng.integers(len(mixed) + 1)), Told(sentence_of(strange[i])))
    return tuple(mixed)


def texts_of(video: dict[str, Any], path: str, rng: np.random.Generator) -> list[Case]:
    """Narration and steps about one silent video of a ground-truth file."""
    name = Path(video["file"]).stem
    lines = [
        Told(sentence_of(q["query"]), tuple((float(a), float(b)) for a, b in q["spans"])) for q in video["queries"]
    ]
    lines.sort(key=lambda line: line.shown[0][0])
    strange = [q["query"] for q in video["absent"]]
    told = with_distractors(lines, strange, rng)
    shuffled = with_distractors(lines, strange, rng)
    steps = tuple(shuffled[i] for i in rng.permutation(len(shuffled)))
    length = float(video["duration"])
    return [
        Case(f"{name}.narration", "narration", path, length, told),
        Case(f"{name}.steps", "steps", path, length, steps),
    ]


@dataclass(frozen=True, eq=False)
class Spoken:
    """A sound track float32 `[S]` at `RATE`, and the lines that are spoken in it, in order."""

    samples: NDArray[np.float32]
    lines: tuple[Told, ...]


def speak_over(video: dict[str, Any], rng: np.random.Generator) -> Spoken:
    """The descriptions of each clip, spoken one after the other while it is on the screen, as many as fit; quiet noise
    or a chord lies under some videos. Raises BackendError without espeak-ng."""
    from tvu.video_llm.scout.narrated import VOICES, speak

    length = float(video["duration"])
    sound = np.zeros(round(length * RATE), np.float32)
    voice, speed = str(rng.choice(VOICES)), int(rng.integers(150, 185))
    lines = []
    for segment in video["segments"]:
        now = float(segment["start"]) + LEAD_SECONDS
        whole = [float(segment["start"]), float(segment["end"])]
        own = [q["query"] for q in video["queries"] if q["clip"] == segment["clip"] and q["extent"] == "clip"]
        for i in rng.permutation(len(own)).tolist():
            said = speak(sentence_of(own[i]), voice=voice, words_per_minute=speed)
            end = now + len(said) / RATE
            if end > whole[1] - 0.1:
                continue
            first = round(now * RATE)
            sound[first : first + len(said)] += 0.7 * said[: len(sound) - first]
            lines.append(Told(sentence_of(own[i]), ((whole[0], whole[1]),), (round(now, 3), round(end, 3))))
            now = end + LEAD_SECONDS + float(rng.uniform(0.1, 0.6))
    times = np.arange(len(sound)) / RATE
    under = int(rng.integers(3))
    if under == 1:
        sound += rng.normal(0, 0.006, len(sound)).astype(np.float32)
    elif under == 2:
        for ratio in (1, 1.25, 1.5):
            sound += (0.008 * np.sin(2 * np.pi * 140 * ratio * times)).astype(np.float32)
    return Spoken(np.clip(sound, -1, 1), tuple(lines))


def build(needles: Path, out: Path, only: str = "") -> list[Case]:
    """All texts about the needles in a folder, and the spoken videos where espeak-ng is there."""
    from tvu.video_llm.scout.narrated import has_espeak, write_video

    out.mkdir(parents=True, exist_ok=True)
    cases: list[Case] = []
    for truth in sorted(needles.glob(f"{only}*_gt.json")):
        for n, video in enumerate(json.loads(truth.read_text("utf-8"))["videos"]):
            rng = np.random.default_rng([n, len(truth.stem)])
            source = (needles / video["file"]).resolve()
            cases += texts_of(video, str(source), rng)
            if has_espeak():
                spoken = speak_over(video, rng)
                path = out / f"{source.stem}_spoken.mp4"
                write_video(path, source, (), spoken.samples)
                lines = with_distractors(spoken.lines, [q["query"] for q in video["absent"]], rng)
                cases.append(Case(f"{source.stem}.spoken", "spoken", path.name, float(video["duration"]), lines))
    for case in cases:
        (out / f"{case.name}.txt").write_text("".join(f"{line.text}\n" for line in case.lines), "utf-8")
    (out / "truth.json").write_text(json.dumps([asdict(case) for case in cases], indent=1) + "\n", "utf-8")
    return cases


def read_cases(folder: Path) -> list[Case]:
    """What `build` wrote."""
    cases = []
    for row in json.loads((folder / "truth.json").read_text("utf-8")):
        lines = tuple(
            Told(line["text"], tuple((a, b) for a, b in line["shown"]), tuple(line["said"]) if line["said"] else None)
            for line in row["lines"]
        )
        cases.append(Case(row["name"], row["kind"], row["video"], row["duration_seconds"], lines))
    return cases


# --- measuring ------------------------------------------------------------------------------------------------


def signals_of(cases: Sequence[Case], folder: Path) -> Iterable[tuple[Case, dict[Evidence, Candidates]]]:
    """What each signal says of each text; what is said is looked for only where the video has sound."""
    from tvu.video_llm.decode import open_video
    from tvu.video_llm.narration.picture import PictureMatcher, candidates_in
    from tvu.video_llm.narration.screen import screen_candidates
    from tvu.video_llm.narration.speech import speech_candidates, transcribe_clip
    from tvu.video_llm.sample import watch
    from tvu.video_llm.scout.model import SAMPLING
    from tvu.video_llm.scout.screen_text import read_screen_text
    from tvu.video_llm.scout.visual import build_visual_index
    from tvu.video_llm.sentence import SentenceEncoder

    sentences = SentenceEncoder()
    matcher = PictureMatcher.ours(sentences)
    seen: tuple[str, Any] = ("", None)
    for case in sorted(cases, key=lambda case: case.video):
        if case.video != seen[0]:
            clip = open_video(folder / case.video)
            index = build_visual_index(clip, matcher.encoder, SAMPLING)
            text = read_screen_text(step.frames for step in watch(clip, SAMPLING))
            words = transcribe_clip(clip) if clip.has_audio else None
            seen = case.video, (index, text, words)
        index, text, words = seen[1]
        script = case.script()
        found: dict[Evidence, Candidates] = {
            "visual": candidates_in(script, index, matcher),
            "screen-text": screen_candidates(script, text),
        }
        if words is not None:
            found["speech"] = speech_candidates(script, words, sentences)
        yield case, found


def boundary_errors(truths: Iterable[Truth]) -> tuple[float, float]:
    """Median distance in seconds of the starts and of the ends, of lines that were found; NaN where none was."""
    starts, ends = [], []
    for truth in truths:
        for spans, line in zip(truth.spans, truth.told, strict=True):
            told = line.span
            if told is None:
                continue
            for span in (span for span in spans if middle(told) in span):
                starts.append(abs(told.start_seconds - span.start_seconds))
                ends.append(abs(told.end_seconds - span.end_seconds))
    return float(np.median(starts or [np.nan])), float(np.median(ends or [np.nan]))


def resemblance(vectors: NDArray[np.float32]) -> tuple[float, ...]:
    """How much each line is like the one that is most like it, in [0, 1], of sentence vectors `[S, W]`."""
    alike = vectors @ vectors.T
    np.fill_diagonal(alike, 0.0)
    return tuple(np.clip(alike.max(axis=1, initial=0.0), 0.0, 1.0).tolist())


def evaluate(folder: Path, only: str = "") -> None:
    """Print how well the texts of a set are aligned."""
    from tvu.video_llm.sentence import SentenceEncoder

    sentences = SentenceEncoder()
    rows: dict[tuple[str, str], list[Truth]] = {}
    right_order: list[bool] = []
    by_text: dict[str, tuple[list[float], list[float]]] = {}  # of lines that are shown, and of others
    cases = [case for case in read_cases(folder) if case.name.startswith(only)]
    for case, found in signals_of(cases, folder):
        shown, absent = by_text.setdefault(f"{case.name.split('_')[0]} {case.kind}", ([], []))
        told = resemblance(sentences.embed([line.text for line in case.lines]))
        for spans, like in zip(case.truth(), told, strict=True):
            (shown if spans else absent).append(like)
        ways: dict[str, dict[Evidence, Candidates]] = {name: {name: told} for name, told in found.items()}
        ways["all"] = found
        right_order.append(decide_order(case.script(), found, case.duration_seconds) == case.order)
        for name, used in ways.items():
            if not any(any(line) for line in used.values()):
                continue
            fused = fused_lines(case.script(), used, case.order, case.duration_seconds)
            truth = case.shown() if name == "visual" else case.truth()
            group = case.name.split("_")[0]
            rows.setdefault((f"{group} {case.kind}", name), []).append(
                Truth(truth, tuple(f.line for f in fused), tuple(f.shown for f in fused))
            )
    for (kind, name), truths in sorted(rows.items()):
        start, end = boundary_errors(truths)
        print(f"{kind:13} {name:11} {measure(truths)}   start {start:.2f} s   end {end:.2f} s (median)")
    for kind, (shown, absent) in sorted(by_text.items()):
        print(f"{kind:13} text alone  AUROC {100 * auroc_of(shown, absent):5.1f}")
    print(f"order told right for {sum(right_order)} of {len(right_order)} texts")


def main() -> None:
    """Build the set, and measure on it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("needles", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", default="", metavar="PREFIX", help="of the ground-truth files, such as d6")
    parser.add_argument("--evaluate", action="store_true", help="align the texts and print how well")
    options = parser.parse_args()
    if not (options.out / "truth.json").exists():
        cases = build(options.needles, options.out, options.only)
        print(f"{len(cases)} texts, {sum(len(case.lines) for case in cases)} lines in {options.out}")
    if options.evaluate:
        evaluate(options.out, options.only)


if __name__ == "__main__":
    main()
