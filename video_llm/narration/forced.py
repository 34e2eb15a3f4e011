"""Two texts on one clock: where the tokens of each line are among the tokens that were heard.

Both programmes are exact. `places_of` aligns one line with all that was heard, wherever it is (Smith and Waterman
1981), so that lines may come in any order and more than once; `in_reading_order` aligns the whole text at once, which
tells which of several places a short line means. Rows are arrays over all heard tokens; only one row, or one block of
rows, is held at a time.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tvu.video_llm.narration.numerals import words_of
from tvu.video_llm.narration.sounds_alike import alikeness

SKIP = 0.2  # price of a heard token within a line that is not of the line
PAUSE_PRICE = 0.15  # of each second of silence within a line
LONGEST_PAUSE = 3.0  # seconds of silence that are charged
OPENING = 0.45  # price of a run in reading order that does not follow on the last: stray common words earn less
LEAST_COVERED = 0.3  # places that hold less of a line are none
MOST_PLACES = 12  # of one line in one hearing
OVERLAP = 0.5  # of the shorter of two places, which are then the same
BLOCK = 128  # rows that are traced back at once
COMMON = words_of(
    """
    a an the of on in at to and or is are was were be been it its this that these those i you he she we they me him
    her us them my your his our their do does did so as for with by from has have had will would can could not no
    but if then than there here all some up out into over very just only
    """
)
COMMON_WEIGHT = 0.5  # of such a word beside another that is as frequent here

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Heard:
    """What both texts are made of, compared once.

    lines: of each line the numbers of its tokens in the vocabulary of the text; heard: int64 `[N]`, of each heard
    token its number in the vocabulary of what was heard; alike: float32 `[A, B]`, how alike words of both sound;
    weights: float32 `[A]`, how much a word of the text tells, in [0, 1]; price: float32 `[N + 1]`, what it costs to
    get behind each heard token from the beginning.
    """

    lines: tuple[NDArray[np.int64], ...]
    heard: NDArray[np.int64]
    alike: Floats
    weights: Floats
    price: Floats

    @classmethod
    def of(cls, lines: Sequence[Sequence[str]], heard: Sequence[str], pauses: Sequence[float]) -> "Heard":
        """lines: the tokens of each; heard: all tokens in order of time; pauses: `[N]` silence before each, seconds."""
        counts = Counter(heard)
        written = Counter(token for line in lines for token in line)
        of_text = {token: i for i, token in enumerate(dict.fromkeys(written))}
        of_heard = {token: i for i, token in enumerate(counts)}
        total = max(len(heard), sum(written.values()), 2)
        weights = []
        for token in of_text:
            times = max(counts[token], written[token], 1)
            rare = math.log((total + 1) / (times + 0.5)) / math.log((total + 1) / 1.5)
            weights.append(min(1.0, max(0.15, rare)) * (COMMON_WEIGHT if token in COMMON else 1.0))
        silence = np.minimum(np.asarray(pauses, np.float64), LONGEST_PAUSE).clip(0.0)
        price = np.concatenate([[0.0], np.cumsum(SKIP + PAUSE_PRICE * silence)])
        return cls(
            tuple(np.array([of_text[token] for token in line], np.int64) for line in lines),
            np.array([of_heard[token] for token in heard], np.int64),
            alikeness(list(of_text), list(of_heard)),
            np.array(weights, np.float32),
            price,
        )

    def row(self, token: int) -> Floats:
        """float32 `[N]`: what a match of one word of the text with each heard token is worth; 0 is no match."""
        return self.weights[token] * self.alike[token][self.heard]

    def weight_of(self, line: int) -> float:
        """What a perfect match of a whole line is worth."""
        return float(self.weights[self.lines[line]].sum())


@dataclass(frozen=True)
class Place:
    """Where a line may be.

    matches: `(token of the line, heard token)`, both rising; covered: share of the line's weight that they are worth.
    """

    matches: tuple[tuple[int, int], ...]
    covered: float

    @property
    def first(self) -> int:
        return self.matches[0][1]

    @property
    def last(self) -> int:
        return self.matches[-1][1]


def _step(gain: Floats, before: NDArray[np.float64], price: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """One token of a line: `[N]` best scores that end with its match, `[N + 1]` best scores behind each heard token."""
    match = np.where(gain > 0, before[:-1] + gain, -np.inf)
    behind = before.copy()
    np.maximum(behind[1:], match, out=behind[1:])
    behind = np.maximum.accumulate(behind + price) - price
    return match, np.maximum(behind, 0.0)


def places_of(line: int, texts: Heard, *, most: int = MOST_PLACES) -> list[Place]:
    """The places of one line, best covered first; none where too little of it was heard."""
    tokens, count = texts.lines[line], len(texts.heard)
    whole = texts.weight_of(line)
    if not len(tokens) or not count or whole <= 0:
        return []
    behind = np.zeros(count + 1)
    best = np.full(count, -np.inf)
    for token in tokens:
        match, behind = _step(texts.row(token), behind, texts.price)
        np.maximum(best, match, out=best)
    ends = np.flatnonzero(best >= LEAST_COVERED * whole)
    ends = ends[np.argsort(-best[ends], kind="stable")]
    places: list[Place] = []
    taken = np.zeros(count, bool)  # ends inside a place that was found are ends of a part of it
    for end in ends:
        if len(places) == most:
            break
        if taken[end]:
            continue
        place = _ending_at(line, texts, int(end))
        taken[place.first : place.last + 1] = True
        if all(_shared(place, other) < OVERLAP for other in places):
            places.append(place)
    return sorted(places, key=lambda p: -p.covered)


def _shared(a: Place, b: Place) -> float:
    shared = min(a.last, b.last) + 1 - max(a.first, b.first)
    return max(0, shared) / min(a.last + 1 - a.first, b.last + 1 - b.first)


def place_within(line: int, texts: Heard, first: int, end: int) -> Place | None:
    """The best place of a line among the heard tokens from `first` to before `end`; None where none is there."""
    scores, behind = _scores(line, texts, first, end)
    if not scores.size or not np.isfinite(scores).any():
        return None
    i, j = np.unravel_index(int(scores.argmax()), scores.shape)
    return _traced(line, texts, first, scores, behind, int(i), int(j))


def _ending_at(line: int, texts: Heard, end: int) -> Place:
    """The best place of a line whose last matched word is the heard token `end`."""
    first = max(0, end - 3 * len(texts.lines[line]) - 12)
    scores, behind = _scores(line, texts, first, end + 1)
    return _traced(line, texts, first, scores, behind, int(scores[:, -1].argmax()), end - first)


def _scores(line: int, texts: Heard, first: int, end: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """`[m, W]` scores of matches of m tokens of a line with W heard tokens; `[m, W + 1]` best scores before."""
    price = texts.price[first : end + 1]
    behind = np.zeros(end - first + 1)
    matched, before = [], []
    for token in texts.lines[line]:
        before.append(behind)
        match, behind = _step(texts.row(token)[first:end], behind, price)
        matched.append(match)
    return np.array(matched), np.array(before)


def _traced(
    line: int, texts: Heard, first: int, scores: NDArray[np.float64], behind: NDArray[np.float64], i: int, j: int
) -> Place:
    tokens, price = texts.lines[line], texts.price[first:]
    matches = [(i, first + j)]
    while i and j and behind[i, j] > 1e-9:
        # behind[i, j] is the best earlier match less the price of the heard tokens in between
        earlier = scores[:i, :j] - (price[j] - price[1 : j + 1])
        k, at = np.unravel_index(int(earlier.argmax()), earlier.shape)
        if not earlier[k, at] > 1e-9:
            break
        i, j = int(k), int(at)
        matches.append((i, first + j))
    matches.reverse()
    worth = sum(float(texts.weights[tokens[i]] * texts.alike[tokens[i], texts.heard[j]]) for i, j in matches)
    return Place(tuple(matches), min(1.0, worth / max(texts.weight_of(line), 1e-6)))


def in_reading_order(texts: Heard) -> dict[int, tuple[tuple[int, int, float], ...]]:
    """The whole text aligned in its order: for each line, what of it was heard there.

    Returns `(token of the line, heard token, worth)` of every match, by line. Maximises the worth of all matches less
    the price of every run of matches that does not follow on the one before; words on either side may be left out.
    Rows are kept at the beginning of each block only, and made again, block by block, on the way back.
    """
    tokens = [(n, i, int(token)) for n, line in enumerate(texts.lines) for i, token in enumerate(line)]
    count = len(texts.heard)
    if not tokens or not count:
        return {}
    kept: list[tuple[Floats, Floats]] = []
    behind, match = np.zeros(count + 1, np.float32), np.full(count, -np.inf, np.float32)
    for k, (_, _, token) in enumerate(tokens):
        if k % BLOCK == 0:
            kept.append((behind, match))
        behind, match = _order_step(texts.row(token), behind, match)
    found: dict[int, list[tuple[int, int, float]]] = {}
    j, goes_on = count, False
    for block in range(len(kept) - 1, -1, -1):
        behind, match = kept.pop()
        rows = tokens[block * BLOCK : (block + 1) * BLOCK]
        came: list[tuple[NDArray[np.int32], NDArray[np.bool_]]] = []
        for _, _, token in rows:
            before, runs = behind, match
            behind, match = _order_step(texts.row(token), behind, match)
            came.append(_came(before, runs, match))
        for (line, i, token), (last, follows) in zip(reversed(rows), reversed(came), strict=True):
            # goes_on: the match of the row below follows on a match of this row, at the heard token before it
            at = j - 1 if goes_on else int(last[j])
            goes_on = False
            if at >= 0:
                worth = float(texts.weights[token] * texts.alike[token, texts.heard[at]])
                found.setdefault(line, []).append((i, at, worth))
                goes_on = bool(follows[at])
                j = at
    return {line: tuple(reversed(matches)) for line, matches in found.items()}


def _order_step(gain: Floats, behind: Floats, match: Floats) -> tuple[Floats, Floats]:
    """One token of the text: best scores behind each heard token `[N + 1]`, and of each match `[N]`."""
    new = behind[:-1] - np.float32(OPENING)
    np.maximum(new[1:], match[:-1], out=new[1:])
    new += gain
    new[gain <= 0] = -np.inf
    after = behind.copy()
    after[1:] = np.maximum.accumulate(np.maximum(behind[1:], new))
    return after, new


def _came(before: Floats, runs: Floats, match: Floats) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """How `_order_step` came to its scores, from those before and its matches.

    Returns int32 `[N + 1]`, the heard token that is matched on the best way to each place, -1 where this token of the
    text is left out; and bool `[N]`, whether each match follows on a match of the token before.
    """
    follows = np.zeros(len(match), bool)
    follows[1:] = runs[:-1] >= before[1:-1] - np.float32(OPENING)
    best = np.maximum.accumulate(match)
    is_new = match > np.concatenate([[np.float32(-np.inf)], best[:-1]])
    where = np.maximum.accumulate(np.where(is_new, np.arange(len(match), dtype=np.int32), np.int32(-1)))
    last = np.full(len(before), -1, np.int32)
    last[1:] = np.where(best > before[1:], where, -1)
    return last, follows
