"""How people name what an ImageNet network can see: classes, kinds of things, and everyday places and activities.

`class_words.txt` (from WordNet, see `wordnet.py`) holds a line a class: names, `|`, kinds it belongs to, nearest first.
`everyday_scenes.txt` holds places and activities as mixtures of classes.
"""

import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from tvu.video_llm.training.scenes import Split, Wording

HELD_OUT_PERCENT = 15


def _words(text: str) -> frozenset[str]:
    """What semicolons separate."""
    return frozenset(" ".join(text.split()).split("; "))


_NO_ARTICLE = _words(
    """
    hay; wool; dough; velvet; red wine; espresso; guacamole; consomme; eggnog; carbonara; toilet tissue; toilet
    paper; bathroom tissue; chain mail; ring mail; mail; corn; mashed potato; chocolate sauce; chocolate syrup;
    ice cream; icecream; lotion; face powder; hair spray; perfume; essence; rapeseed; broccoli; sunscreen;
    sunblock; brass; denim; wireless; food; fruit; furniture; clothing; footwear; sports equipment; game
    equipment; electronic equipment; fabric; bread; meat; crockery; tableware; makeup; alcohol; jewelry; armor;
    body armor; baked goods; public transport; photographic equipment; golf equipment; outerwear; neckwear;
    nightwear; hosiery; cutlery; handwear; citrus; paper; grain; wine; soup; lingerie; bedclothes; gear
    """
)
_SEVERAL = _words(
    """
    binoculars; field glasses; opera glasses; sunglasses; dark glasses; shades; parallel bars; bars; swimming
    trunks; bathing trunks; jammies; pj's; daddy longlegs; balusters; spectacles; blinds; tights
    """
)
_VOWEL = re.compile(r"^(?:[aio]|e(?!u)|u(?!ni|ti|te|se)|hour)", re.IGNORECASE)
_IRREGULAR = {"have": "has", "do": "does", "go": "goes", "be": "is"}
_DOUBLED = _words(
    "sit; run; swim; cut; put; stop; chop; stir; knit; hit; get; set; mop; begin; dig; pat; tap; hop; plan; grab"
)


def with_article(name: str) -> str:
    """`a dog`, `an owl`, `hay`, `a pair of sunglasses`."""
    if name in _NO_ARTICLE:
        return name
    if name in _SEVERAL:
        return f"a pair of {name}"
    return f"{'an' if _VOWEL.match(name) else 'a'} {name}"


def third_person(verb: str) -> str:
    """`carry` to `carries`."""
    if verb in _IRREGULAR:
        return _IRREGULAR[verb]
    if re.search(r"(?:s|x|z|ch|sh|o)$", verb):
        return verb + "es"
    return re.sub(r"(?<=[^aeiou])y$", "ie", verb) + "s"


def gerund(verb: str) -> str:
    """`sit` to `sitting`, `bake` to `baking`."""
    if verb in _DOUBLED:
        return verb + verb[-1] + "ing"
    if verb.endswith("ie"):
        return verb[:-2] + "ying"
    return (verb[:-1] if re.search(r"[^eoy]e$", verb) and verb != "be" else verb) + "ing"


def does(subject: str, phrase: str, is_plural: bool = False) -> Wording:
    """A subject that does what a phrase with its verb in the base form says: `does("a dog", "run fast")`."""
    verb, _, rest = phrase.partition(" ")
    return Wording(subject, verb, verb if is_plural else third_person(verb), gerund(verb), rest)


def is_held_out(words: str) -> bool:
    """Whether these words are kept for testing, once and for all."""
    return zlib.crc32(words.encode()) % 100 < HELD_OUT_PERCENT


def of_split(words: Sequence[str], split: Split) -> tuple[str, ...]:
    """Those words that belong to `split`; all of them if none does, for everything needs a name."""
    found = tuple(word for word in words if is_held_out(word) == (split == "held-out"))
    return found or tuple(words)


# --- classes ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ClassWords:
    """names: of one class, the first the best known; kinds: that it belongs to, nearest first."""

    names: tuple[str, ...]
    kinds: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.names:
            raise ValueError("a class needs a name")


@cache
def class_words() -> tuple[ClassWords, ...]:
    """Of the 1000 classes, in the order of their logits."""
    lines = _lines("class_words.txt")
    pairs = (line.partition("|") for line in lines)
    return tuple(ClassWords(_split(names), _split(kinds)) for names, _, kinds in pairs)


@cache
def members_of_kinds() -> dict[str, frozenset[int]]:
    """The classes of each kind; names of classes are kinds too, of every class that bears them."""
    found: dict[str, set[int]] = {}
    for index, words in enumerate(class_words()):
        for word in (*words.names, *words.kinds):
            found.setdefault(word.lower(), set()).add(index)
    return {word: frozenset(members) for word, members in found.items()}


SHOWN = (
    lambda thing: Wording(thing, "be", "is", "being", "shown"),
    lambda thing: Wording(thing, "be", "is", "being", "visible"),
    lambda thing: Wording(thing, "be", "is", "being", "on screen"),
    lambda thing: Wording(thing, "appear", "appears", "appearing"),
    lambda thing: Wording(thing, "be", "is", "being", "seen"),
    lambda thing: Wording(thing, "be", "is", "being", "in view"),
    lambda thing: Wording(thing, "be", "is", "being", "in the picture"),
)
_SHOWN_HELD_OUT = (
    lambda thing: Wording(thing, "be", "is", "being", "to be seen"),
    lambda thing: Wording(thing, "turn", "turns", "turning", "up"),
)


def shown(thing: str, split: Split) -> tuple[Wording, ...]:
    """Ways to say that `thing`, with its article, is in the picture."""
    ways: tuple[Callable[[str], Wording], ...] = SHOWN if split == "train" else _SHOWN_HELD_OUT
    return tuple(way(thing) for way in ways)


# --- scenes -------------------------------------------------------------------------------------------------

PEOPLE = (
    "someone",
    "a person",
    "a man",
    "a woman",
    "somebody",
    "people",
    "a young woman",
    "a guy",
    "two people",
    "a girl",
)
_PLURAL_PEOPLE = frozenset({"people", "two people"})


@dataclass(frozen=True)
class EverydayScene:
    """A place or an activity.

    phrases: as in the file, all true of it; classes: what of ImageNet it may show, with weights.
    """

    phrases: tuple[str, ...]
    classes: tuple[int, ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.phrases or not self.classes or len(self.classes) != len(self.weights) or min(self.weights) <= 0:
            raise ValueError(f"a scene needs phrases and classes with weights above 0, not {self}")

    @property
    def key(self) -> str:
        """What no other scene has."""
        return self.phrases[0]


@cache
def everyday_scenes() -> tuple[EverydayScene, ...]:
    """All of the file. Raises ValueError if it names a class that there is not."""
    numbers: dict[str, set[int]] = {}
    for index, words in enumerate(class_words()):
        for name in words.names:
            numbers.setdefault(name, set()).add(index)

    def number(name: str) -> int:
        bare, _, told = name.partition("#")
        found = {int(told)} & numbers.get(bare, set()) if told else numbers.get(bare, set())
        first = {i for i in found if class_words()[i].names[0] == bare}
        if len(found) > 1 and len(first) == 1:
            found = first
        if len(found) != 1:
            raise ValueError(f"{name!r} is no class, or several: {sorted(found)}")
        return next(iter(found))

    scenes = []
    for line in _lines("everyday_scenes.txt"):
        phrases, _, classes = line.partition("|")
        weighted = [entry.strip().rpartition(" ") for entry in classes.split(",")]
        scenes.append(
            EverydayScene(
                _split(phrases),
                tuple(number(name) for name, _, _ in weighted),
                tuple(float(weight) for _, _, weight in weighted),
            )
        )
    return tuple(scenes)


def scene_wordings(phrase: str, who: str, split: Split) -> tuple[Wording, ...]:
    """Ways to say one phrase of a scene. who: of `PEOPLE`, used where people do it."""
    if phrase.startswith("@"):
        return (does(who, phrase[1:].strip(), who in _PLURAL_PEOPLE),)
    for mark in ("~~", "~"):
        subject, found, does_what = phrase.partition(mark)
        if found:
            return (does(subject.strip(), does_what.strip(), mark == "~~"),)
    words = shown(phrase, split)
    if re.match(r"^(?:an?|the|somewhere|something|everything|people's)\b", phrase) is None and _is_plural(phrase):
        return tuple(_plural(wording) for wording in words)
    return words


def _is_plural(phrase: str) -> bool:
    head = re.split(r" (?:of|in|on|at|with|to|from|behind|among|by|round|under|that) ", phrase, maxsplit=1)[0].split()[
        -1
    ]
    if " and " in phrase and not phrase.endswith("time"):
        return True
    return head in {"people", "cattle", "children", "oxen", "feet", "passers-by"} or (
        head.endswith("s") and not head.endswith(("ss", "us", "is"))
    )


def _plural(wording: Wording) -> Wording:
    third = "are" if wording.base == "be" else wording.base
    return Wording(wording.subject, wording.base, third, wording.ing, wording.rest)


def _lines(file: str) -> list[str]:
    text = resources.files(__package__).joinpath(file).read_text("utf-8")
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(";") if part.strip())
