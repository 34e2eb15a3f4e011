"""What things in composed videos do: each act with the ways to say it and how it changes where a thing is.

Coordinates: the picture is 2 high and `2 * stage.aspect` wide, the middle is (0, 0), x to the right and y down.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from tvu.video_llm.training.conjugation import conjugated
from tvu.video_llm.training.scenes import Wording

Times = NDArray[np.float64]

DIRECTIONS: dict[str, tuple[float, float]] = {
    "to the right": (1.0, 0.0),
    "down and to the right": (0.75, 0.75),
    "down": (0.0, 1.0),
    "down and to the left": (-0.75, 0.75),
    "to the left": (-1.0, 0.0),
    "up and to the left": (-0.75, -0.75),
    "up": (0.0, -1.0),
    "up and to the right": (0.75, -0.75),
}
"""Where something moves on the screen, clockwise from the right."""

FAST, SLOW = 1.0, 0.35  # of the height of half a picture a second


@dataclass(frozen=True)
class Form:
    """A way to say a deed without its subject: `move` + `to the left`."""

    base: str
    rest: str = ""

    def told_of(self, subject: str, is_plural: bool) -> Wording:
        third, ing = conjugated(self.base)
        if is_plural:
            third = "are" if self.base == "be" else self.base
        return Wording(subject, self.base, third, ing, self.rest)


def forms(bases: str, *rests: str) -> tuple[Form, ...]:
    """All the verbs (separated by commas) with all the rests, the first the plainest."""
    out = []
    for rest in rests or ("",):
        for base in bases.split(","):
            verb, _, tail = base.strip().partition(" ")
            out.append(Form(verb, " ".join(word for word in (tail, rest) if word)))
    return tuple(out)


@dataclass(eq=False)
class Actor:
    """A thing in one shot, while it is being told what to do; arrays over the n frames of the shot.

    times: seconds from the start of the video. x, y: its middle. size: half of its height. angle: radians, clockwise.
    wide: its width is multiplied by this; -1 mirrors it. glow: brightness; color: its tint `[n, 3]`.
    """

    times: Times
    x: Times
    y: Times
    size: Times
    angle: Times
    wide: Times
    opacity: Times
    glow: Times
    color: Times
    aspect: float
    stage: float  # half of the picture's width

    @classmethod
    def at(
        cls, times: Times, x: float, y: float, size: float, aspect: float, stage: float, color: Sequence[float]
    ) -> "Actor":
        n = len(times)

        def full(value: float) -> Times:
            return np.full(n, value, np.float64)

        tint = np.tile(np.array(color, np.float64), (n, 1))
        return cls(times, full(x), full(y), full(size), full(0), full(1), full(1), full(1), tint, aspect, stage)

    @property
    def reach(self) -> float:
        """Half of its extent as it is at the end."""
        return float(self.size[-1] * max(1.0, self.aspect))

    def progress(self, start: float, end: float) -> Times:
        """0 before `start`, 1 after `end`, and straight in between."""
        return np.clip((self.times - start) / max(end - start, 1e-3), 0, 1)


Do = Callable[[Actor, Times, Generator], bool]
"""Changes an actor, given how much of the act is over at each frame. Gives False if there is no room for the act."""


@dataclass(frozen=True)
class Act:
    """A deed.

    name:    a short name; what has the same name is the same deed.
    ways:    how to say it, all of them true of it.
    does:    how to do it.
    seconds: how long it takes, from and to.
    tags:    what one could also see in it: an act is not said to be missing where another with one of its tags is.
    facts:   what one may ask of it.
    repeats: whether it may be done again and again from where it ended.
    """

    name: str
    ways: tuple[Form, ...]
    does: Do
    seconds: tuple[float, float]
    tags: frozenset[str]
    facts: Mapping[str, str] = field(default_factory=dict)
    repeats: bool = False

    @property
    def kind(self) -> str:
        """The name without what `facts` say: which way it goes, or turns."""
        first = self.name.split(" ")[0]
        return first if first in ("move", "enter", "leave", "spin") else self.name


def _eased(p: Times) -> Times:
    return p * p * (3 - 2 * p)


def _move(direction: str) -> Do:
    dx, dy = DIRECTIONS[direction]

    def does(actor: Actor, p: Times, rng: Generator) -> bool:
        x, y = actor.x[-1], actor.y[-1]
        margin = 0.75 * actor.size[-1]
        room = [np.inf]
        if dx:
            room.append((actor.stage - margin - np.sign(dx) * x) / abs(dx))
        if dy:
            room.append((1.0 - margin - np.sign(dy) * y) / abs(dy))
        far = min(room)
        if far < 0.45:
            return False
        way = float(rng.uniform(0.45, min(far, 1.7)))
        ease = _eased(p) if rng.random() < 0.3 else p
        actor.x += dx * way * ease
        actor.y += dy * way * ease
        if rng.random() < 0.4:  # it walks or rolls
            steps = rng.integers(2, 6)
            active = (p > 0) & (p < 1)
            actor.y -= 0.05 * np.abs(np.sin(np.pi * steps * p)) * active * (dy == 0)
            actor.angle += 0.06 * np.sin(2 * np.pi * steps * p) * active
        return True

    return does


def _enter(direction: str) -> Do:
    """direction: where it comes from is the opposite."""
    dx, dy = DIRECTIONS[direction]

    def does(actor: Actor, p: Times, rng: Generator) -> bool:
        out_x = actor.stage + 1.05 * actor.reach
        out_y = 1.0 + 1.05 * actor.reach
        actor.x += (1 - p) * (-dx * out_x - actor.x[-1]) * (dx != 0)
        actor.y += (1 - p) * (-dy * out_y - actor.y[-1]) * (dy != 0)
        actor.opacity *= p > 0
        return True

    return does


def _leave(direction: str) -> Do:
    dx, dy = DIRECTIONS[direction]

    def does(actor: Actor, p: Times, rng: Generator) -> bool:
        out_x = actor.stage + 1.05 * actor.reach
        out_y = 1.0 + 1.05 * actor.reach
        actor.x += p * (dx * out_x - actor.x[-1]) * (dx != 0)
        actor.y += p * (dy * out_y - actor.y[-1]) * (dy != 0)
        actor.opacity *= p < 1
        return True

    return does


def _resize(low: float, high: float) -> Do:
    def does(actor: Actor, p: Times, rng: Generator) -> bool:
        factor = float(rng.uniform(low, high))
        if not 0.12 < actor.size[-1] * factor < 0.95:
            return False
        actor.size *= factor**p
        return True

    return does


def _resize_for_a_moment(low: float, high: float) -> Do:
    def does(actor: Actor, p: Times, rng: Generator) -> bool:
        actor.size *= 1 + (float(rng.uniform(low, high)) - 1) * np.sin(np.pi * p)
        return True

    return does


def _spin(sign: int) -> Do:
    def does(actor: Actor, p: Times, rng: Generator) -> bool:
        actor.angle += sign * 2 * np.pi * rng.integers(1, 3) * p
        return True

    return does


def _tip(actor: Actor, p: Times, rng: Generator) -> bool:
    if abs(actor.angle[-1]) > 0.5:
        return False
    actor.angle += rng.choice([-1, 1]) * np.pi / 2 * p**2
    actor.y += 0.3 * actor.size[-1] * p**2
    return True


def _stand_up(actor: Actor, p: Times, rng: Generator) -> bool:
    turned = actor.angle[-1]
    if abs(abs(turned) - np.pi / 2) > 0.3:
        return False
    actor.angle -= turned * p
    actor.y -= 0.3 * actor.size[-1] * p
    return True


def _turn_over(actor: Actor, p: Times, rng: Generator) -> bool:
    actor.angle += np.pi * p
    return True


def _mirror(actor: Actor, p: Times, rng: Generator) -> bool:
    actor.wide *= np.cos(np.pi * p)
    return True


def _jump(actor: Actor, p: Times, rng: Generator) -> bool:
    high = min(float(rng.uniform(0.3, 0.8)), actor.y[-1] + 1.0 - 0.4 * actor.size[-1])
    if high < 0.22:
        return False
    actor.y -= high * 4 * p * (1 - p)
    return True


def _sway(name: str) -> Do:
    def does(actor: Actor, p: Times, rng: Generator) -> bool:
        times = int(rng.integers(2, 5))
        wave = np.sin(2 * np.pi * times * p) * (p < 1)
        if name == "shake":
            actor.x += 0.16 * wave
        elif name == "to and fro":
            if actor.stage - abs(actor.x[-1]) < 0.6:
                return False
            actor.x += 0.5 * np.sin(2 * np.pi * max(times // 2, 1) * p) * (p < 1)
        elif name == "up and down":
            if 1 - abs(actor.y[-1]) < 0.55:
                return False
            actor.y += 0.42 * np.sin(2 * np.pi * max(times // 2, 1) * p) * (p < 1)
        else:
            actor.angle += 0.45 * wave
        return True

    return does


def _circle(sign: int) -> Do:
    def does(actor: Actor, p: Times, rng: Generator) -> bool:
        radius = float(rng.uniform(0.25, 0.45))
        if actor.y[-1] + 2 * radius > 0.9 or abs(actor.x[-1]) + radius > actor.stage:
            return False
        turn = sign * 2 * np.pi * p
        actor.x += radius * np.sin(turn)
        actor.y += radius * (1 - np.cos(turn))
        return True

    return does


def _zigzag(actor: Actor, p: Times, rng: Generator) -> bool:
    side = -np.sign(actor.x[-1]) or 1.0
    if actor.stage + abs(actor.x[-1]) < 1.2 or abs(actor.y[-1]) > 0.5:
        return False
    actor.x += side * (0.6 * actor.stage + abs(actor.x[-1])) * p
    actor.y += 0.3 * 2 / np.pi * np.arcsin(np.sin(2 * np.pi * 3 * p))
    return True


def _appear(actor: Actor, p: Times, rng: Generator) -> bool:
    actor.opacity *= p
    return True


def _vanish(actor: Actor, p: Times, rng: Generator) -> bool:
    actor.opacity *= 1 - p
    return True


def _gone_a_while(actor: Actor, p: Times, rng: Generator) -> bool:
    actor.opacity *= ~((p > 0) & (p < 1))
    return True


def _flash(actor: Actor, p: Times, rng: Generator) -> bool:
    active = (p > 0) & (p < 1)
    actor.glow *= 1 + 0.9 * active
    return True


def _dim(actor: Actor, p: Times, rng: Generator) -> bool:
    if actor.glow[-1] < 0.9:
        return False
    actor.glow *= 1 - 0.72 * np.clip(4 * p, 0, 1)
    return True


def _light_up(actor: Actor, p: Times, rng: Generator) -> bool:
    if actor.glow[-1] > 0.9:
        return False
    actor.glow /= 1 - 0.72 * np.clip(4 * p, 0, 1)[::1] * (p > 0)
    return True


def _approach(actor: Actor, p: Times, rng: Generator) -> bool:
    if actor.size[-1] > 0.45:
        return False
    factor = float(rng.uniform(1.9, 2.8))
    actor.size *= factor**p
    actor.x -= 0.7 * actor.x[-1] * p
    actor.y -= 0.7 * actor.y[-1] * p
    return True


def _recede(actor: Actor, p: Times, rng: Generator) -> bool:
    if actor.size[-1] < 0.35:
        return False
    actor.size *= float(rng.uniform(0.35, 0.5)) ** p
    return True


def _squash(actor: Actor, p: Times, rng: Generator) -> bool:
    bump = np.sin(np.pi * p)
    actor.size *= 1 - 0.55 * bump
    actor.wide *= (1 + 0.5 * bump) / (1 - 0.55 * bump)
    return True


def _drop(actor: Actor, p: Times, rng: Generator) -> bool:
    room = 0.85 - 0.7 * actor.size[-1] - actor.y[-1]
    if room < 0.5:
        return False
    bounce = np.where(p < 0.6, (p / 0.6) ** 2, 1 - 0.35 * np.sin(np.pi * (p - 0.6) / 0.4) * (p < 1))
    actor.y += room * bounce
    return True


def _moves() -> list[Act]:
    out = []
    plain = "move,go,travel,slide,glide"
    for direction, (dx, dy) in DIRECTIONS.items():
        ways = forms(plain, direction)
        if direction == "up":
            ways = (*ways[:2], *forms("rise,go upwards,float up"))
        elif direction == "down":
            ways = (*ways[:2], *forms("sink,go downwards,come down"))
        elif "and" in direction:
            ways = forms("move,go,slide", direction)
        else:
            side = direction.removeprefix("to the ")
            ways = (*ways, *forms("move,go", f"from {'left to right' if side == 'right' else 'right to left'}"))
        tags = {name for name, on in (("right", dx > 0), ("left", dx < 0), ("up", dy < 0), ("down", dy > 0)) if on}
        out.append(
            Act(f"move {direction}", ways, _move(direction), (0.6, 4.5), frozenset(tags), {"direction": direction})
        )
    return out


ACTS: tuple[Act, ...] = (
    *_moves(),
    Act("grow", forms("grow,get bigger,become larger"), _resize(1.5, 2.6), (0.8, 4), frozenset({"big"})),
    Act("shrink", forms("shrink,get smaller,become smaller"), _resize(0.4, 0.65), (0.8, 4), frozenset({"small"})),
    Act(
        "swell",
        forms("grow for a moment,get bigger for a moment"),
        _resize_for_a_moment(1.5, 2.0),
        (0.6, 1.8),
        frozenset({"big", "small"}),
        repeats=True,
    ),
    Act(
        "dwindle",
        forms("shrink for a moment,get smaller for a moment"),
        _resize_for_a_moment(0.3, 0.6),
        (0.6, 1.8),
        frozenset({"big", "small"}),
        repeats=True,
    ),
    Act(
        "spin clockwise",
        forms("spin clockwise,turn clockwise,rotate clockwise"),
        _spin(1),
        (0.7, 3.5),
        frozenset({"turn"}),
        {"turn": "clockwise"},
        repeats=True,
    ),
    Act(
        "spin counterclockwise",
        forms("spin counterclockwise,turn counterclockwise,rotate anticlockwise"),
        _spin(-1),
        (0.7, 3.5),
        frozenset({"turn"}),
        {"turn": "counterclockwise"},
        repeats=True,
    ),
    Act(
        "fall over",
        forms("fall over,tip over,topple over"),
        _tip,
        (0.4, 1.2),
        frozenset({"turn", "down"}),
    ),
    Act("stand up", forms("stand up again,get up again"), _stand_up, (0.5, 1.5), frozenset({"turn", "up"})),
    Act("turn over", forms("turn upside down,flip over"), _turn_over, (0.5, 1.6), frozenset({"turn"})),
    Act(
        "turn around",
        forms("turn around,turn to the other side"),
        _mirror,
        (0.5, 1.2),
        frozenset({"mirror"}),
        repeats=True,
    ),
    Act(
        "jump", forms("jump,hop,jump up,leap into the air"), _jump, (0.5, 1.1), frozenset({"up", "down"}), repeats=True
    ),
    Act(
        "shake",
        forms("shake,tremble,shake from side to side"),
        _sway("shake"),
        (0.6, 1.6),
        frozenset({"left", "right"}),
        repeats=True,
    ),
    Act(
        "to and fro",
        forms("move,slide,swing", "to and fro", "back and forth"),
        _sway("to and fro"),
        (1.5, 4),
        frozenset({"left", "right"}),
    ),
    Act("up and down", forms("move,go,bob", "up and down"), _sway("up and down"), (1.5, 4), frozenset({"up", "down"})),
    Act(
        "rock",
        forms("rock,sway,wobble,tilt from side to side"),
        _sway("rock"),
        (0.8, 2.5),
        frozenset({"turn"}),
        repeats=True,
    ),
    Act(
        "circle",
        forms("move in a circle,go around in a circle"),
        _circle(1),
        (1.2, 3.5),
        frozenset({"left", "right", "up", "down"}),
        repeats=True,
    ),
    Act(
        "zigzag",
        forms("move in a zigzag,zigzag across the picture"),
        _zigzag,
        (2, 4),
        frozenset({"left", "right", "up", "down"}),
    ),
    Act(
        "be gone",
        (Form("disappear", "for a while"), Form("be", "gone for a while")),
        _gone_a_while,
        (0.4, 2.0),
        frozenset({"vanish", "appear"}),
    ),
    Act(
        "flash",
        forms("light up,flash,blink,glow for a moment"),
        _flash,
        (0.25, 0.7),
        frozenset({"bright", "dark"}),
        repeats=True,
    ),
    Act("dim", forms("turn dark,get darker"), _dim, (0.4, 1.5), frozenset({"dark"})),
    Act("light up", forms("turn bright again,light up again"), _light_up, (0.4, 1.5), frozenset({"bright"})),
    Act(
        "approach",
        forms("come closer,come nearer,approach the camera"),
        _approach,
        (0.9, 3.5),
        frozenset({"big", "left", "right", "up", "down"}),
    ),
    Act(
        "recede",
        forms("go away into the distance,move away from the camera"),
        _recede,
        (0.9, 3.5),
        frozenset({"small"}),
    ),
    Act("squash", forms("get squashed,get pressed flat"), _squash, (0.4, 1.0), frozenset({"small"}), repeats=True),
    Act("drop", forms("fall to the ground,drop to the ground"), _drop, (0.7, 1.5), frozenset({"down", "up"})),
)
"""What one thing can do alone, while it is there."""

_SIDES = {"to the right": "left", "to the left": "right", "down": "top", "up": "bottom"}

ENTRANCES: tuple[Act, ...] = (
    *(
        Act(
            f"enter {direction}",
            (
                *forms("enter,come in,move in,come into view", f"from the {side}"),
                *(forms("come in from above,fall into the picture") if side == "top" else ()),
                *(forms("come in from below,rise into the picture") if side == "bottom" else ()),
            ),
            _enter(direction),
            (0.5, 2.5),
            frozenset({"enter", direction.split(" ")[-1]}),
            {"from": f"from the {side}"},
        )
        for direction, side in _SIDES.items()
    ),
    Act("appear", forms("appear,become visible,show up"), _appear, (0.25, 1.0), frozenset({"appear", "enter"})),
)
"""How a thing comes: before, it is not there."""

EXITS: tuple[Act, ...] = (
    *(
        Act(
            f"leave {direction}",
            (
                *forms("leave,go out,move out of the picture", "to the " + exit_side),
                Form("go" if exit_side in ("left", "right") else "disappear", f"out of view on the {exit_side}"),
            )
            if exit_side in ("left", "right")
            else forms("leave,go out,move out of the picture", "at the " + exit_side),
            _leave(direction),
            (0.5, 2.5),
            frozenset({"leave", direction.split(" ")[-1]}),
            {"to": exit_side},
        )
        for direction, exit_side in (
            ("to the right", "right"),
            ("to the left", "left"),
            ("down", "bottom"),
            ("up", "top"),
        )
    ),
    Act("vanish", forms("disappear,vanish,fade away"), _vanish, (0.25, 1.0), frozenset({"vanish", "leave"})),
)
"""How a thing goes: afterwards it is not there."""
