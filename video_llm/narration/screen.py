"""The on-screen signal: where the words of a line are written, as slide titles, captions and labels are.

A line is compared with what was read by letters, for recognisers join, split and misread words. A title may be the
whole line, a part of it, or hold it among other words.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tvu.video_llm.logistic import Logistic
from tvu.video_llm.narration.picture import calibration_of
from tvu.video_llm.narration.types import Candidate, Candidates, Script
from tvu.video_llm.scout.match import Unit, found_in, letters_alike, plain_words, telling_words
from tvu.video_llm.scout.screen_text import ScreenText, units_of

FEATURES = ("alike", "line_inside", "title_inside", "margin")
NEAREST = 8  # texts by letters that a line is compared with in full
SHOWN = 4  # candidates kept of a line
LEAST_PROBABILITY = 0.05
FEW_LETTERS = 6  # a text or a line shorter than this is inside too many others to say anything


@dataclass(frozen=True)
class ScreenCalibration(Logistic):
    """A logistic regression from FEATURES to the probability that the line is what is written.

    Written by `python -P -m tvu.video_llm.narration.calibrate`.
    """

    names = FEATURES


def shipped_calibration() -> ScreenCalibration:
    """The calibration that comes with the package."""
    table = calibration_of("screen-text")
    return ScreenCalibration(table["intercept"], tuple(table["weights"][name] for name in FEATURES))


def screen_candidates(
    script: Script, screen_text: ScreenText, calibration: ScreenCalibration | None = None
) -> Candidates:
    """Where each line is written, most probable first; none for a line that is nowhere on the screen."""
    calibration = calibration or shipped_calibration()
    titles = Titles(units_of(screen_text))
    found: list[tuple[Candidate, ...]] = []
    for line in script.lines:
        near = titles.near(line.text)
        if not near:
            found.append(())
            continue
        p = calibration.probability(titles.features(line.text, near))
        told: list[Candidate] = []
        for n in np.argsort(-p, kind="stable").tolist():
            span = titles.units[near[n]].span
            overlaps = any(
                min(c.span.end_seconds, span.end_seconds) > max(c.span.start_seconds, span.start_seconds) for c in told
            )
            if p[n] < LEAST_PROBABILITY or len(told) == SHOWN:
                break
            if not overlaps:
                told.append(Candidate(span, float(p[n]), "screen-text"))
        total = sum(c.score for c in told)
        found.append(tuple(Candidate(c.span, c.score / max(1.0, total / 0.99), c.evidence) for c in told))
    return tuple(found)


class Titles:
    """Texts on the screen, found again by their letters."""

    def __init__(self, units: Sequence[Unit]) -> None:
        self.units = tuple(units)
        self._words = [plain_words(unit.text) for unit in units]
        self._letters = ["".join(words) for words in self._words]
        self._with: dict[str, list[int]] = defaultdict(list)  # texts that have three letters in a row
        for i, letters in enumerate(self._letters):
            for three in set(_threes(letters)):
                self._with[three].append(i)

    def near(self, line: str) -> list[int]:
        """The `NEAREST` texts that share the most of the letters of a line, rare ones counting more; best first."""
        shared: dict[int, float] = defaultdict(float)
        for three in set(_threes("".join(plain_words(line)))):
            having = self._with.get(three, [])
            weight = math.log(1 + len(self.units) / (len(having) or 1))
            for i in having:
                shared[i] += weight
        return sorted(shared, key=lambda i: -shared[i])[:NEAREST]

    def features(self, line: str, near: Sequence[int]) -> NDArray[np.float64]:
        """float64 `[N, len(FEATURES)]` of a line and N of the texts.

        alike: letters in common of line and text; line_inside, title_inside: how literally the one occurs in the
        other, above what any two texts would have; margin: how much the best of the three is above that of the best
        text of other words.
        """
        words = plain_words(line)
        letters = "".join(words)
        telling = telling_words(line)
        rows = []
        for i in near:
            alike = letters_alike(letters, self._letters[i])
            long_line = len(letters) >= FEW_LETTERS and bool(telling)
            long_title = len(self._letters[i]) >= FEW_LETTERS
            inside = max(0.0, 2 * found_in(words, self._words[i]) - 1) if long_line else float(alike == 1)
            holds = max(0.0, 2 * found_in(self._words[i], words) - 1) if long_title else float(alike == 1)
            rows.append([alike, inside, holds])
        found = np.array(rows)
        best = found.max(axis=1)
        margin = [
            best[a] - max((best[b] for b in range(len(near)) if self._differ(near[a], near[b])), default=0.0)
            for a in range(len(near))
        ]
        return np.column_stack([found, margin])

    def _differ(self, a: int, b: int) -> bool:
        """Whether two texts have other words: neither holds the other, and they are not two readings of one."""
        first, second = self._letters[a], self._letters[b]
        return not (first in second or second in first) and letters_alike(first, second) < 0.8


def _threes(letters: str) -> list[str]:
    return [letters[i : i + 3] for i in range(max(1, len(letters) - 2))]
