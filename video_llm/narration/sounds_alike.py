"""How alike two words sound, for whole vocabularies at once: small recognisers mishear, and write what they misheard.

English spelling is brought to a coarse sound (`phonetic_key`: `knight` and `night` are `nIt`), and keys are compared by
edits that cost more between consonants than between vowels. Other languages are compared by their letters.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tvu.video_llm.narration.numerals import spoken

VOWELS = "aeiouAEIOU"
LONGEST = 24  # letters of a key that are compared
LEAST_SHARED = 0.35  # of the pairs of letters of two words, for them to be compared closely
LEAST = 0.5  # words less alike than this are different words
KIN = 0.4  # cost of one consonant for its voiced or nasal brother: `p` for `b`

_RULES = tuple(
    (re.compile(pattern), sound)
    for pattern, sound in (
        (r"[^a-z]", ""),
        (r"^(?:kn|gn|pn)", "n"),
        (r"^wr", "r"),
        (r"^ps", "s"),
        (r"^x", "z"),
        (r"igh", "I"),
        (r"augh|ough(?=t)", "o"),
        (r"(?<=[aeiou])gh$", "f"),
        (r"gh", ""),
        (r"ph", "f"),
        (r"tch|ch", "C"),
        (r"sh|(?:t|s)i(?=on|al|an)|ci(?=al|an|ous)", "S"),
        (r"sch", "sk"),
        (r"th", "T"),
        (r"ck|cc(?![eiy])|q(?:u(?=e$))?", "k"),
        (r"c(?=[eiy])", "s"),
        (r"c", "k"),
        (r"dg(?=[eiy])|j|g(?=[eiy])", "J"),
        (r"x", "ks"),
        (r"z", "s"),
        (r"mb$", "m"),
        (r"wh", "w"),
        (r"(?<=[a-zA-Z]{2})e$|(?<=[a-zA-Z]{2})e(?=s$)", ""),
        (r"ee|ea|ie(?!$)|ei", "i"),
        (r"oo|ou|ew|ue", "u"),
        (r"ai|ay|ey", "E"),
        (r"oa|ow", "o"),
        (r"au|aw", "o"),
        (r"(?<=[a-zA-Z])y", "i"),
        (r"(.)\1+", r"\1"),
    )
)
_KIN = ("pb", "td", "kg", "sz", "fv", "SC", "CJ", "mn", "lr", "TfdD", "sST", "JS", "vb", "wv", "ng")


@lru_cache(maxsize=200_000)
def phonetic_key(word: str) -> str:
    """The coarse sound of a token: capital letters are single sounds that take two letters; numbers sound as spoken."""
    if word[:1].isdigit() and word.replace(".", "").isdigit() and word.isascii():
        word = spoken(word)
    if not re.search(r"[a-z]", word):
        return word
    for pattern, sound in _RULES:
        word = pattern.sub(sound, word)
    return word


def _costs() -> NDArray[np.float32]:
    """float32 `[128, 128]`: the price of one sound for another, 0 to 1; row and column 0 are for none at all."""
    costs = np.ones((128, 128), np.float32)
    for kin in _KIN:
        for a in kin:
            for b in kin:
                costs[ord(a), ord(b)] = KIN
    vowels = [ord(v) for v in VOWELS]
    costs[np.ix_(vowels, vowels)] = 0.3
    costs[vowels, 0] = costs[0, vowels] = 0.5
    for silent in "hwr":
        costs[ord(silent), 0] = costs[0, ord(silent)] = 0.6
    np.fill_diagonal(costs, 0.0)
    return costs


_COST = _costs()
_TENTHS = np.rint(10 * _COST).astype(np.int32)  # the same, for long searches: whole numbers are compared in one step
_LEAST_COME = 5  # tenths, of a sound that was put in


def _coded(keys: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """int64 `[K, LONGEST]` letters of the keys, 0 behind their end, and int64 `[K]` their lengths."""
    codes = np.zeros((len(keys), LONGEST), np.int64)
    for i, key in enumerate(keys):
        letters = [min(ord(c), 127) if ord(c) < 128 else 1 + ord(c) % 31 for c in key[:LONGEST]]
        codes[i, : len(letters)] = letters
    return codes, np.array([min(len(key), LONGEST) for key in keys], np.int64)


def _distance(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.float32]:
    """float32 `[P]`: the cheapest edits from each row of `a` to its row of `b`, both `[P, LONGEST]`."""
    pairs = len(a)
    width = int((a != 0).sum(axis=1).max(initial=0)), int((b != 0).sum(axis=1).max(initial=0))
    row = np.zeros((width[1] + 1, pairs), np.float32)
    for j in range(width[1]):
        row[j + 1] = row[j] + _COST[0, b[:, j]] * (b[:, j] != 0)
    for i in range(width[0]):
        gone = _COST[a[:, i], 0] * (a[:, i] != 0)
        last, row = row, row.copy()
        row[0] = last[0] + gone
        for j in range(width[1]):
            come = _COST[0, b[:, j]] * (b[:, j] != 0)
            both = np.where((a[:, i] != 0) & (b[:, j] != 0), _COST[a[:, i], b[:, j]], np.inf)
            row[j + 1] = np.minimum(np.minimum(last[j] + both, last[j + 1] + gone), row[j] + come)
            row[j + 1] = np.where(a[:, i] == 0, last[j + 1], np.where(b[:, j] == 0, row[j], row[j + 1]))
    return row[width[1]]


def _weights(codes: NDArray[np.int64]) -> NDArray[np.float32]:
    return (_COST[codes, 0] * (codes != 0)).sum(axis=1)


def alikeness(a: Sequence[str], b: Sequence[str], *, pairs_at_once: int = 16_384) -> NDArray[np.float32]:
    """float32 `[A, B]` in [0, 1]: 1 for the same token, 0 for those that are different words.

    Only pairs that share enough pairs of letters are compared closely, so that vocabularies of thousands are fine.
    """
    out = np.zeros((len(a), len(b)), np.float32)
    if not a or not b:
        return out
    keys_a, keys_b = [phonetic_key(x) for x in a], [phonetic_key(x) for x in b]
    grams: dict[str, int] = {}
    for key in (*keys_a, *keys_b):
        for gram in _grams(key):
            grams.setdefault(gram, len(grams))
    of_b = _gram_rows(keys_b, grams)
    codes_a, length_a = _coded(keys_a)
    codes_b, length_b = _coded(keys_b)
    weight_a, weight_b = _weights(codes_a), _weights(codes_b)
    place = {token: j for j, token in enumerate(b)}
    for first in range(0, len(a), 512):
        of_a = _gram_rows(keys_a[first : first + 512], grams)
        shared = of_a @ of_b.T
        total = of_a.sum(axis=1)[:, None] + of_b.sum(axis=1)[None, :]
        heavier = np.maximum(weight_a[first : first + 512, None], weight_b[None, :])
        lighter = np.minimum(weight_a[first : first + 512, None], weight_b[None, :])
        # the difference in length alone must leave them alike
        rows, columns = np.nonzero((2 * shared >= LEAST_SHARED * total) & (lighter >= LEAST * heavier))
        by_length = np.lexsort((length_b[columns], length_a[rows + first]))  # pairs of short words need few steps
        rows, columns = rows[by_length], columns[by_length]
        for k in range(0, len(rows), pairs_at_once):
            i, j = rows[k : k + pairs_at_once] + first, columns[k : k + pairs_at_once]
            longer = np.maximum(np.maximum(weight_a[i], weight_b[j]), 1.0)
            close = 1 - _distance(codes_a[i], codes_b[j]) / longer
            # a short word is like many: it has to be closer to count
            least = LEAST + 0.15 * (np.minimum(weight_a[i], weight_b[j]) < 3)
            out[i, j] = np.where(close >= least, 0.95 * close, 0.0)
    for n, token in enumerate(a):
        if token in place:
            out[n, place[token]] = 1.0
    return out


def _grams(key: str) -> set[str]:
    """Pairs of neighbouring sounds, all vowels alike, with the edges."""
    plain = "^" + re.sub(f"[{VOWELS}]", "a", key) + "$"
    return {plain[i : i + 2] for i in range(len(plain) - 1)}


def _gram_rows(keys: Sequence[str], grams: dict[str, int]) -> NDArray[np.float32]:
    rows = np.zeros((len(keys), len(grams)), np.float32)
    for i, key in enumerate(keys):
        rows[i, [grams[g] for g in _grams(key)]] = 1.0
    return rows


def sounds_coded(key: str) -> NDArray[np.int64]:
    """int64 `[S]`: the sounds of a key, for `sounds_within` and `SoundsHeard`."""
    return np.array([min(ord(c), 127) for c in key], np.int64)


def _edits(needle: NDArray[np.int64], heard: NDArray[np.int64]) -> NDArray[np.float64]:
    """float64 `[S + 1]`: the cheapest edits from `needle` to a stretch of `heard` that ends behind each sound (Sellers
    1980)."""
    return _edited(np.zeros(len(heard) + 1), needle, heard)


def _edits_from(needle: NDArray[np.int64], heard: NDArray[np.int64]) -> NDArray[np.float64]:
    """float64 `[S + 1]`: the cheapest edits from `needle` to the first sounds of `heard`, by their number."""
    return _edited(np.concatenate([[0.0], np.cumsum(_COST[0, heard], dtype=np.float64)]), needle, heard)


def _edited(edits: NDArray[np.float64], needle: NDArray[np.int64], heard: NDArray[np.int64]) -> NDArray[np.float64]:
    come = np.concatenate([[0.0], np.cumsum(_COST[0, heard], dtype=np.float64)])
    for letter in needle:
        gone = _COST[letter, 0]
        changed = np.minimum(edits[:-1] + _COST[letter, heard], edits[1:] + gone)
        edits = np.concatenate([edits[:1] + gone, changed])
        edits = np.minimum.accumulate(edits - come) + come
    return edits


class SoundsHeard:
    """A long run of sounds to be searched for many others, with what each of these costs beside all of them.

    codes: int64 `[S]`, as `sounds_coded` gives. come: int32 `[S + 1]`, tenths that putting in all before each costs.
    """

    def __init__(self, codes: NDArray[np.int64]) -> None:
        self.codes = codes
        self.come = np.concatenate([[0], np.cumsum(_TENTHS[0, codes], dtype=np.int32)]).astype(np.int32)
        self._changes: dict[int, NDArray[np.int32]] = {}

    def changes(self, sound: int) -> NDArray[np.int32]:
        """int32 `[S]`: tenths that `sound` costs in place of each, less those of putting it in."""
        if sound not in self._changes:
            self._changes[sound] = _TENTHS[sound, self.codes] - _TENTHS[0, self.codes]
        return self._changes[sound]


def _edits_up_to(needle: NDArray[np.int64], heard: SoundsHeard, most: int) -> NDArray[np.int32]:
    """int32 `[S + 1]`: tenths of what `_edits` gives, exact where that is `most` tenths or less, else more than that.

    So many sounds cannot be put in in a row that a running minimum would be needed, which is one slow step a sound: the
    minimum over as many as can is had in a few quick ones, each of which looks twice as far back.
    """
    edits, spare = -heard.come, np.empty_like(heard.come)  # less `come`, so that putting in costs nothing
    changed = np.empty(len(heard.codes), np.int32)
    for sound in needle.tolist():
        np.add(edits[:-1], heard.changes(sound), out=changed)
        edits += _TENTHS[sound, 0]
        np.minimum(edits[1:], changed, out=edits[1:])
        reached = 0
        while reached < most // _LEAST_COME and reached + 1 < len(edits):
            back = reached + 1
            spare[:back] = edits[:back]
            np.minimum(edits[back:], edits[:-back], out=spare[back:])
            edits, spare = spare, edits
            reached += back
    return edits + heard.come


def sounds_within(needle: NDArray[np.int64], heard: NDArray[np.int64]) -> float:
    """Share of the sounds of `needle` that its best stretch of `heard` has, in [0, 1]; both as `sounds_coded` gives."""
    if not len(needle) or not len(heard):
        return 0.0
    return max(0.0, 1 - float(_edits(needle, heard).min()) / max(float(_COST[needle, 0].sum()), 1e-6))


def stretches_of(needle: NDArray[np.int64], heard: SoundsHeard, *, least: float, most: int) -> list[tuple[int, int]]:
    """Stretches of `heard`, first sound and the one behind the last, that have the share `least` of the sounds of
    `needle`; the best first, none over another. Words do not matter: recognisers hear others in the same sounds."""
    if not len(needle) or not len(heard.codes):
        return []
    allowed = int((1 - least) * int(_TENTHS[needle, 0].sum()) + 1e-6)
    edits = _edits_up_to(needle, heard, allowed)
    found: list[tuple[int, int]] = []
    ends = np.flatnonzero(edits <= allowed)
    for end in ends[np.argsort(edits[ends], kind="stable")].tolist():
        if len(found) == most:
            break
        if any(first < end + len(needle) // 2 and end - len(needle) // 2 < last for first, last in found):
            continue
        before = heard.codes[max(0, end - 2 * len(needle)) : end]
        if len(before):  # the beginning is where the same search ends that goes backwards from here
            backwards = _edits_from(needle[::-1], before[::-1])
            found.append((end - int(backwards.argmin()), end))
    return found
