"""What hands do before a near camera, as keyframes, and how it is said."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any, Final, Literal

import numpy as np

from tvu.video_llm.training.hand_shapes import GRIPS, NAMES, PLACES, Array
from tvu.video_llm.training.kinematics import Track

SIDES: Final = (0, 1)  # left, right
_GRIP: Final = slice(PLACES["thumb"], PLACES["oppose"] + 1)
View = Literal["table", "front"]


class HandAnimator:
    """Keyframes of two hands under construction, seconds; what is set last is what holds. `main` does what one hand
    does: the right one as a rule."""

    def __init__(self, rng: np.random.Generator, view: View, hands: Sequence[int]) -> None:
        self.rng, self.view, self.hands = rng, view, tuple(hands)
        self.main = self.hands[int(rng.integers(len(self.hands)))] if rng.random() < 0.15 else self.hands[-1]
        self.home = rng.uniform(0.2, 0.36), rng.uniform(-0.3, -0.05)
        self.keys: list[list[tuple[float, Array]]] = [[], []]
        self.rests = [self._rest(hand) for hand in SIDES]
        for hand in SIDES:
            self.keys[hand].append((0.0, self.rests[hand].copy()))

    def _rest(self, hand: int) -> Array:
        rng, sign = self.rng, 1 if hand else -1
        numbers = np.zeros(len(NAMES))
        numbers[PLACES["x"]] = sign * self.home[0] if len(self.hands) > 1 else rng.uniform(-0.15, 0.25)
        numbers[PLACES["y"]] = self.home[1]
        is_table = self.view == "table"
        numbers[PLACES["yaw"]] = (180 if is_table else 0) + rng.normal(0, 20)
        numbers[PLACES["pitch"]] = rng.normal(10 if is_table else 0, 10)
        numbers[PLACES["roll"]] = rng.normal(-22 if is_table else 0, 10)  # fingers of both point inwards
        numbers[_GRIP] = GRIPS["relaxed"]
        numbers[PLACES["there"]] = float(hand in self.hands)
        return numbers

    def last(self, hand: int) -> Array:
        return self.keys[hand][-1][1]

    def set(self, at: float, hand: int, grip: str | None = None, **numbers: float) -> None:
        """Be so at `at`: numbers that are named, as said; angles and places from those of rest by `d` before them
        (`dx`, `droll`)."""
        value = self.last(hand).copy()
        if grip is not None:
            value[_GRIP] = np.clip(GRIPS[grip] + self.rng.normal(0, 0.04, 7), 0, 1)
        for name, number in numbers.items():
            if name in PLACES:
                value[PLACES[name]] = number
            else:
                value[PLACES[name[1:]]] = self.rests[hand][PLACES[name[1:]]] + number
        self.put(at, hand, value)

    def put(self, at: float, hand: int, value: Array) -> None:
        keys = self.keys[hand]
        if at <= keys[-1][0] + 1e-6:
            keys[-1] = (keys[-1][0], value)
        else:
            keys.append((at, value))

    def pin(self, at: float) -> None:
        """Both stay as they were until `at`."""
        for hand in SIDES:
            self.put(at, hand, self.last(hand))

    def rest(self, at: float) -> None:
        """Both are back at `at`."""
        for hand in SIDES:
            there = self.last(hand)[PLACES["there"]]
            value = self.rests[hand].copy()
            value[PLACES["there"]] = there
            self.put(at, hand, value)

    def tracks(self) -> tuple[Track, Track]:
        left, right = (
            Track(np.array([at for at, _ in keys]), np.array([value for _, value in keys])) for keys in self.keys
        )
        return left, right


Move = Callable[[HandAnimator, float, float], None]


@dataclass(frozen=True)
class Deed:
    """One thing that hands do.

    phrases: ways to say it, verb first, `{poss}` is "his", "her" or "their"; seconds: the shortest and longest time.
    hands: how many it takes. views: where it is seen so: on a "table", from wherever, or from the "front", upright.
    repeats: whether it is done several times in a row and counted. looks: what a watcher may take it for.
    """

    name: str
    move: Move
    phrases: tuple[str, ...]
    seconds: tuple[float, float]
    hands: int = 1
    views: tuple[View, ...] = ("table",)
    repeats: bool = False
    looks: frozenset[str] = field(default_factory=frozenset)


Beat = Mapping[int, Mapping[str, float]]


def _gone(
    a: HandAnimator, start: float, end: float, grips: Mapping[int, str], beats: Sequence[Beat], period: float
) -> None:
    """Hands take their grips, go through `beats` again and again, one round in `period` seconds, and come back."""
    lead = min(a.rng.uniform(0.2, 0.5), 0.3 * (end - start))
    a.pin(start)
    count = max(2, round((end - start - 2 * lead) / period * len(beats)))
    for number, at in enumerate(np.linspace(start + lead, end - lead, count)):
        for hand, numbers in beats[number % len(beats)].items():
            if hand in a.hands:
                a.set(float(at), hand, grips.get(hand), **numbers)
    a.rest(end)


def _around(center: tuple[float, float], radius: float, steps: int, squash: float = 1.0) -> list[dict[str, float]]:
    turns = np.linspace(0, 2 * np.pi, steps, endpoint=False)
    return [{"x": center[0] + radius * np.cos(t), "y": center[1] + squash * radius * np.sin(t)} for t in turns.tolist()]


def _wobbled(a: HandAnimator, value: float, by: float) -> float:
    return float(value + a.rng.normal(0, by))


def one(
    grip: str,
    beats: Callable[[HandAnimator], Sequence[Mapping[str, float]]],
    period: tuple[float, float],
    other: str | None = None,
) -> Move:
    """The main hand alone goes through beats; `other`: the grip of one that helps, if there is one."""

    def move(a: HandAnimator, start: float, end: float) -> None:
        helper = 1 - a.main
        near = {"x": _wobbled(a, -0.1 if a.main else 0.1, 0.06), "y": _wobbled(a, 0.02, 0.06)} if other else {}
        some: list[Beat] = [{a.main: beat, **({helper: near} if other else {})} for beat in beats(a)]
        _gone(a, start, end, {a.main: grip, **({helper: other} if other else {})}, some, a.rng.uniform(*period))

    return move


def two(
    grips: tuple[str, str],
    beats: Callable[[HandAnimator], Sequence[tuple[Mapping[str, float], Mapping[str, float]]]],
    period: tuple[float, float],
) -> Move:
    """Both hands, the helping one and the main one."""

    def move(a: HandAnimator, start: float, end: float) -> None:
        helper = 1 - a.main
        some: list[Beat] = [{helper: first, a.main: second} for first, second in beats(a)]
        _gone(a, start, end, {helper: grips[0], a.main: grips[1]}, some, a.rng.uniform(*period))

    return move


def held(grip: str, **numbers: float) -> Move:
    """The main hand takes a shape, keeps it and lets it go."""

    def move(a: HandAnimator, start: float, end: float) -> None:
        lead = min(a.rng.uniform(0.25, 0.6), 0.35 * (end - start))
        a.pin(start)
        told = {
            name: _wobbled(a, number, 8 if name in ("yaw", "pitch", "roll") else 0.03)
            for name, number in numbers.items()
        }
        a.set(start + lead, a.main, grip, **told)
        a.put(end - lead, a.main, a.last(a.main))
        a.rest(end)

    return move


def _side(a: HandAnimator) -> float:
    """1 where the main hand is the right one."""
    return 1.0 if a.main else -1.0


def _typing(keys_apart: float, walk: float) -> Move:
    def move(a: HandAnimator, start: float, end: float) -> None:
        lead = min(0.4, 0.25 * (end - start))
        a.pin(start)
        shift = np.zeros(2)
        for at in np.arange(start + lead, end - lead, a.rng.uniform(0.2, 0.32)):
            for hand in a.hands:
                shift[hand] = np.clip(shift[hand] + a.rng.normal(0, walk), -4 * walk, 4 * walk)
                sign = 1 if hand else -1
                a.set(
                    float(at),
                    hand,
                    "claw",
                    x=sign * keys_apart + shift[hand],
                    y=-0.05 + a.rng.normal(0, 0.008),
                    pitch=20,
                )
                value = a.last(hand).copy()
                value[PLACES["index"] : PLACES["little"] + 1] = a.rng.uniform(0.25, 0.6, 4)
                a.put(float(at), hand, value)
        a.rest(end)

    return move


def _counting_up(a: HandAnimator, start: float, end: float) -> None:
    grips = ("fist", "point", "peace", "three", "four", "open")[: int(a.rng.integers(4, 7))]
    a.pin(start)
    for at, grip in zip(np.linspace(start, end, len(grips) + 2)[1:-1], grips, strict=True):
        a.set(float(at) - 0.12, a.main)
        a.set(float(at), a.main, grip, yaw=0, pitch=0)
    a.rest(end)


def _drumming(a: HandAnimator, start: float, end: float) -> None:
    a.pin(start)
    fingers = ("little", "ring", "middle", "index")
    for number, at in enumerate(np.arange(start + 0.25, end - 0.2, 0.13)):
        up = fingers[number % 4]
        a.set(float(at), a.main, "claw", **{up: 0.05})
    a.rest(end)


def _coming(a: HandAnimator, start: float, end: float) -> None:
    for hand in a.hands:
        a.keys[hand] = [(0.0, _away(a, hand))]
        a.put(start, hand, a.last(hand))
        value = a.rests[hand].copy()
        a.put(start + 0.35 * (end - start), hand, np.where(np.arange(len(NAMES)) == PLACES["there"], 1.0, a.last(hand)))
        a.put(end, hand, value)


def _going(a: HandAnimator, start: float, end: float) -> None:
    a.pin(start)
    for hand in a.hands:
        value = _away(a, hand)
        value[PLACES["there"]] = 1.0
        a.put(start + 0.75 * (end - start), hand, 0.3 * a.rests[hand] + 0.7 * value)
        a.put(end, hand, _away(a, hand))


def _away(a: HandAnimator, hand: int) -> Array:
    value = a.rests[hand].copy()
    value[PLACES["y"]], value[PLACES["there"]] = -0.85, 0.0
    return value


def _lifting(down: bool) -> Move:
    def move(a: HandAnimator, start: float, end: float) -> None:
        far = {"x": _wobbled(a, 0.0, 0.1), "y": _wobbled(a, 0.15, 0.06), "near": -0.1}
        near = {"dx": 0.0, "dy": 0.0, "near": 0.35}
        first, last = (near, far) if down else (far, near)
        a.pin(start)
        a.set(start + 0.35 * (end - start), a.main, "pinch" if down else "open", **first)
        a.set(start + 0.5 * (end - start), a.main, "pinch")
        a.set(start + 0.75 * (end - start), a.main, "pinch", **last)
        a.set(start + 0.85 * (end - start), a.main, "open" if down else "pinch")
        a.rest(end)

    return move


def _turning_a_page(a: HandAnimator, start: float, end: float) -> None:
    s = _side(a)
    a.pin(start)
    for share, x, y, near in ((0.2, 0.25, 0.05, 0.0), (0.45, 0.1, 0.12, 0.25), (0.7, -0.2, 0.08, 0.1)):
        a.set(start + share * (end - start), a.main, "pinch", x=s * x, y=y, near=near, yaw=180 - 60 * share)
    a.rest(end)


def _pouring(a: HandAnimator, start: float, end: float) -> None:
    s = a.rng.uniform(55, 85)
    a.pin(start)
    a.set(start + 0.25 * (end - start), a.main, "hold", yaw=90, pitch=0, roll=-70, y=0.15, dx=0.0)
    a.set(start + 0.4 * (end - start), a.main, "hold", roll=-70 - s)
    a.set(start + 0.8 * (end - start), a.main, "hold", roll=-70 - s * a.rng.uniform(1.0, 1.3))
    a.set(start + 0.92 * (end - start), a.main, "hold", roll=-70)
    a.rest(end)


def _shake(a: HandAnimator, name: str, by: float, **base: float) -> list[dict[str, float]]:
    """Two beats that differ in one number."""
    middle = base.pop(name, 0.0)
    return [{**base, name: middle + sign * by * a.rng.uniform(0.7, 1.3)} for sign in (1, -1)]


@cache
def _words() -> Mapping[str, tuple[tuple[str, ...], frozenset[str]]]:
    """Of each deed how it is said, and what it looks like: it always looks like itself."""
    found = {}
    for line in resources.files("tvu.video_llm.training").joinpath("hand_deeds.txt").read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            name, _, told = line.partition(": ")
            phrases, _, looks = told.partition(" | ")
            found[name] = tuple(phrases.split("; ")), frozenset({name, *looks.split("; ")} - {""})
    return found


def _row(name: str, move: Move, seconds: tuple[float, float], **rest: Any) -> Deed:
    phrases, looks = _words()[name]
    return Deed(name, move, phrases, seconds, looks=looks, **rest)


_BOTH: Final[tuple[View, ...]] = ("table", "front")
_FRONT: Final[tuple[View, ...]] = ("front",)

DEEDS: Final[tuple[Deed, ...]] = (
    _row("type", _typing(0.17, 0.01), (1.5, 8.0), hands=2),
    _row("piano", _typing(0.26, 0.05), (1.5, 8.0), hands=2),
    _row(
        "knead",
        two(
            ("fist", "fist"),
            lambda a: [
                ({"x": -0.12, "y": -0.1}, {"x": 0.12, "y": -0.1}),
                ({"x": -0.1, "y": 0.08, "pitch": 30}, {"x": 0.1, "y": 0.08, "pitch": 30}),
            ],
            (0.7, 1.4),
        ),
        (2.0, 8.0),
        hands=2,
    ),
    _row(
        "roll",
        two(
            ("flat", "flat"),
            lambda a: [
                ({"x": -0.13, "y": -0.12}, {"x": 0.13, "y": -0.12}),
                ({"x": -0.13, "y": 0.14}, {"x": 0.13, "y": 0.14}),
            ],
            (0.7, 1.6),
        ),
        (2.0, 7.0),
        hands=2,
    ),
    _row(
        "cut",
        one(
            "handle",
            lambda a: [
                {"x": 0.1 * _side(a), "y": -0.02, "near": 0.12, "yaw": 150},
                {"x": 0.1 * _side(a), "y": 0.05, "near": -0.08, "yaw": 150},
            ],
            (0.35, 0.8),
            other="claw",
        ),
        (1.5, 8.0),
        hands=2,
    ),
    _row(
        "stir",
        one(
            "handle", lambda a: _around((0.05 * _side(a), 0.05), a.rng.uniform(0.05, 0.12), 6), (0.7, 1.4), other="hold"
        ),
        (1.5, 8.0),
    ),
    _row(
        "whisk",
        one(
            "handle",
            lambda a: _around((0.05 * _side(a), 0.05), a.rng.uniform(0.04, 0.07), 4),
            (0.28, 0.45),
            other="hold",
        ),
        (1.5, 6.0),
    ),
    _row(
        "write",
        one(
            "pen",
            lambda a: [
                {"dx": 0.012 * (i % 2) + 0.006 * i - 0.1, "dy": 0.16 + 0.014 * (i % 2), "yaw": 130} for i in range(14)
            ],
            (2.8, 4.5),
            other="flat",
        ),
        (2.0, 8.0),
    ),
    _row(
        "draw",
        one(
            "pen",
            lambda a: [
                {"dx": float(a.rng.uniform(-0.16, 0.1)), "dy": float(a.rng.uniform(0.05, 0.28)), "yaw": 130}
                for _ in range(7)
            ],
            (2.5, 5.0),
        ),
        (2.0, 8.0),
    ),
    _row(
        "nails",
        two(
            ("open", "pen"),
            lambda a: [
                (
                    {"x": -0.12 * _side(a), "y": -0.05, "roll": -10},
                    {"x": 0.1 * _side(a) + 0.012 * (i % 2), "y": 0.1 + 0.05 * (i % 2), "yaw": 140},
                )
                for i in range(4)
            ],
            (1.2, 2.2),
        ),
        (2.0, 8.0),
        hands=2,
    ),
    _row(
        "shuffle",
        two(
            ("hold", "hold"),
            lambda a: [
                ({"x": -0.08, "y": 0.0, "yaw": 120}, {"x": 0.07, "y": 0.02, "yaw": 120}),
                ({"x": -0.08, "y": 0.0}, {"x": 0.08, "y": 0.12}),
            ],
            (0.3, 0.6),
        ),
        (1.5, 5.0),
        hands=2,
    ),
    _row(
        "deal",
        two(
            ("hold", "pinch"),
            lambda a: [
                ({"x": -0.12 * _side(a), "y": -0.1}, {"x": -0.02 * _side(a), "y": -0.06}),
                ({"x": -0.12 * _side(a)}, {"x": 0.2 * _side(a), "y": float(a.rng.uniform(0.1, 0.3))}),
            ],
            (0.5, 0.9),
        ),
        (1.5, 5.0),
        hands=2,
    ),
    _row(
        "open jar",
        two(
            ("hold", "claw"),
            lambda a: [
                ({"x": -0.05 * _side(a), "y": -0.08}, {"x": 0.03 * _side(a), "y": 0.03, "roll": roll})
                for roll in (45.0, -45.0)
            ],
            (0.7, 1.2),
        ),
        (1.2, 4.0),
        hands=2,
    ),
    _row("wipe", one("flat", lambda a: _shake(a, "x", 0.2, y=0.08), (0.6, 1.2)), (1.5, 6.0)),
    _row("circle", one("flat", lambda a: _around((0.0, 0.05), 0.12, 6), (0.8, 1.5)), (1.5, 6.0)),
    _row(
        "swipe",
        one(
            "point",
            lambda a: [
                {"x": 0.02 * _side(a), "y": 0.0, "near": 0.0},
                {"x": 0.02 * _side(a), "y": 0.1, "near": 0.0},
                {"x": 0.04 * _side(a), "y": 0.12, "near": 0.12},
                {"x": 0.03 * _side(a), "y": 0.01, "near": 0.12},
            ],
            (0.8, 1.6),
            other="hold",
        ),
        (1.5, 6.0),
        repeats=True,
    ),
    _row(
        "tap",
        one("point", lambda a: [{"dy": 0.1, "near": 0.12}, {"dy": 0.14, "near": -0.05, "pitch": 25}], (0.35, 0.7)),
        (0.6, 3.0),
        views=_BOTH,
    ),
    _row("drum", _drumming, (1.0, 4.0)),
    _row(
        "sew",
        two(
            ("pinch", "pinch"),
            lambda a: [
                ({"x": -0.07 * _side(a), "y": 0.0}, {"x": 0.03 * _side(a), "y": 0.02}),
                ({"x": -0.07 * _side(a)}, {"x": 0.22 * _side(a), "y": 0.16}),
            ],
            (0.9, 1.6),
        ),
        (2.0, 7.0),
        hands=2,
    ),
    _row(
        "knit",
        two(
            ("pinch", "pinch"),
            lambda a: [
                (
                    {"x": -0.06, "y": 0.0 + 0.01 * i, "roll": -40},
                    {"x": 0.06 + 0.02 * np.cos(i * 1.6), "y": 0.03 * np.sin(i * 1.6), "roll": -40},
                )
                for i in range(4)
            ],
            (0.7, 1.3),
        ),
        (2.0, 8.0),
        hands=2,
    ),
    _row(
        "tie",
        two(
            ("pinch", "pinch"),
            lambda a: [
                (
                    {"x": -0.05 + 0.06 * np.cos(i * 1.57), "y": 0.05 * np.sin(i * 1.57)},
                    {"x": 0.05 - 0.06 * np.cos(i * 1.57), "y": -0.05 * np.sin(i * 1.57)},
                )
                for i in range(4)
            ],
            (1.2, 2.4),
        ),
        (1.5, 5.0),
        hands=2,
    ),
    _row(
        "fold",
        two(
            ("pinch", "pinch"),
            lambda a: [
                ({"x": -0.2 * _side(a), "y": 0.0}, {"x": 0.24 * _side(a), "y": 0.05}),
                ({"x": -0.2 * _side(a)}, {"x": 0.0, "y": 0.1, "near": 0.2}),
                ({"x": -0.2 * _side(a)}, {"x": -0.16 * _side(a), "y": 0.05}),
            ],
            (1.5, 2.6),
        ),
        (1.5, 5.0),
        hands=2,
    ),
    _row("page", _turning_a_page, (0.7, 1.6), repeats=True),
    _row(
        "peel",
        two(
            ("hold", "pinch"),
            lambda a: [
                ({"x": -0.08 * _side(a), "y": 0.0}, {"x": 0.04 * _side(a), "y": 0.12}),
                ({"x": -0.08 * _side(a)}, {"x": 0.06 * _side(a), "y": -0.08}),
            ],
            (0.6, 1.1),
        ),
        (1.5, 6.0),
        hands=2,
    ),
    _row(
        "sprinkle",
        one(
            "pinch",
            lambda a: [
                {**beat, "index": 0.4 + 0.2 * (i % 2), "thumb": 0.25 + 0.2 * (i % 2), "near": 0.25}
                for i, beat in enumerate(_around((0.0, 0.1), 0.1, 6))
            ],
            (1.3, 2.4),
        ),
        (1.2, 4.0),
    ),
    _row(
        "hammer",
        one(
            "handle",
            lambda a: [
                {"x": 0.12 * _side(a), "y": -0.1, "near": 0.3, "roll": -60},
                {"x": 0.06 * _side(a), "y": 0.05, "near": 0.0, "roll": -10},
            ],
            (0.45, 0.8),
            other="pinch",
        ),
        (1.2, 5.0),
        views=_BOTH,
    ),
    _row(
        "saw",
        one(
            "handle",
            lambda a: [{"dx": 0.0, "dy": -0.05, "yaw": 120}, {"dx": 0.0, "dy": 0.25, "yaw": 120}],
            (0.5, 0.9),
            other="flat",
        ),
        (1.5, 6.0),
    ),
    _row("screw", one("handle", lambda a: _shake(a, "roll", 45, dy=0.12), (0.7, 1.2)), (1.2, 5.0), views=_BOTH),
    _row(
        "scissors",
        one(
            "handle",
            lambda a: [
                {"y": -0.1 + 0.05 * i, "index": 0.3 + 0.45 * (i % 2), "thumb": 0.1 + 0.4 * (i % 2), "oppose": 0.5}
                for i in range(6)
            ],
            (1.8, 3.0),
            other="pinch",
        ),
        (1.5, 6.0),
    ),
    _row("pick up", _lifting(down=False), (1.0, 2.2), repeats=True),
    _row("put down", _lifting(down=True), (1.0, 2.2), repeats=True),
    _row(
        "rub",
        two(
            ("flat", "flat"),
            lambda a: [
                ({"x": -0.03, "y": 0.05}, {"x": 0.03, "y": -0.03}),
                ({"x": -0.03, "y": -0.03}, {"x": 0.03, "y": 0.05}),
            ],
            (0.4, 0.8),
        ),
        (1.2, 5.0),
        hands=2,
        views=_BOTH,
    ),
    _row(
        "massage",
        two(
            ("claw", "claw"),
            lambda a: [
                (
                    {"x": -0.14, "y": 0.05 * np.cos(i * 1.57), "thumb": 0.1 + 0.3 * (i % 2)},
                    {"x": 0.14, "y": 0.05 * np.sin(i * 1.57), "thumb": 0.4 - 0.3 * (i % 2)},
                )
                for i in range(4)
            ],
            (0.9, 1.6),
        ),
        (2.0, 7.0),
        hands=2,
    ),
    _row(
        "squeeze",
        one(
            "open",
            lambda a: [
                {**dict.fromkeys(("index", "middle", "ring", "little"), 0.25), "dy": 0.1},
                {**dict.fromkeys(("index", "middle", "ring", "little"), 0.85), "dy": 0.1, "thumb": 0.5, "oppose": 0.8},
            ],
            (0.6, 1.2),
        ),
        (1.2, 5.0),
        views=_BOTH,
    ),
    _row(
        "braid",
        two(
            ("pinch", "pinch"),
            lambda a: [
                ({"x": -0.1, "y": 0.06}, {"x": 0.02, "y": 0.0}),
                ({"x": -0.02, "y": 0.0}, {"x": 0.1, "y": 0.06}),
            ],
            (0.8, 1.4),
        ),
        (2.0, 7.0),
        hands=2,
    ),
    _row(
        "clap",
        two(
            ("flat", "flat"),
            lambda a: [
                ({"x": -0.16, "y": 0.0, "yaw": 90}, {"x": 0.16, "y": 0.0, "yaw": 90}),
                ({"x": -0.02, "yaw": 90}, {"x": 0.02, "yaw": 90}),
            ],
            (0.35, 0.6),
        ),
        (1.0, 4.0),
        hands=2,
        views=_BOTH,
    ),
    _row(
        "fold hands",
        two(
            ("hold", "hold"),
            lambda a: [({"x": -0.035, "y": 0.0, "roll": -50}, {"x": 0.035, "y": 0.0, "roll": -50})],
            (1.0, 1.2),
        ),
        (1.2, 5.0),
        hands=2,
        views=_BOTH,
    ),
    _row("come", _coming, (0.6, 1.5), views=_BOTH),
    _row("go", _going, (0.6, 1.5), views=_BOTH),
    _row(
        "guitar",
        two(
            ("claw", "pinch"),
            lambda a: [
                (
                    {
                        "x": -0.3 * _side(a),
                        "y": 0.12 + 0.02 * (i % 3),
                        "roll": 60,
                        "yaw": 150,
                        "index": 0.3 + 0.2 * (i % 2),
                        "ring": 0.6 - 0.2 * (i % 2),
                    },
                    {"x": 0.2 * _side(a), "y": -0.05 + 0.1 * (i % 2), "roll": -60, "yaw": 150},
                )
                for i in range(6)
            ],
            (1.3, 2.4),
        ),
        (2.0, 8.0),
        hands=2,
        views=_FRONT,
    ),
    _row(
        "fretting",
        one(
            "claw",
            lambda a: [
                {
                    "dx": 0.1 * float(a.rng.normal()),
                    "yaw": 150,
                    "index": float(a.rng.uniform(0.2, 0.7)),
                    "ring": float(a.rng.uniform(0.2, 0.7)),
                    "little": float(a.rng.uniform(0.2, 0.7)),
                }
                for _ in range(8)
            ],
            (2.0, 3.2),
        ),
        (2.0, 8.0),
        views=_BOTH,
    ),
    _row("wave", one("open", lambda a: _shake(a, "roll", 22, y=0.0, yaw=0), (0.4, 0.8)), (1.0, 4.0), views=_FRONT),
    _row(
        "beckon",
        one(
            "open",
            lambda a: [
                {"yaw": 180, "roll": 0, **dict.fromkeys(("index", "middle", "ring", "little"), bent)}
                for bent in (0.05, 0.7)
            ],
            (0.5, 0.9),
        ),
        (1.0, 3.0),
        views=_FRONT,
    ),
    _row(
        "snap",
        one(
            "pinch",
            lambda a: [{"middle": 0.35, "index": 0.25, "thumb": 0.35}, {"middle": 0.95, "index": 0.25, "thumb": 0.1}],
            (0.5, 0.9),
        ),
        (0.6, 2.5),
        views=_FRONT,
    ),
    _row("count", _counting_up, (2.0, 5.0), views=_FRONT),
    _row("pour", _pouring, (1.5, 4.5), views=_FRONT),
    _row("thumbs up", held("thumb", yaw=80, pitch=0, roll=0), (0.9, 4.0), views=_FRONT),
    _row("thumbs down", held("thumb", yaw=80, pitch=0, roll=180, y=0.1), (0.9, 4.0), views=_FRONT),
    _row("peace", held("peace", yaw=0, pitch=0), (0.9, 4.0), views=_FRONT),
    _row("ok", held("ok", yaw=0, pitch=0), (0.9, 4.0), views=_FRONT),
    _row("point", held("point", yaw=0, pitch=0), (0.9, 4.0), views=_FRONT),
    _row("three", held("three", yaw=0, pitch=0), (0.9, 4.0), views=_FRONT),
    _row("four", held("four", yaw=0, pitch=0), (0.9, 4.0), views=_FRONT),
    _row("stop", held("open", yaw=0, pitch=0), (0.9, 4.0), views=_FRONT),
    _row("fist", held("fist", yaw=0, pitch=0), (0.9, 4.0), views=_BOTH),
    _row("shaka", held("shaka", yaw=0, pitch=0), (0.9, 4.0), views=_FRONT),
    _row("horns", held("horns", yaw=0, pitch=0), (0.9, 4.0), views=_FRONT),
    _row(
        "pray",
        two(
            ("flat", "flat"),
            lambda a: [({"x": -0.02, "y": -0.1, "yaw": 90, "roll": -6}, {"x": 0.02, "y": -0.1, "yaw": 90, "roll": -6})],
            (1.0, 1.2),
        ),
        (1.0, 5.0),
        hands=2,
        views=_FRONT,
    ),
    _row(
        "pinching",
        one(
            "open",
            lambda a: [
                {"thumb": 0.1, "index": 0.15, "oppose": 0.5, "middle": 0.5, "ring": 0.6, "little": 0.7},
                {"thumb": 0.35, "index": 0.55, "oppose": 0.85, "middle": 0.55, "ring": 0.65, "little": 0.7},
            ],
            (0.6, 1.2),
        ),
        (1.0, 3.5),
        views=_BOTH,
    ),
)
"""All that hands are taught to do."""
