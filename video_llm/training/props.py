"""Shots with props: hands and tables, cups, lamps, glasses, walls, things that break."""

import numpy as np

from tvu.video_llm.training import shots
from tvu.video_llm.training.absence import missing
from tvu.video_llm.training.acts import Actor, Form, Times, forms
from tvu.video_llm.training.drawing import COLORS
from tvu.video_llm.training.puppets import BAR_SHARE, SKINS
from tvu.video_llm.training.stage import PICTURE, Member, Shot, Stage, Subject

HAND = Subject("a hand", words=frozenset({"hand", "fist", "arm", "man", "woman", "person", "boy", "girl"}))
LAMP = Subject("a lamp", words=frozenset({"lamp", "light", "bulb", "sun", "moon", "candle"}))
GLASS = Subject("a glass", words=frozenset({"glass", "cup", "mug", "jar", "teapot", "bottle", "water"}))
CUPS = Subject("the cups", True, words=frozenset({"cup", "mug", "glass", "teapot", "cups", "bucket"}))
WALL = "a wall"


def _are_free(stage: Stage, *subjects: Subject) -> bool:
    return not any(s.words & p.words for s in subjects for p in stage.present)


def _color(stage: Stage, *avoid: str) -> np.ndarray:
    names = [name for name in COLORS if name not in avoid]
    return np.clip(np.array(COLORS[names[int(stage.rng.integers(len(names)))]]) * stage.rng.uniform(0.7, 1.0), 0.03, 1)


def block(
    stage: Stage, shot: Shot, box: tuple[float, float, float, float], color: np.ndarray, part: str = "block"
) -> None:
    """A still box: left, top, right, bottom."""
    left, top, right, bottom = box
    n = shot.last - shot.first
    half = (np.full(n, (right - left) / 2), np.full(n, (bottom - top) / 2))
    x, y = np.full(n, (left + right) / 2), np.full(n, (top + bottom) / 2)
    shot.box(stage.part(part), x, y, half, np.zeros(n), np.tile(color, (n, 1)), np.ones(n))


def table(stage: Stage, shot: Shot, top: float) -> None:
    """A table as wide as the picture."""
    wood = np.array([0.62, 0.45, 0.3]) * stage.rng.uniform(0.5, 1.2) + stage.rng.normal(0, 0.05, 3)
    block(stage, shot, (-2 * stage.aspect, top, 2 * stage.aspect, 2.0), np.clip(wood, 0.05, 1))


def hand(stage: Stage, shot: Shot, x: Times, y: Times, skin: np.ndarray) -> None:
    """A hand that hangs from above with its fingers at (x, y)."""
    n = len(x)
    color = np.tile(skin, (n, 1))
    arm = np.full(n, 0.075)
    upright = np.full(n, np.pi / 2)
    shot.box(stage.part("bar"), x, y - 1.25, (np.full(n, 1.15), arm / BAR_SHARE), upright, color, np.ones(n))
    shot.box(stage.part("ball"), x, y - 0.12, (np.full(n, 0.11), np.full(n, 0.13)), np.zeros(n), color, np.ones(n))
    for side in (-1, 0, 1):
        finger = (np.full(n, 0.11), np.full(n, 0.028 / BAR_SHARE))
        turn = upright + 0.25 * side
        shot.box(stage.part("bar"), x + 0.06 * side, y, finger, turn, color, np.ones(n))


def hands_on(stage: Stage, shot: Shot) -> bool:
    """A hand takes things from a table or puts them there, one after the other."""
    rng = stage.rng
    low, high = shot.busy
    if high - low < 2.2 or not _are_free(stage, HAND):
        return False
    count = int(rng.integers(1, 4))
    members: list[Member] = []
    for _ in range(count):
        member = shots.cast(stage, again=0.0, drawn=0.5, besides=[m.subject for m in members])
        if member is not None and not member.subject.is_plural:
            members.append(member)
    if not members:
        return False
    stage.present.append(HAND)
    shots.backdrop(stage, shot)
    top = float(rng.uniform(0.45, 0.7))
    table(stage, shot, top)
    skin = np.array(SKINS[int(rng.integers(len(SKINS)))])
    xs = np.linspace(-0.7, 0.7, len(members)) * stage.aspect if len(members) > 1 else np.array([rng.uniform(-0.5, 0.5)])
    actors = [
        shots.placed(shot, member, float(x), 0.0, float(rng.uniform(0.16, 0.26)))
        for member, x in zip(members, xs, strict=True)
    ]
    for actor in actors:
        actor.y[:] = top - 0.85 * actor.size[0]
    acting = rng.permutation(len(members))[: int(rng.integers(1, len(members) + 1))]
    each = (high - low) / len(acting)
    for turn, number in enumerate(acting.tolist()):
        length = float(min(rng.uniform(1.4, 2.6), each * 0.95))
        start = low + turn * each + float(rng.uniform(0, each - length))
        _hand_act(stage, shot, members[number], actors[number], start, length, skin, bool(rng.integers(2)))
    for number, (member, actor) in enumerate(zip(members, actors, strict=True)):
        shot.thing(member.picture, actor)
        if number not in acting and rng.random() < 0.5:
            stage.deny(HAND, Form("take", member.subject.name))
    return True


def _hand_act(
    stage: Stage, shot: Shot, member: Member, actor: Actor, start: float, length: float, skin: np.ndarray, takes: bool
) -> None:
    name = member.subject.name
    other = missing(stage)
    if other is not None:
        stage.deny(HAND, Form("take" if takes else "put", other.name + ("" if takes else " on the table")))
    stage.deny(HAND, Form("put", f"{name} on the table") if takes else Form("take", f"away {name}"))
    down, up = actor.progress(start, start + length / 2), actor.progress(start + length / 2, start + length)
    grip = actor.y[0] - 0.75 * actor.size[0]
    reach = grip + 1.35
    hand(stage, shot, actor.x.copy(), grip - reach * (1 - down + up), skin)
    if takes:
        actor.y -= (reach + 0.3) * up
        actor.opacity *= up < 1
        ways = forms("take away,pick up,lift up,remove,take", name)
        stage.tell(
            start, start + length, HAND, ways=ways, name=f"take {name}", kind="take", tags=frozenset({f"take {name}"})
        )
    else:
        actor.y -= (reach + 0.3) * (1 - down)
        actor.opacity *= down > 0
        ways = (*forms("put down,bring,set down", name), *forms("put,place", f"{name} on the table"))
        stage.tell(
            start, start + length, HAND, ways=ways, name=f"put {name}", kind="put", tags=frozenset({f"put {name}"})
        )


def shuffled_cups(stage: Stage, shot: Shot) -> bool:
    """Something is hidden under one of three cups, which then change their places."""
    rng = stage.rng
    low, high = shot.busy
    member = shots.cast(stage, again=0.0, drawn=0.6) if high - low > 4.0 and _are_free(stage, CUPS) else None
    if member is None or member.subject.is_plural:
        return False
    stage.present.append(CUPS)
    shots.backdrop(stage, shot, textured=0.7)
    top = float(rng.uniform(0.35, 0.6))
    table(stage, shot, top)
    places = np.array([-0.62, 0.0, 0.62]) * stage.aspect
    size = 0.27
    color = _color(stage, member.subject.color)
    cups = [Actor.at(shot.times, float(x), top - 0.85 * size, size, 1.0, shot.aspect, color.tolist()) for x in places]
    thing = shots.placed(shot, member, 0.0, 0.0, 0.13)
    under = int(rng.integers(3))
    thing.x[:] = places[under]
    thing.y[:] = top - 0.85 * thing.size[0]
    lift = float(rng.uniform(0.7, 1.2))
    shown_until = low + lift
    thing.opacity *= shot.times < shown_until + 0.3
    cups[under].y -= 0.5 * (1 - cups[under].progress(low + 0.5 * lift, low + 0.5 * lift + 0.5))
    rest = high - shown_until - 0.9
    swaps = int(np.clip(rng.integers(1, 5), 1, max(1, rest // 0.8)))
    each = rest / swaps
    at = [0, 1, 2]  # the cup at each place
    for number in range(swaps):
        a, b = sorted(rng.choice(3, 2, replace=False).tolist())
        length = float(min(each * 0.85, rng.uniform(0.5, 1.1)))
        start = shown_until + 0.6 + number * each
        first, second = cups[at[a]], cups[at[b]]
        p = first.progress(start, start + length)
        way = places[b] - places[a]
        for cup, sign in ((first, 1), (second, -1)):
            cup.x += sign * way * p
            cup.y -= sign * 0.16 * np.sin(np.pi * p)
        at[a], at[b] = at[b], at[a]
        two = Subject("two cups", True, words=CUPS.words)
        stage.tell(
            start,
            start + length,
            two,
            ways=forms("swap places,exchange places"),
            name="swap",
            kind="swap",
            tags=shots.SIDES,
        )
        last = start + length
    end = at.index(under)
    word = ("on the left", "in the middle", "on the right")[end]
    hidden = Subject(f"the hidden {member.subject.name.split(' ', 1)[1]}", words=member.subject.words)
    ways = (Form("end", f"up under the cup {word}"), Form("lie", f"under the cup {word}"))
    for other in ("on the left", "in the middle", "on the right"):
        if other != word:
            stage.deny(hidden, Form("end", f"up under the cup {other}"))
    stage.tell(last, shot.end, hidden, ways=ways, name=f"under {word}", kind="hidden", facts={"place": word})
    shot.thing(member.picture, thing)
    for cup in cups:
        shot.thing(stage.part("cup"), cup)
    return True


def lamp(stage: Stage, shot: Shot) -> bool:
    """A lamp that is switched on or off, now and then several times."""
    rng = stage.rng
    low, high = shot.busy
    if high - low < 1.5 or not _are_free(stage, LAMP) or {"dark", "bright"} & stage.used_tags(PICTURE):
        return False
    stage.present.append(LAMP)
    shots.backdrop(stage, shot)
    count = int(rng.integers(1, 1 + min(4, int((high - low) / 0.9))))
    times = np.sort(rng.uniform(low + 0.3, high - 0.3, count))
    if count > 1 and np.diff(times).min() < 0.5:
        times = np.linspace(low + 0.4, high - 0.4, count)
    on = bool(rng.integers(2))
    is_on = np.full(len(shot.times), on)
    for when in times:
        on = not on
        is_on[shot.times >= when] = on
        turned = "on" if on else "off"
        ways = (*forms("go,turn", turned), Form("be", f"switched {turned}"))
        ways += forms("light up,start to shine") if on else forms("go out,stop shining")
        stage.tell(
            when - 0.2, when + 0.2, LAMP, ways=ways, name=f"turn {turned}", kind="switch", tags=frozenset({turned})
        )
    x, y = float(rng.uniform(-0.5, 0.5)) * stage.aspect, float(rng.uniform(-0.1, 0.3))
    table(stage, shot, y + 0.55)
    metal = _color(stage)
    block(stage, shot, (x - 0.03, y, x + 0.03, y + 0.55), metal)
    block(stage, shot, (x - 0.2, y + 0.5, x + 0.2, y + 0.56), metal)
    shade = Actor.at(shot.times, x, y - 0.1, 0.27, 1.0, shot.aspect, (1.0, 0.95, 0.6))
    shade.glow[:] = np.where(is_on, 1.3, 0.5)
    if rng.random() < 0.7:
        stage.gain[shot.first : shot.last] *= np.where(is_on, 1.05, rng.uniform(0.35, 0.7)).astype(np.float32)
    shot.thing(stage.part("cup"), shade)
    return True


def glass(stage: Stage, shot: Shot) -> bool:
    """A glass that fills up or empties."""
    rng = stage.rng
    low, high = shot.busy
    if high - low < 1.5 or not _are_free(stage, GLASS):
        return False
    stage.present.append(GLASS)
    shots.backdrop(stage, shot, textured=0.7)
    bottom, wide, tall = float(rng.uniform(0.4, 0.7)), float(rng.uniform(0.2, 0.35)), float(rng.uniform(0.7, 1.1))
    table(stage, shot, bottom)
    x = float(rng.uniform(-0.5, 0.5)) * stage.aspect
    length = float(min(rng.uniform(1.0, 4.0), high - low))
    start = float(rng.uniform(low, high - length))
    p = np.clip((shot.times - start) / length, 0, 1)
    fills = bool(rng.integers(2))
    level = tall * (0.08 + 0.84 * (p if fills else 1 - p))
    n = len(p)
    liquid = np.tile(_color(stage), (n, 1))
    shot.box(
        stage.part("block"),
        np.full(n, x),
        bottom - level / 2,
        (np.full(n, wide), level / 2),
        np.zeros(n),
        liquid,
        np.full(n, 0.9),
    )
    rim = np.array([0.75, 0.82, 0.88]) * rng.uniform(0.4, 1.1)
    for left, right in ((x - wide - 0.03, x - wide), (x + wide, x + wide + 0.03)):
        block(stage, shot, (left, bottom - tall, right, bottom), rim)
    block(stage, shot, (x - wide, bottom - 0.03, x + wide, bottom), rim)
    if fills:
        ways = (*forms("fill up,become full,get full"), Form("be", "filled"))
    else:
        ways = (*forms("empty,become empty,get empty"), Form("be", "emptied"))
    name = "fill" if fills else "empty"
    stage.tell(start, start + length, GLASS, ways=ways, name=name, kind=name, tags=frozenset({name}))
    return True


def to_a_wall(stage: Stage, shot: Shot) -> bool:
    """A small thing sets out for one of several others, which it reaches unless a wall stops it."""
    rng = stage.rng
    low, high = shot.busy
    if high - low < 1.6:
        return False
    mover = shots.cast(stage, again=0.0)
    if mover is None or mover.subject.is_plural:
        return False
    goals = [
        m for m in (shots.cast(stage, again=0.0, drawn=0.6) for _ in range(int(rng.integers(1, 4)))) if m is not None
    ]
    if not goals:
        return False
    shots.backdrop(stage, shot)
    corners = np.array([(-0.72, -0.66), (0.72, -0.66), (-0.72, 0.66), (0.72, 0.66)]) * (stage.aspect, 1.0)
    spots = corners[rng.permutation(4)[: len(goals)]]
    has_walls = rng.random() < 0.5
    actor = shots.placed(shot, mover, 0.0, 0.0, 0.12)
    length = float(min(rng.uniform(1.0, 2.5), high - low))
    start = float(rng.uniform(low, high - length))
    p = actor.progress(start, start + length)
    far = 0.4 if has_walls else 0.72
    actor.x += spots[0, 0] * far * p
    actor.y += spots[0, 1] * far * p
    grey = np.full(3, float(rng.uniform(0.25, 0.6)))
    n = len(p)
    for member, (x, y) in zip(goals, spots, strict=True):
        shot.thing(member.picture, shots.placed(shot, member, float(x), float(y), 0.19))
        if has_walls:
            angle = np.full(n, np.arctan2(y, x) + np.pi / 2)
            half = (np.full(n, 0.2), np.full(n, 0.03))
            shot.box(
                stage.part("block"),
                np.full(n, 0.52 * x),
                np.full(n, 0.52 * y),
                half,
                angle,
                np.tile(grey, (n, 1)),
                np.ones(n),
            )
    shot.thing(mover.picture, actor)
    goal = goals[0].subject.name
    side = {"left", "right", "up", "down"}
    ways = forms("move towards,head for,go towards", goal)
    stage.tell(
        start, start + length, mover.subject, ways=ways, name=f"towards {goal}", kind="towards", tags=frozenset(side)
    )
    for member in goals[1:]:
        stage.deny(mover.subject, Form("move", f"towards {member.subject.name}"))
    if has_walls:
        stage.deny(mover.subject, Form("reach", goal))
        ways = forms("bump into,hit,run into", WALL) + forms("be stopped by", WALL)
        when = start + length
        stage.tell(
            when - 0.3, when + 0.2, mover.subject, ways=ways, name="hit a wall", kind="hit", tags=frozenset({"wall"})
        )
    else:
        ways = forms("reach,get to,arrive at", goal)
        stage.tell(
            start + 0.75 * length,
            start + length + 0.1,
            mover.subject,
            ways=ways,
            name=f"reach {goal}",
            kind="reach",
            tags=frozenset({"reach"}),
        )
    return True


def in_pieces(stage: Stage, shot: Shot) -> bool:
    """Something breaks into pieces or splits in two."""
    rng = stage.rng
    low, high = shot.busy
    member = shots.cast(stage, again=0.0, drawn=0.6) if high - low > 1.2 else None
    if member is None or member.subject.is_plural:
        return False
    shots.backdrop(stage, shot)
    actor = shots.placed(
        shot, member, float(rng.uniform(-0.4, 0.4)) * stage.aspect, float(rng.uniform(-0.3, 0.3)), 0.28
    )
    length = float(min(rng.uniform(0.5, 1.3), high - low - 0.2))
    start = float(rng.uniform(low, high - length))
    p = actor.progress(start, start + length)
    active = p > 0
    splits = rng.random() < 0.5
    count = 2 if splits else int(rng.integers(5, 9))
    turn = float(rng.uniform(0, np.pi)) if not splits else float(rng.choice([0.0, np.pi / 2]))
    for number in range(count):
        angle = turn + 2 * np.pi * number / count
        piece = shots.placed(
            shot, member, float(actor.x[0]), float(actor.y[0]), float(actor.size[0]) * (0.7 if splits else 0.32)
        )
        way = (0.45 if splits else 0.75) * p
        piece.x += np.cos(angle) * way
        piece.y += np.sin(angle) * way + (0 if splits else 0.3 * p**2)
        piece.opacity *= active
        if not splits:
            piece.angle += p * rng.uniform(-6, 6)
        shot.thing(member.picture if splits or rng.random() < 0.3 else stage.part("triangle"), piece)
    actor.opacity *= ~active
    shot.thing(member.picture, actor)
    if splits:
        ways = forms("split in two,divide into two,split into two parts")
    else:
        ways = forms("break into pieces,fall apart,burst,explode")
    name = "split" if splits else "break"
    stage.tell(
        start,
        start + length,
        member.subject,
        ways=ways,
        name=name,
        kind=name,
        tags=frozenset({"vanish", "leave", "small", "left", "right", "up", "down"}),
    )
    return True
