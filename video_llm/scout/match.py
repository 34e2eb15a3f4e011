"""Does a question mean these words? Shared by what is heard (`speech`) and what is read (`screen_text`).

A question has an address ("when does the speaker mention ...", "the caption with ...") and a content ("the price").
Content is compared
with each unit of words by meaning (sentence embeddings), by words (weighted by how rare they are in this video), by
letters (quotes, and
what recognition garbled) and by kind (a date, a price). A logistic regression turns these features into one
probability.
"""

import json
import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from functools import cache, lru_cache
from importlib import resources
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tvu.temporal.types import Span
from tvu.video_llm.logistic import Logistic
from tvu.video_llm.types import Evidence, ScoreCurve

CURVE_HZ = 4.0  # points a second of a score curve


class Sentences(Protocol):
    """What turns sentences into directions: `tvu.video_llm.sentence.SentenceEncoder`."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32 `[n, 384]`, L2-normalised."""
        ...

    def __hash__(self) -> int: ...


# --- questions --------------------

_QUOTED = re.compile(r"[\"“”«»]([^\"“”«»]+)[\"“”«»]|(?<!\w)['‘’]([^'‘’]{2,}(?:['’]\w+[^'‘’]*)*)['‘’](?!\w)")


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_SAID = _set(
    """
    say says said saying mention mentions mentioned talk talks talked talking speak speaks spoken speech tell tells
    told explain explains explained explanation describe describes described discuss discusses discussed announce
    announces announced announcement narrator narration speaker announcer presenter newsreader voice hear hears
    heard thank thanks quote quoted joke comment apologise apologises apologize apologizes
    """
)
_MAYBE_SAID = _set(
    """
    ask asks asked answer answers story lesson advice news forecast report reports reported warn warns warned
    warning introduce introduces suggest suggests complain complains complaint recommend recommended greet
    definition instruction instructions instructed tip fact question request host teacher lecturer professor guide
    reporter narrate called name names history origin memory verdict about how why
    """
)
_WRITTEN = _set(
    """
    caption captions captioned title titles titled text texts written write writing sign signs label labels subtitle
    subtitles headline heading banner credit credits credited letters readable reads read reading badge ticker
    lettering logo inscription scoreboard font
    """
)
_MAYBE_WRITTEN = _set(
    """
    word words display displayed shown screen message link announced notice disclaimer note number name poster
    """
)

# Words that only say how a question is asked, at its beginning and at its end.
_LEAD = _set(
    """
    when where which what at point moment moments part parts scene bit section segment in of on the a an do does did
    is are was were be being been can could we i you they he she it someone somebody anyone there find show me us
    locate tell that who about to and speaker narrator announcer presenter newsreader reporter host voice viewer
    says saying reading reads say mention mentions talk talks talking speak speaks explain explains describe
    describes discuss discusses announce announces word words caption captions title text sign label showing told
    with for
    """
)
_TAIL = _set(
    """
    appear appears appeared come comes up pop pops visible readable said mentioned spoken explained described
    discussed announced written displayed display screen shown aloud given heard on the as text caption told in is
    it this that picture
    """
)
_AFTERTHOUGHT = re.compile(
    r",\s+(?:when|where|at what|in which)\b.*$|,\s+the (?:\w+\s+)?(?:part|advice|instruction)\b.*$", re.IGNORECASE
)
_STOP = _set(
    """
    a an the of on in at to and or is are was were be been being it its this that these those i you he she we they
    me him her us them my your his our their do does did so as for with by from has have had will would can could
    not no but if then than there here when where which what who how about all some any up out into over very just
    only
    """
)


def quote_of(query: str) -> str | None:
    """The words between quotation marks, if there are any."""
    match = _QUOTED.search(query)
    return (match[1] or match[2]).strip() if match else None


def content_of(query: str) -> str:
    """What a question is about, without how it is asked: `the price` of "When do they talk about the price?".

    A quote is its own content. Never empty: a question that is nothing but address is returned as typed.
    """
    quote = quote_of(query)
    if quote:
        return quote
    words = _AFTERTHOUGHT.sub("", query.strip().rstrip("?!. ")).split()
    bare = [w.lower().strip(",.;:?!'\"()") for w in words]
    first, last = 0, len(words)
    while first < last and bare[first] in _LEAD:
        first += 1
    while last > first and bare[last - 1] in _TAIL:
        last -= 1
    return " ".join(words[first:last]).strip(" ,;:") or query.strip()


def addresses(query: str) -> dict[Evidence, float]:
    """How much a question addresses each channel, in [0, 1]: 1 is by name, 0.5 perhaps, 0 not at all.

    Pictures are addressed by whatever names no words.
    """
    outside = _QUOTED.sub(" ", query).lower()
    words = set(re.findall(r"[a-z]+", outside))
    said = 1.0 if words & _SAID else 0.5 if words & _MAYBE_SAID else 0.0
    written = 1.0 if words & _WRITTEN else 0.5 if words & _MAYBE_WRITTEN else 0.0
    if quote_of(query):
        said, written = (max(x, 0.5) for x in (said, written))
    return {"visual": 1.0 - max(said, written), "speech": said, "screen-text": written}


def telling_words(content: str) -> list[str]:
    """The plain words of a content but for those that any sentence has: `["12", "dollars"]` of "the twelve dollars"."""
    return [word for word in plain_words(content) if word not in _STOP]


_VERBATIM = re.compile(
    r"\b(?:says?|saying|said|mentions?|mentioned|words?|reads?|reading|names?|phrase|title|sign)\b"
    r"(?!\s+(?:that|how|when|who|why|where|with|about|of|appear)\b)"
)


def is_verbatim(query: str) -> bool:
    """Whether the content is likely to be the very words: a quote, or `the word sale`, `when is Kenya mentioned`."""
    return quote_of(query) is not None or bool(_VERBATIM.search(query.lower()))


# --- words, letters, kinds --------------------


def _numbered(words: str, start: int = 0, step: int = 1) -> dict[str, int]:
    return {word: start + step * i for i, word in enumerate(words.split())}


_UNITS = _numbered(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS = _numbered("twenty thirty forty fifty sixty seventy eighty ninety", start=20, step=10)
_SCALES = {"hundred": 100, "thousand": 1000, "million": 1_000_000, "billion": 1_000_000_000}
_ORDINALS = _numbered("first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth", start=1)


def plain_words(text: str) -> list[str]:
    """Lower-case words without accents or punctuation, numbers as digits: `["12", "dollars"]` of "Twelve dollars!"."""
    folded = "".join(
        c for c in unicodedata.normalize("NFKD", text.lower().replace("’", "'")) if not unicodedata.combining(c)
    )
    folded = re.sub(r"(?<=\d),(?=\d{3})", "", folded)
    words = re.findall(r"\d+(?:[.:]\d+)*|[^\W\d_]+(?:'[^\W\d_]+)?", folded)
    out: list[str] = []
    number: int | None = None
    step = 0  # the size of the last number word, to know what may follow it
    for word in [*words, ""]:
        value = _UNITS.get(word, _TENS.get(word))
        if number is not None and word in _SCALES:
            scale = _SCALES[word]
            number = number * scale if number < 1000 or scale > 1000 else number + (number % 1000) * (scale - 1)
            step = scale
            continue
        if (
            number is not None
            and value is not None
            and (step >= 100 or (step in range(20, 100, 10) and 0 < value < 10))
        ):
            number, step = number + value, value if value >= 10 else 1
            continue
        if number is not None and value is not None and 10 <= number < 100 and value >= 10:  # eighteen eighty three
            number, step = number * 100 + value, value
            continue
        if number is not None:
            out.append(str(number))
            number = None
        if value is not None or word in _SCALES:
            number = step = _SCALES[word] if value is None else value
        elif word:
            out.append(str(_ORDINALS[word]) if word in _ORDINALS else word)
    return [re.sub(r"^(\d+)(?:st|nd|rd|th)$", r"\1", w) for w in out]


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """A crude English stem: enough for `talks`, `talked`, `talking`, `berries` to meet."""
    word = word.removesuffix("'s")
    for ending, kept in (("ies", "y"), ("sses", "ss"), ("ing", ""), ("ed", ""), ("es", ""), ("s", "")):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            word = word[: len(word) - len(ending)] + kept
            break
    return word.removesuffix("e") if len(word) > 3 else word


def letters_alike(a: str, b: str) -> float:
    """Share of letters that two strings have in the same order, in [0, 1]."""
    return SequenceMatcher(None, a, b, autojunk=False).ratio() if a and b else 0.0


def found_in(needle: Sequence[str], words: Sequence[str]) -> float:
    """How literally `needle` occurs among `words`, in [0, 1]: 1 minus the wrong letters of the best stretch (Sellers
    1980), spaces ignored.

    Spaces are ignored because recognisers join and split words (`photo synthesis`, `BREAKINGNEWS`).
    """
    wanted = "".join(needle)
    if not wanted or not words:
        return 0.0
    if len(wanted) <= 3:  # so short that only the word itself counts
        return float(wanted in words)
    text = np.array([ord(c) for c in "".join(words)])
    places = np.arange(len(text) + 1)
    edits = np.zeros(len(text) + 1, np.int64)  # of the best stretch that ends at each place; it may start anywhere
    for letter in map(ord, wanted):
        changed = np.minimum(edits[:-1] + (text != letter), edits[1:] + 1)
        edits = np.concatenate([edits[:1] + 1, changed])
        edits = np.minimum.accumulate(edits - places) + places
    return max(0.0, 1 - float(edits.min()) / len(wanted))


_NUMBER = r"(?:\d[\d.,]*)"
_MONTH = (
    r"(?:january|february|march|april|may|june|july|august|september|october|november|december"
    r"|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)"
)
_DAY = r"(?:mon|tues|wednes|thurs|fri|satur|sun)day"
_KINDS: dict[str, tuple[str, str]] = {  # kind: what a question calls it, what it looks like in plain or raw words
    "price": (
        r"\bprices?\b|\bcosts?\b|how much|\bfees?\b|\bamount\b|\bsum of money\b|\bexpensive\b|\bpay\b",
        rf"[$€£¥]\s?\d|{_NUMBER}\s?(?:[$€£¥]|dollars?|euros?|pounds?|cents?|pence|usd|eur|gbp)\b|\b{_NUMBER}\s+\w+\s+(?:dollars|euros|pounds)\b|\b\d+\.\d\d\b",
    ),
    "date": (
        r"\bdates?\b|\bday and (?:a )?month\b|\bwhat day\b",
        rf"\b\d{{1,2}}\.?\s*(?:of )?{_MONTH}\b|\b{_MONTH}\.?\s*\d{{1,4}}\b|\b\d{{1,4}}[/.-]\d{{1,2}}[/.-]\d{{1,4}}\b",
    ),
    "year": (r"\byears?\b", r"\b(?:1[5-9]|20)\d\d\b"),
    "weekday": (r"\bweekdays?\b|\bdays? of the week\b|\bwhat day\b", rf"\b{_DAY}\b"),
    "month": (r"\bmonths?\b", rf"\b{_MONTH}\b"),
    "time": (
        r"\btimes? of (?:the )?day\b|\bclock\b|\bwhat time\b|\bhours?\b|\bopening (?:times|hours)\b",
        r"\b\d{1,2}[:.]\d\d\b|\b\d{1,2}\s?(?:am|pm|o'?clock)\b|\b24 hours\b|\b(?:open|close)s? at \d",
    ),
    "percent": (r"\bper ?cent(?:age)?\b", rf"{_NUMBER}\s?(?:%|per ?cent)"),
    "phone": (
        r"\b(?:tele)?phone\b|\bto call\b|\bring\b|\bcontact\b",
        r"\b\d{3}[\s-]?\d{3,4}\b|\+\d[\d\s-]{6,}|\b\d{7,}\b|(?:\b\d[\s,-]+){5}",
    ),
    "web": (
        r"\bweb\b|\bweb ?sites?\b|\burl\b|\blink\b|\bweb address\b",
        r"www|https?|\b[\w-]+\.(?:com|org|net|edu|gov|io|de|uk|fr|eu)\b",
    ),
    "email": (r"\be-?mail\b|\bmail\b", r"\S+@\S+"),
    "temperature": (r"\btemperatures?\b|\bdegrees\b|how (?:hot|cold|warm)", rf"{_NUMBER}\s?(?:°|degrees?|[cf]\b)"),
    "score": (r"\bscores?\b|\bresult\b|\bscoreboard\b", r"\b\d{1,3}\s?[-:]\s?\d{1,3}\b"),
    "number": (r"\bnumbers?\b|\bhow many\b|\bfigures?\b|\bstatistics?\b", _NUMBER),
}
_CLOSE = {
    "date": frozenset({"year", "weekday", "month"}),
    "time": frozenset({"number"}),
    "price": frozenset({"number"}),
}
_ASKED = {kind: re.compile(asked) for kind, (asked, _) in _KINDS.items()}
_SHAPE = {kind: re.compile(shape) for kind, (_, shape) in _KINDS.items()}


def kinds_asked(query: str) -> frozenset[str]:
    """The kinds of thing (`price`, `date`, `phone`, ...) that a question names outside its quotes."""
    outside = _QUOTED.sub(" ", query).lower()
    asked = frozenset(kind for kind, pattern in _ASKED.items() if pattern.search(outside))
    return asked - {"number"} or asked  # a phone number is no mere number


@lru_cache(maxsize=65536)
def kinds_in(text: str) -> frozenset[str]:
    """The kinds of thing that words contain, whether written in digits or spoken out."""
    spellings = (text.lower(), " ".join(plain_words(text)))
    return frozenset(kind for kind, pattern in _SHAPE.items() if any(pattern.search(s) for s in spellings))


# --- units, features, probability --------------------


@dataclass(frozen=True)
class Unit:
    """Words that may be an answer, and when: a sentence, two sentences, a title.

    is_joined: made of several sentences that are units themselves; is_part: a part of a sentence that is a unit itself.
    ends_inside: how many sentences end within it, where recognisers disagree the mean of what each heard.
    certainty: how sure the recogniser was, in [0, 1].
    """

    text: str
    span: Span
    is_joined: bool = False
    is_part: bool = False
    ends_inside: float = 0.0
    certainty: float = 1.0


@dataclass(frozen=True)
class WordIndex:
    """All units of one channel of one video with their meanings: `vectors` float32 `[U, 384]`, L2-normalised."""

    evidence: Evidence
    units: tuple[Unit, ...]
    vectors: NDArray[np.float32]
    words: tuple[tuple[str, ...], ...] = field(init=False)
    stems: tuple[frozenset[str], ...] = field(init=False)
    edges: NDArray[np.float64] = field(init=False)  # [U, 2] start and end in seconds
    inside: tuple[tuple[int, ...], ...] = field(init=False)  # of each unit, the smaller units within it

    def __post_init__(self) -> None:
        if len(self.vectors) != len(self.units):
            raise ValueError(f"{len(self.units)} units but {len(self.vectors)} vectors")
        words = tuple(tuple(plain_words(u.text)) for u in self.units)
        object.__setattr__(self, "words", words)
        object.__setattr__(self, "stems", tuple(frozenset(map(stem, w)) for w in words))
        edges = np.array([(u.span.start_seconds, u.span.end_seconds) for u in self.units]).reshape(-1, 2)
        object.__setattr__(self, "edges", edges)
        object.__setattr__(self, "inside", _nesting(edges))


def _nesting(edges: NDArray[np.float64]) -> tuple[tuple[int, ...], ...]:
    order = np.argsort(edges[:, 0], kind="stable")
    starts = edges[order, 0]
    found = []
    for start, end in edges:
        first, last = np.searchsorted(starts, [start - 1e-6, end])
        near = order[first:last]
        found.append(
            tuple(
                int(j) for j in near if edges[j, 1] <= end + 1e-6 and edges[j, 1] - edges[j, 0] < (end - start) * 0.95
            )
        )
    return tuple(found)


def build_index(evidence: Evidence, units: Sequence[Unit], sentences: Sentences) -> WordIndex:
    """Embed every unit once; an index serves any number of questions."""
    texts = [u.text for u in units]
    vectors = sentences.embed(texts) if texts else np.zeros((0, 384), np.float32)
    return WordIndex(evidence, tuple(units), vectors)


FEATURES = (
    "meaning",
    "typed",
    "margin",
    "words",
    "verbatim",
    "kind",
    "speech",
    "screen_text",
    "missing",
    "crossed",
    "part",
    "inner",
)
SPEAK_FOR = ("meaning", "typed", "margin", "words", "verbatim", "kind")  # may not have a negative weight
SPEAK_AGAINST = ("missing", "crossed", "inner")  # may not have a positive one


def features_of(index: WordIndex, query: str, sentences: Sentences) -> NDArray[np.float64]:
    """float64 `[U, len(FEATURES)]`: how each unit fits the question.

    meaning, typed: cosine with the content of the question, with the question as typed; margin: the better of the two
    above that of the best unit elsewhere. words: share of the content's words found, rare ones counting more.
    verbatim: letters of the content found in order, where the question gives the very words. kind: a kind of thing
    that is asked for is there. speech, screen_text: what the question addresses. missing: a number in the content, or
    the kind of thing asked for, is not there. crossed: sentences that end inside the unit; part: as in Unit; inner:
    how much closer the best smaller unit inside this one is, which then says it better.
    Nothing here knows how long a unit is or where: those are habits of a data set.
    """
    units = index.units
    if not units:
        return np.zeros((0, len(FEATURES)))
    content = content_of(query)
    cosine = np.clip(index.vectors @ sentences.embed([content, query]).T, 0, 1).astype(np.float64)  # [U, 2]
    best = cosine.max(axis=1)
    needle = plain_words(content) if is_verbatim(query) else []
    to = addresses(query)
    kind = np.array([_kind_there(kinds_asked(query), kinds_in(u.text)) for u in units])
    numbers = {w for w in plain_words(content) if w[0].isdigit() and (needle or w in query)}  # "two prices" counts them
    lost = [bool(numbers) and numbers.isdisjoint(words) for words in index.words]
    columns = {
        "meaning": cosine[:, 0],
        "typed": cosine[:, 1],
        "margin": best - _best_elsewhere(best, index),
        "words": _word_overlap(index, content),
        "verbatim": [max(0.0, 2 * found_in(needle, words) - 1) for words in index.words],
        "kind": np.maximum(kind, 0),
        "missing": np.maximum(lost, kind < 0),
        "speech": np.full(len(units), to["speech"]),
        "screen_text": np.full(len(units), to["screen-text"]),
        "crossed": [u.ends_inside for u in units],
        "part": [float(u.is_part) for u in units],
        "inner": np.maximum(0, _best_inside(best, index) - best + 0.05),
    }
    return np.stack([np.asarray(columns[name], np.float64) for name in FEATURES], axis=1)


def _kind_there(asked: frozenset[str], there: frozenset[str]) -> float:
    """1 where a kind that is asked for is there, 0.5 for something close to it, -1 where it is not, 0 where none is
    asked for."""
    if not asked:
        return 0.0
    if asked & there:
        return 1.0
    return 0.5 if any(_CLOSE.get(kind, frozenset()) & there for kind in asked) else -1.0


def _best_elsewhere(score: NDArray[np.float64], index: WordIndex) -> NDArray[np.float64]:
    """For each unit the best score of those that do not overlap it; its own where there are none."""
    starts, ends = index.edges.T
    by_end, by_start = np.argsort(ends, kind="stable"), np.argsort(starts, kind="stable")
    before = np.concatenate([[-1.0], np.maximum.accumulate(score[by_end])])  # best of the first k units to end
    after = np.concatenate([np.maximum.accumulate(score[by_start][::-1])[::-1], [-1.0]])
    elsewhere = np.maximum(
        before[np.searchsorted(ends[by_end], starts + 1e-6, side="right")],
        after[np.searchsorted(starts[by_start], ends - 1e-6, side="left")],
    )
    elsewhere = np.where(elsewhere < 0, score, elsewhere)
    # a unit made of others must not gain by having swallowed its rivals: it is compared with those of its best piece
    return np.array([elsewhere[max(inner, key=lambda j: score[j], default=i)] for i, inner in enumerate(index.inside)])


def _best_inside(score: NDArray[np.float64], index: WordIndex) -> NDArray[np.float64]:
    """For each unit the best score of the smaller units inside it; far below any where there are none."""
    return np.array([max((score[j] for j in inner), default=-1.0) for inner in index.inside])


def _word_overlap(index: WordIndex, content: str) -> NDArray[np.float64]:
    wanted = {stem(w) for w in telling_words(content)}
    if not wanted or not index.units:
        return np.zeros(len(index.units))
    single = [s for s, u in zip(index.stems, index.units, strict=True) if not (u.is_joined or u.is_part)]
    vocabulary = frozenset().union(*index.stems)
    found = np.zeros(len(index.units))
    total = 0.0
    for word in wanted:
        alike = {v: 1.0 if v == word else _alike(word, v) for v in vocabulary}
        alike = {v: a for v, a in alike.items() if a > 0}
        times = sum(1 for s in single if not alike.keys().isdisjoint(s))
        weight = math.log(1 + (len(single) + 1) / (times + 0.5))
        total += weight
        found += weight * np.array([max((alike[v] for v in s if v in alike), default=0.0) for s in index.stems])
    return found / total


def _alike(a: str, b: str) -> float:
    """1 for the same word misspelt a little, falling to 0 at a quarter of its letters wrong; short words and numbers
    must be equal."""
    if min(len(a), len(b)) < 4 or abs(len(a) - len(b)) > 2 or a.isdigit() or b.isdigit():
        return 0.0
    return max(0.0, (letters_alike(a, b) - 0.75) / 0.25)


@dataclass(frozen=True)
class WordCalibration(Logistic):
    """A logistic regression from features to the probability that a unit answers the question.

    Written by `python -P -m tvu.video_llm.scout.calibrate_words`; `weights` follows FEATURES.
    """

    names = FEATURES


@cache
def calibration_of(evidence: Evidence) -> WordCalibration:
    """The calibration that ships with the package."""
    table = json.loads(resources.files(__package__).joinpath("words_calibration.json").read_text("utf-8"))[evidence]
    return WordCalibration(table["intercept"], tuple(table["weights"][name] for name in FEATURES))


@dataclass(frozen=True)
class WordCandidate:
    """One possible answer: when, how probable, what was said or shown, and the features that say so."""

    evidence: Evidence
    span: Span
    probability: float
    phrase: str
    features: dict[str, float]


def score_words(
    index: WordIndex, query: str, sentences: Sentences, calibration: WordCalibration | None = None
) -> tuple[list[WordCandidate], ScoreCurve]:
    """Candidates, most probable first, and the curve of the best probability at each moment; both empty where nothing
    was said or shown."""
    features = features_of(index, query, sentences)
    probabilities = (calibration or calibration_of(index.evidence)).probability(features)
    order = np.argsort(-probabilities, kind="stable")
    candidates = [
        WordCandidate(
            index.evidence,
            index.units[i].span,
            float(probabilities[i]),
            index.units[i].text,
            dict(zip(FEATURES, features[i].tolist(), strict=True)),
        )
        for i in order
    ]
    return candidates, _curve(index, probabilities)


def _curve(index: WordIndex, probabilities: NDArray[np.float64]) -> ScoreCurve:
    end = max((u.span.end_seconds for u in index.units), default=0.0)
    times = np.arange(0, math.ceil(end * CURVE_HZ) + 1 if index.units else 0) / CURVE_HZ
    scores = np.zeros(len(times), np.float32)
    for unit, probability in zip(index.units, probabilities, strict=True):
        first, last = np.searchsorted(times, [unit.span.start_seconds, unit.span.end_seconds])
        scores[first:last] = np.maximum(scores[first:last], probability)
    return ScoreCurve(index.evidence, times, scores)
