"""One video while it is composed: shots, cameras, things in them, and what is true of it all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.random import Generator

from tvu.temporal.types import Span
from tvu.video_llm.training.acts import Act, Actor, Form, Times
from tvu.video_llm.training.assets import Assets, Named, with_article
from tvu.video_llm.training.drawing import COLORS
from tvu.video_llm.training.rendering import Floats, Layer
from tvu.video_llm.training.scenes import Event, Wording

FPS = 8
SPRITE_FILL = 0.97  # of the side of its square that a cut-out thing takes


@dataclass(frozen=True)
class Subject:
    """Who or what does something, in words.

    name: `a red square`; wider: other words that are true as long as nothing else in the video is one (`an animal`).
    words: nouns that would be true of it as well, so nothing with one of them is said to be absent.
    """

    name: str
    is_plural: bool = False
    wider: tuple[str, ...] = ()
    words: frozenset[str] = frozenset()
    color: str = ""
    shape: str = ""


@dataclass(frozen=True, eq=False)
class Member:
    """A subject and how it looks: index of its sprite, tint RGB, width over height."""

    subject: Subject
    picture: int
    tint: np.ndarray
    aspect: float


CAMERA = Subject("the camera")
PICTURE = Subject("the picture")


@dataclass(frozen=True)
class Draft:
    """An event before the whole video is known. seen: whose deed; also: other doers whose deed it is too."""

    span: Span
    subject: Subject
    ways: tuple[Form, ...]
    name: str
    kind: str
    tags: frozenset[str]
    facts: Mapping[str, str]
    also: tuple[Subject, ...] = ()


@dataclass(eq=False)
class Camera:
    """Where the camera of a shot looks, for each of its frames: the middle, how close, how far it is tilted."""

    x: Times
    y: Times
    zoom: Times
    roll: Times

    @classmethod
    def still(cls, n: int) -> "Camera":
        return cls(np.zeros(n), np.zeros(n), np.ones(n), np.zeros(n))

    def view(self, aspect: float) -> tuple[np.ndarray, np.ndarray]:
        """Matrices `[n, 2, 2]` and offsets `[n, 2]` from places to the screen."""
        cos, sin = np.cos(self.roll) * self.zoom, np.sin(self.roll) * self.zoom
        matrix = np.stack([np.stack([cos / aspect, -sin / aspect], 1), np.stack([sin, cos], 1)], 1)
        offset = -np.einsum("nij,nj->ni", matrix, np.stack([self.x, self.y], 1))
        return matrix, offset


@dataclass(eq=False)
class Shot:
    """Frames `first` to `last` (not included) that show one place.

    start, end: seconds, when it counts as shown: in the middle of a dissolve.
    busy: acts lie between these seconds. fade: opacity of everything in it, `[n]`.
    """

    first: int
    last: int
    start: float
    end: float
    busy: tuple[float, float]
    fade: Times
    aspect: float
    camera: Camera
    layers: list[Layer] = field(default_factory=list)
    is_calm: bool = True  # the camera does nothing that one would speak of

    @property
    def times(self) -> Times:
        return np.arange(self.first, self.last) / FPS

    def plate(self, picture: int, tint: Sequence[float] | np.ndarray, cover: float, mirrored: bool = False) -> None:
        """A photograph behind everything."""
        half = max(1.0, self.aspect * 0.75) * cover
        n = self.last - self.first
        local = np.tile(np.diag([half * 4 / 3 * (-1 if mirrored else 1), half]), (n, 1, 1))
        self._add("photo", picture, local, np.zeros((n, 2)), np.ones(n), np.tile(np.array(tint), (n, 1)))

    def thing(self, picture: int, actor: Actor) -> None:
        """A sprite as its actor moves."""
        reach = actor.size * max(1.0, actor.aspect) / SPRITE_FILL
        cos, sin = np.cos(actor.angle), np.sin(actor.angle)
        wide = reach * actor.wide
        local = np.stack([np.stack([cos * wide, -sin * reach], 1), np.stack([sin * wide, cos * reach], 1)], 1)
        tint = actor.color * actor.glow[:, None]
        self._add("sprite", picture, local, np.stack([actor.x, actor.y], 1), actor.opacity, tint)

    def box(
        self, picture: int, x: Times, y: Times, half: tuple[Times, Times], angle: Times, color: Times, opacity: Times
    ) -> None:
        """A part that is stretched to a box of any size; arrays over the frames."""
        cos, sin = np.cos(angle), np.sin(angle)
        wide, high = half
        local = np.stack([np.stack([cos * wide, -sin * high], 1), np.stack([sin * wide, cos * high], 1)], 1)
        self._add("sprite", picture, local, np.stack([x, y], 1), opacity, color)

    def _add(
        self, bank: str, picture: int, local: np.ndarray, place: np.ndarray, opacity: Times, tint: np.ndarray
    ) -> None:
        matrix, offset = self.camera.view(self.aspect)
        affine = np.empty((len(local), 2, 3), np.float32)
        affine[:, :, :2] = matrix @ local
        affine[:, :, 2] = np.einsum("nij,nj->ni", matrix, place) + offset
        self.layers.append(
            Layer(
                "photo" if bank == "photo" else "sprite",
                picture,
                self.first,
                affine,
                (opacity * self.fade).astype(np.float32),
                tint.astype(np.float32),
            )
        )


@dataclass(eq=False)
class Stage:
    """A video in the making."""

    rng: Generator
    assets: Assets
    sprites: np.ndarray  # indices that may be used
    photos: np.ndarray
    is_held_out: bool
    frames: int
    aspect: float
    gain: Floats = field(init=False)
    offset: Floats = field(init=False)
    blur: Floats = field(init=False)
    drafts: list[Draft] = field(default_factory=list)
    present: list[Subject] = field(default_factory=list)  # everything that is seen, also what no event speaks of
    denied: list[Wording] = field(default_factory=list)  # what is known not to happen, and very near to what does
    members: list[Member] = field(default_factory=list)  # things that were in a shot, and may be in another

    def __post_init__(self) -> None:
        self.gain = np.ones(self.frames, np.float32)
        self.offset = np.zeros(self.frames, np.float32)
        self.blur = np.zeros(self.frames, np.float32)

    @property
    def seconds(self) -> float:
        return self.frames / FPS

    def part(self, name: str) -> int:
        """Index of a drawn shape or part."""
        return self.assets.shape_index[name]

    def tell(
        self,
        start: float,
        end: float,
        subject: Subject,
        act: Act | None = None,
        *,
        ways: tuple[Form, ...] = (),
        name: str = "",
        kind: str = "",
        tags: frozenset[str] = frozenset(),
        facts: Mapping[str, str] | None = None,
        also: tuple[Subject, ...] = (),
    ) -> None:
        """Note that something happens from `start` to `end`, as an act or in words of its own."""
        span = Span(max(start, 0.0), min(end, self.seconds))
        if span.end_seconds - span.start_seconds < 0.05:
            return
        told = dict(facts or {})
        if subject.color:
            told.setdefault("color", subject.color)
        if act is not None:
            ways, name, tags = act.ways, act.name, act.tags
            told = {**act.facts, **told}
            kind = kind or act.kind
        self.drafts.append(Draft(span, subject, ways, name, kind or name, tags, told, also))

    def deny(self, subject: Subject, way: Form) -> None:
        """Note that something does not happen."""
        self.denied.append(way.told_of(subject.name, subject.is_plural))

    def used_tags(self, subject: Subject) -> set[str]:
        """All that one could say that this subject does."""
        return {
            tag for d in self.drafts if subject.name in (d.subject.name, *(s.name for s in d.also)) for tag in d.tags
        }

    def deeds(self, subject: Subject) -> dict[str, str]:
        """For each tag of this subject, the act that brought it."""
        return {tag: d.name for d in self.drafts if d.subject.name == subject.name for tag in d.tags}


# --- subjects -------------------------------------------------------------------------------------------------

SAME = (
    {"car", "automobile", "taxi", "police car", "van", "camper"},
    {"rabbit", "bunny"},
    {"boat", "ship", "rowboat", "sailboat", "canoe", "speedboat", "boats", "motorboat"},
    {
        "tower",
        "building",
        "skyscraper",
        "palace",
        "castle",
        "house",
        "fortress",
        "town",
        "cathedral",
        "church",
        "village",
        "city",
        "houses",
    },
    {"man", "woman", "boy", "girl", "person", "player", "baby", "singers", "dancers", "musicians", "orchestra"},
    {"beach", "palm", "sea", "tree"},
    {"desert", "dune", "sand"},
    {"bicycle", "bike", "cyclist"},
    {"bear", "panda"},
    {"lizard", "chameleon", "gecko", "iguana", "crocodile"},
    {"butterfly", "moth"},
    {"dinosaur", "dragon"},
    {"cat", "kitten"},
    {"monkey", "gorilla", "gibbon", "orangutan", "chimpanzee", "baboon"},
    {"cow", "bull", "calf", "ox", "buffalo", "bison"},
    {"sheep", "lamb", "ram", "goat", "ibex"},
    {"chicken", "rooster", "hen", "chick", "chickens", "turkey"},
    {"leaf", "leaves", "tree", "trees", "bush", "forest", "plant"},
    {"sea", "water", "lake", "waves", "stream", "ocean"},
    {"mountain", "mountains", "cliff", "volcano", "rock", "stones", "pebbles", "gravel"},
    {"light", "lamp", "bulb", "sun", "moon"},
    {"shoe", "boot", "sneaker"},
    {"fire", "flame", "candle"},
    {"phone", "telephone", "receiver"},
    {"mouse", "rat"},
    {"wolf", "dog", "puppy", "fox", "poodle"},
    {"frog", "toad"},
    {"orange", "tangerine", "lemon", "lime", "grapefruit"},
    {"leopard", "cheetah", "jaguar", "tiger", "lion"},
    {"camel", "camels", "llama", "alpaca"},
    {"computer", "laptop", "television", "screen"},
    {"glass", "cup", "mug", "teapot"},
    {"pepper", "tomato"},
    {"meat", "bacon"},
    {"bird", "birds"},
    {"flower", "flowers", "dandelions"},
    {"truck", "tractor", "lorry", "engine"},
    {"square", "rectangle", "block", "box", "diamond"},
    {"circle", "ball", "oval", "ring"},
)
"""Things that one may take for each other."""


@cache
def words_of(named: Named) -> frozenset[str]:
    """Nouns that may be true of a picture."""
    words = {named.head, named.head.rstrip("s"), *named.kinds, *named.noun.split(" ")}
    for group in SAME:
        if words & group:
            words |= group
    return frozenset(words)


@cache
def subject_of(named: Named, color: str = "", count: str = "") -> Subject:
    """A picture as a subject; color: of a drawn shape; count: `three` of them."""
    if count:
        noun = f"{color} {named.noun}".strip()
        return Subject(f"{count} {plural(noun)}", True, (), words_of(named), color, named.noun if color else "")
    if color:
        name = named.caption.replace("the ", f"the {color} ") if named.caption.startswith("the ") else ""
        name = name or with_article(f"{color} {named.noun}")
        return Subject(name, False, (), words_of(named), color, named.noun)
    wider = tuple(with_article(kind) for kind in named.kinds if not named.is_plural)
    return Subject(named.caption, named.is_plural, wider, words_of(named))


def plural(noun: str) -> str:
    """`birds`; the head of a phrase with `of` is before it."""
    head, of, rest = noun.partition(" of ")
    irregular = {"man": "men", "woman": "women", "mouse": "mice", "foot": "feet", "tooth": "teeth", "goose": "geese"}
    *first, last = head.split(" ")
    if last in ("fish", "sheep", "deer", "bison", "squid", "shrimp", "scissors", "glasses"):
        new = last
    elif last in irregular:
        new = irregular[last]
    elif last.endswith(("s", "sh", "ch", "x", "z")):
        new = last + "es"
    elif last.endswith("y") and last[-2] not in "aeiou":
        new = last[:-1] + "ies"
    elif last in ("leaf", "wolf", "calf", "scarf", "elf", "loaf", "shelf"):
        new = last[:-1] + "ves"
    elif last in ("knife", "wife"):
        new = last[:-2] + "ves"
    else:
        new = last + "s"
    return " ".join([*first, new]) + of + rest


def are_alike(a: Subject, b: Subject) -> bool:
    """Whether one could take one for the other."""
    if a.color and b.color and a.shape and b.shape:
        return a.color == b.color and bool(a.words & b.words)
    return bool(a.words & b.words)


def is_shape_free(color: str, shape: str, is_held_out: bool) -> bool:
    """Whether this shape in this colour belongs to the split: a fifth of the pairs is held out."""
    number = list(COLORS).index(color) * 7 + sum(map(ord, shape))
    return (number % 5 == 0) == is_held_out


# --- the whole truth ------------------------------------------------------------------------------------------


def events_of(stage: Stage) -> tuple[Event, ...]:
    """The drafts as events, with wider words where they are true of one thing only."""
    names = {subject.name for subject in stage.present}
    owners: dict[str, set[str]] = {}
    for subject in stage.present:
        for word in subject.words:
            owners.setdefault(word, set()).add(subject.name)
    out = []
    for draft in stage.drafts:
        subject = draft.subject
        told = [form.told_of(subject.name, subject.is_plural) for form in draft.ways]
        for wider in subject.wider:
            noun = wider.split(" ", 1)[1]
            if owners.get(noun, set()) <= {subject.name} and wider not in names and not draft.also:
                told += [form.told_of(wider, False) for form in draft.ways[:2]]
        out.append(Event(draft.span, tuple(told), f"{subject.name}|{draft.name}", draft.kind, draft.facts))
    return tuple(sorted(out, key=lambda event: (event.span.start_seconds, event.span.end_seconds)))


def unique(wordings: Sequence[Wording]) -> tuple[Wording, ...]:
    """The wordings, each once, in their order."""
    return tuple(dict.fromkeys(wordings))
