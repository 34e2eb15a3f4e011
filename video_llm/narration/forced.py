"""Two texts on one clock: where the tokens of each line are among the tokens that were heard.

Both programmes are exact. `places_of` aligns one line with all that was heard, wherever it is (Smith and Waterman
1981), so that lines may come in any order and more than once; `in_reading_order` aligns the whole text at once, which
tells which of several places a short line means. Rows are arrays over heard tokens; only one row, or one block of rows,
is held at a time.

Hours of speech and their script are tens of thousands of words each, so neither programme looks at every pair. A line
is looked for only where an upper bound of its score, which costs one pass over what was heard, reaches what a place
needs: nothing is lost by it. The whole text is aligned within a band around words that are said once and written once
in a row (`reading_band`); within the band it is exact.
"""

import math
from bisect import bisect_left
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
ALL_CELLS = 4_000_000  # words by words, up to which the order of a text is looked for without a band
IN_A_ROW = 3  # words that are said once and written once, and hold the band
MARGIN = 250  # words of the text around each word, within which they do not
IN_ORDER = 0.5  # of such words, in the order of the text: with fewer it is none, and there is no band
COMMON = words_of(
    """
    a an the of on in at to and or is are was were be been it its this that these those i you he she we they me him
    her us them my your his our their do does did so as for with by from has have had will would can could not no
    but if then than there here all some up out into over very just only
    """
)
COMMON_WEIGHT = 0.5  # of such a word beside another that is as frequent here

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


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

    def row(self, token: int, first: int = 0, end: int | None = None) -> Floats:
        """float32 `[N]`: what a match of one word of the text with each heard token from `first` to before `end` is
        worth; 0 is no match."""
        return self.weights[token] * self.alike[token][self.heard[first:end]]

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
    where = _promising(line, texts)
    best = _best_ending(line, texts, where)
    ends = np.flatnonzero(best >= LEAST_COVERED * whole)
    ends = where[ends[np.argsort(-best[ends], kind="stable")]]
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


def _promising(line: int, texts: Heard) -> Ints:
    """int64 `[K]`: the heard tokens that any place of a line can be among, rising, with -1 between stretches.

    Were each heard token matched with whichever word of the line it is worth most with, in any order and as often as
    it comes, the score could only be higher. That takes one pass (Kadane's), and what it starts from is 0 wherever the
    true score is.
    """
    tokens = np.unique(texts.lines[line])
    gain = (texts.weights[tokens, None] * texts.alike[tokens]).max(axis=0)[texts.heard].astype(np.float64)
    total = np.cumsum(np.where(gain > 0, gain, -np.diff(texts.price)))
    bound = total - np.minimum.accumulate(np.concatenate([[0.0], total[:-1]]))
    stretch = np.cumsum(bound <= 0)
    reached = np.unique(stretch[bound >= LEAST_COVERED * texts.weight_of(line) - 1e-3])
    where = np.flatnonzero((bound > 0) & np.isin(stretch, reached))
    return np.insert(where, np.flatnonzero(np.diff(where) > 1) + 1, -1)


def _best_ending(line: int, texts: Heard, where: Ints) -> NDArray[np.float64]:
    """float64 `[K]`: the best score of a place of a line that ends with the match of each token of `where`."""
    between = where < 0
    heard = texts.heard[where]
    skip = np.where(between, texts.weight_of(line) + 1.0, np.diff(texts.price)[where])  # no place goes on over -1
    price = np.concatenate([[0.0], np.cumsum(skip)])
    behind = np.zeros(len(where) + 1)
    best = np.full(len(where), -np.inf)
    for token in texts.lines[line]:
        gain = texts.weights[token] * texts.alike[token][heard]
        gain[between] = 0.0
        match, behind = _step(gain, behind, price)
        np.maximum(best, match, out=best)
    return best


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
        match, behind = _step(texts.row(token, first, end), behind, price)
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


def in_reading_order(texts: Heard, band: Ints | None = None) -> dict[int, tuple[tuple[int, int, float], ...]]:
    """The whole text aligned in its order: for each line, what of it was heard there.

    band: int64 `[M, 2]`, of each of the M tokens of the text the heard tokens it may match, first and the one behind
    the last, neither ever falling, and each beginning within the one before; by default `reading_band`.
    Returns `(token of the line, heard token, worth)` of every match, by line. Maximises the worth of all matches less
    the price of every run of matches that does not follow on the one before; words on either side may be left out.
    Rows are kept at the beginning of each block only, and made again, block by block, on the way back.
    """
    tokens = [(n, i, int(token)) for n, line in enumerate(texts.lines) for i, token in enumerate(line)]
    if not tokens or not len(texts.heard):
        return {}
    edges: list[tuple[int, int]] = [(a, b) for a, b in (reading_band(texts) if band is None else band).tolist()]
    kept: list[tuple[Floats, Floats]] = []
    width = edges[0][1] - edges[0][0]
    behind, match = np.zeros(width + 1, np.float32), np.full(width, -np.inf, np.float32)
    for k, (_, _, token) in enumerate(tokens):
        if k % BLOCK == 0:
            kept.append((behind, match))
        behind, runs = _moved(behind, match, edges[max(k - 1, 0)], edges[k])
        behind, match = _order_step(texts.row(token, *edges[k]), behind, runs)
    found: dict[int, list[tuple[int, int, float]]] = {}
    j, goes_on = len(texts.heard), False
    for block in range(len(kept) - 1, -1, -1):
        behind, match = kept.pop()
        rows = range(block * BLOCK, min((block + 1) * BLOCK, len(tokens)))
        came: list[tuple[NDArray[np.int32], NDArray[np.bool_]]] = []
        for k in rows:
            before, runs = _moved(behind, match, edges[max(k - 1, 0)], edges[k])
            behind, match = _order_step(texts.row(tokens[k][2], *edges[k]), before, runs)
            came.append(_came(before, runs, match))
        for k, (last, follows) in zip(reversed(rows), reversed(came), strict=True):
            (line, i, token), (first, end) = tokens[k], edges[k]
            # goes_on: the match of the row below follows on a match of this row, at the heard token before it
            at = j - 1 - first if goes_on else int(last[min(j, end) - first])
            goes_on = False
            if at >= 0:
                goes_on = bool(follows[at])
                j = first + at
                worth = float(texts.weights[token] * texts.alike[token, texts.heard[j]])
                found.setdefault(line, []).append((i, j, worth))
    return {line: tuple(reversed(matches)) for line, matches in found.items()}


def reading_band(texts: Heard) -> Ints:
    """int64 `[M, 2]`: of each token of the text the heard tokens that it may match where it is said in its order.

    Words in a row that are said once and written once are tied to each other, as many as keep their order (as in
    patience diff); a token may match what lies between the ties `MARGIN` tokens before it and after it. All heard
    tokens where the texts are short, or where few of the ties keep their order.
    """
    written = np.concatenate(texts.lines) if texts.lines else np.zeros(0, np.int64)
    count = len(texts.heard)
    band = np.tile(np.array([0, count]), (len(written), 1))
    if len(written) * count <= ALL_CELLS:
        return band
    same = np.full(len(texts.alike), -1)
    rows, columns = np.nonzero(texts.alike == 1.0)
    same[rows] = columns
    of_text, at_text = _told_once(same[written])
    of_heard, at_heard = _told_once(texts.heard)
    _, a, b = np.intersect1d(of_text, of_heard, assume_unique=True, return_indices=True)
    by_text = np.argsort(at_text[a])
    said = at_heard[b][by_text]
    tied = _longest_rising(said.tolist())
    if not tied or len(tied) < IN_ORDER * len(said):
        return band
    text, heard = at_text[a][by_text][tied], said[tied]
    here = np.arange(len(written))
    before, after = np.searchsorted(text, here - MARGIN, side="right"), np.searchsorted(text, here + MARGIN)
    band[:, 0] = np.concatenate([[0], heard])[before]
    band[:, 1] = np.concatenate([heard + 1, [count]])[after]
    return band


def _told_once(tokens: Ints) -> tuple[Ints, Ints]:
    """Codes of `IN_A_ROW` tokens in a row that come once, none below 0 among them, and where they begin."""
    runs = np.lib.stride_tricks.sliding_window_view(tokens, IN_A_ROW) if len(tokens) >= IN_A_ROW else tokens[:0, None]
    begins = np.flatnonzero((runs >= 0).all(axis=1))
    codes = runs[begins] @ (1 << 20 * np.arange(runs.shape[1], dtype=np.int64))
    unique, first, times = np.unique(codes, return_index=True, return_counts=True)
    return unique[times == 1], begins[first[times == 1]]


def _longest_rising(values: Sequence[int]) -> list[int]:
    """Places of as many values as rise strictly (Schensted 1961)."""
    lowest: list[int] = []  # that ends a rising run of each length
    at: list[int] = []
    before = []
    for place, value in enumerate(values):
        length = bisect_left(lowest, value)
        before.append(at[length - 1] if length else -1)
        lowest[length : length + 1] = [value]
        at[length : length + 1] = [place]
    rising = []
    place = at[-1] if at else -1
    while place >= 0:
        rising.append(place)
        place = before[place]
    return rising[::-1]


def _moved(behind: Floats, match: Floats, old: tuple[int, int], new: tuple[int, int]) -> tuple[Floats, Floats]:
    """The scores of a row where the next row of the band has them: `[W + 1]` best behind each heard token, and `[W]`
    of the match of the token before with the heard token before each."""
    left, right = new[0] - old[0], new[1] - old[1]
    if left or right:
        behind = np.concatenate([behind[left:], np.full(right, behind[-1], np.float32)])
    runs = np.full(new[1] - new[0], -np.inf, np.float32)
    known = match[max(left - 1, 0) : left - 1 + len(runs)]
    runs[int(left == 0) : int(left == 0) + len(known)] = known
    return behind, runs


def _order_step(gain: Floats, behind: Floats, runs: Floats) -> tuple[Floats, Floats]:
    """One token of the text: best scores behind each heard token `[W + 1]`, and of each match `[W]`."""
    new = np.maximum(behind[:-1] - np.float32(OPENING), runs)
    new += gain
    new[gain <= 0] = -np.inf
    after = behind.copy()
    after[1:] = np.maximum.accumulate(np.maximum(behind[1:], new))
    return after, new


def _came(before: Floats, runs: Floats, match: Floats) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """How `_order_step` came to its scores, from those before and its matches.

    Returns int32 `[W + 1]`, the heard token of the band that is matched on the best way to each place, -1 where this
    token of the text is left out; and bool `[W]`, whether each match follows on a match of the token before.
    """
    follows = runs >= before[:-1] - np.float32(OPENING)
    best = np.maximum.accumulate(match)
    is_new = match > np.concatenate([[np.float32(-np.inf)], best[:-1]])
    where = np.maximum.accumulate(np.where(is_new, np.arange(len(match), dtype=np.int32), np.int32(-1)))
    last = np.full(len(before), -1, np.int32)
    last[1:] = np.where(best > before[1:], where, -1)
    return last, follows
