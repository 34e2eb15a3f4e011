"""What a shot of a composed video may show. Every function fills one shot and notes what is true of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tvu.temporal.types import Span
from tvu.video_llm.training.absence import CAMERA_WAYS, SHOWN
from tvu.video_llm.training.acts import ACTS, ENTRANCES, EXITS, Act, Actor, forms
from tvu.video_llm.training.drawing import COLORS, LETTERS, PLAIN
from tvu.video_llm.training.stage import (
    CAMERA,
    PICTURE,
    Draft,
    Member,
    Shot,
    Stage,
    Subject,
    are_alike,
    is_shape_free,
    subject_of,
)

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six")
REST_SECONDS = (0.15, 1.2)  # between two deeds

# --- what is in a shot ----------------------------------------------------------------------------------------


def backdrop(stage: Stage, shot: Shot, *, textured: float = 0.25) -> None:
    """A photograph or a coloured texture; what a photograph shows is present, but nothing is said of it."""
    rng = stage.rng
    named = [stage.assets.photos[i] for i in stage.photos]
    is_texture = np.array([not n.caption for n in named])
    pool = is_texture if rng.random() < textured or not (~is_texture).any() else ~is_texture
    if not pool.any():
        pool = np.ones(len(named), bool)
    for _ in range(12):
        which = int(rng.choice(np.flatnonzero(pool)))
        picture = named[which]
        subject = subject_of(picture) if picture.caption else None
        if subject is None or not any(are_alike(subject, s) for s in stage.present if s.name != subject.name):
            break
    else:
        which = int(rng.choice(np.flatnonzero(is_texture))) if is_texture.any() else which
        picture, subject = named[which], None
    if subject is not None:
        stage.present.append(subject)
        tint = np.clip(rng.normal(1.0, 0.06, 3), 0.7, 1.2)
    else:
        tint = _any_color(stage)
    shot.plate(int(stage.photos[which]), tint, float(rng.uniform(1.0, 1.7)), bool(rng.integers(2)))


def _any_color(stage: Stage) -> np.ndarray:
    """Pale most often, as walls are; strong or dark now and then."""
    rng = stage.rng
    base = np.array(list(COLORS.values())[int(rng.integers(len(COLORS)))])
    mix = rng.choice([0.15, 0.4, 0.9], p=[0.45, 0.35, 0.2])
    return np.clip((1 - mix) * rng.uniform(0.6, 1.0) + mix * base, 0.03, 1)


def cast(stage: Stage, *, drawn: float = 0.3, again: float = 0.25, besides: Sequence[Subject] = ()) -> Member | None:
    """Someone to be in a shot; nothing that is present may be taken for it.

    drawn: how often it is a drawn shape; again: how often it is someone who was there before; besides: who is in the
    shot already.
    """
    rng = stage.rng
    known = [m for m in stage.members if m.subject not in besides]
    if known and rng.random() < again:
        return known[int(rng.integers(len(known)))]
    for _ in range(16):
        color = ""
        if rng.random() < drawn:
            name = f"letter {rng.choice(LETTERS)}" if rng.random() < 0.15 else str(rng.choice(PLAIN))
            picture = stage.part(name)
            color = str(rng.choice(list(COLORS)))
            if not is_shape_free(color, stage.assets.sprites[picture].noun, stage.is_held_out):
                continue
        else:
            picture = int(rng.choice(stage.sprites))
        named = stage.assets.sprites[picture]
        if not named.caption or (named.drawn and not color):
            continue
        subject = subject_of(named, color)
        if any(are_alike(subject, s) for s in stage.present):
            continue
        tint = np.array(COLORS[color]) if color else rng.normal(0.97, 0.07) + rng.normal(0, 0.02, 3)
        member = Member(subject, picture, np.clip(tint, 0.03, 1.15), 1.0 if named.drawn else named.aspect)
        stage.members.append(member)
        stage.present.append(subject)
        return member
    return None


def placed(shot: Shot, member: Member, x: float, y: float, size: float) -> Actor:
    """An actor for a member; very wide things are made less high."""
    size = min(size, 0.75 / max(1.0, member.aspect))
    return Actor.at(shot.times, x, y, size, member.aspect, shot.aspect, member.tint.tolist())


def places(stage: Stage, count: int) -> list[tuple[float, float]]:
    """Where several things may stand without hiding each other."""
    rng = stage.rng
    columns = np.linspace(-1, 1, count + 2)[1:-1] if count > 1 else np.array([rng.uniform(-0.6, 0.6)])
    jitter = 0.25 / max(count, 1)
    xs = rng.permutation(columns) + rng.uniform(-jitter, jitter, count)
    return [(float(x * stage.aspect), float(rng.uniform(-0.4, 0.5))) for x in xs]


def shadow(stage: Stage, shot: Shot, actor: Actor) -> None:
    """A soft dark spot under a thing that stands on something."""
    ground = actor.y[0] + 0.95 * actor.size[0]
    high = np.clip(1 - np.abs(ground - actor.y - 0.95 * actor.size), 0.2, 1)
    wide = 0.7 * actor.size * min(actor.aspect, 1.3)
    n = len(actor.times)
    opacity = 0.35 * high * actor.opacity
    black = np.zeros((n, 3))
    shot.box(stage.part("ball"), actor.x, np.full(n, ground), (wide, 0.18 * wide), np.zeros(n), black, opacity)


# --- deeds ----------------------------------------------------------------------------------------------------


def free_acts(stage: Stage, shot: Shot, subject: Subject, acts: Sequence[Act]) -> list[Act]:
    """Acts that cannot be taken for another deed of the same subject."""
    deeds = stage.deeds(subject)
    camera = stage.used_tags(CAMERA)
    return [a for a in acts if all(deeds.get(tag, a.name) == a.name for tag in a.tags) and not a.tags & camera]


def _duration(stage: Stage, act: Act, room: float) -> float:
    low, high = act.seconds
    return float(min(stage.rng.uniform(low, high), room))


def perform(stage: Stage, shot: Shot, member: Member, actor: Actor, start: float, end: float, most: int) -> float:
    """Deeds of one actor one after the other between two seconds, at most so many; the second when the last is over."""
    rng = stage.rng
    now = start + float(rng.uniform(0, min(1.5, max(0.0, (end - start) / 4))))
    for _ in range(most):
        acts = free_acts(stage, shot, member.subject, ACTS)
        if not acts:
            break
        act = acts[int(rng.integers(len(acts)))]
        again = int(rng.integers(2, 5)) if act.repeats and rng.random() < 0.35 else 1
        gap = float(rng.uniform(0.25, 0.8))
        for _ in range(again):
            length = _duration(stage, act, end - now)
            if length < 0.6 * act.seconds[0] or not act.does(actor, actor.progress(now, now + length), rng):
                break
            facts = {}
            if act.name.startswith("move "):
                pace = float(np.hypot(actor.x[-1] - actor.x[0], actor.y[-1] - actor.y[0])) / length
                facts = (
                    {"speed": "fast"} if length < 0.9 else {"speed": "slowly"} if length > 2.8 and pace < 0.5 else {}
                )
            stage.tell(now, now + length, member.subject, act, facts=facts)
            now += length + gap
        now += float(rng.uniform(*REST_SECONDS))
        if now > end - 0.5:
            break
    return now


def shown(
    stage: Stage, member: Member, actor: Actor, shot: Shot, begin: float, until: float, share: float = 0.65
) -> None:
    """Say that it is shown from one second to another, and where if it stays there."""
    if stage.rng.random() > share:
        return
    facts = {}
    active = actor.opacity > 0.5
    if active.any() and np.ptp(actor.x[active]) < 0.3 and np.ptp(actor.y[active]) < 0.3 and shot.is_calm:
        x, y = actor.x[active].mean() / stage.aspect, actor.y[active].mean()
        if abs(x) > 0.4 and abs(y) < 0.55:
            facts = {"place": "on the left" if x < 0 else "on the right"}
        elif abs(y) > 0.45 and abs(x) < 0.3:
            facts = {"place": "at the top" if y < 0 else "at the bottom"}
        elif max(abs(x), abs(y)) < 0.15:
            facts = {"place": "in the middle"}
    stage.tell(begin, until, member.subject, ways=SHOWN, name="shown", kind="shown", facts=facts)


# --- shots ----------------------------------------------------------------------------------------------------


def acting(stage: Stage, shot: Shot) -> bool:
    """One to three things that come, do things one after the other or at the same time, and may go."""
    rng = stage.rng
    backdrop(stage, shot)
    count = int(rng.choice([1, 2, 3], p=[0.45, 0.35, 0.2]))
    taken: list[Subject] = []
    low, high = shot.busy
    turns = count > 1 and rng.random() < 0.5  # one after the other, each in its own part of the shot
    spots = places(stage, count)
    for number in range(count):
        member = cast(stage, besides=taken)
        if member is None:
            break
        taken.append(member.subject)
        actor = placed(shot, member, *spots[number], float(rng.uniform(0.16, 0.62 if count == 1 else 0.4)))
        start, end = low, high
        if turns:
            start, end = low + (high - low) * number / count, low + (high - low) * (number + 1) / count
        begin, until = shot.start, shot.end
        entrances = free_acts(stage, shot, member.subject, ENTRANCES)
        if entrances and rng.random() < 0.4 and end - start > 2.0:
            act = entrances[int(rng.integers(len(entrances)))]
            when = start + float(rng.uniform(0, (end - start) / 3))
            length = _duration(stage, act, (end - start) / 3)
            act.does(actor, actor.progress(when, when + length), rng)
            stage.tell(when, when + length, member.subject, act)
            begin = when + (0.3 if act.name == "appear" else 0.15) * length
            start = when + length + 0.2
        leaving = None
        exits = free_acts(stage, shot, member.subject, EXITS)
        if exits and rng.random() < 0.4 and end - start > 2.0:
            leaving = exits[int(rng.integers(len(exits)))]
            length = _duration(stage, leaving, (end - start) / 3)
            stop = end - float(rng.uniform(0, (end - start) / 4))
            end = stop - length - 0.2
        most = int(rng.integers(0, 2 + round((end - start) / 2.5))) if end - start > 0.8 else 0
        if most:
            perform(stage, shot, member, actor, start, end, most)
        if leaving is not None:
            leaving.does(actor, actor.progress(stop - length, stop), rng)
            stage.tell(stop - length, stop, member.subject, leaving)
            until = stop - (0.3 if leaving.name == "vanish" else 0.15) * length
        if rng.random() < 0.35:
            shadow(stage, shot, actor)
        shot.thing(member.picture, actor)
        shown(stage, member, actor, shot, begin, until)
    return bool(taken)


def photograph(stage: Stage, shot: Shot) -> bool:
    """A photograph of something, over which the camera may move."""
    rng = stage.rng
    pool = [i for i in stage.photos.tolist() if stage.assets.photos[i].caption]
    rng.shuffle(pool)
    for which in pool[:12]:
        subject = subject_of(stage.assets.photos[which])
        same = [s for s in stage.present if are_alike(subject, s)]
        if all(s.name == subject.name for s in same):
            break
    else:
        backdrop(stage, shot, textured=1.0)
        return False
    if not same:
        stage.present.append(subject)
    if rng.random() < 0.5:
        move_camera(stage, shot, gently=True)
    shot.plate(which, np.clip(rng.normal(1.0, 0.05, 3), 0.8, 1.15), float(rng.uniform(1.0, 1.2)), bool(rng.integers(2)))
    stage.tell(shot.start, shot.end, subject, ways=SHOWN, name="shown", kind="shown")
    return True


def move_camera(stage: Stage, shot: Shot, *, gently: bool = False) -> None:
    """One or two moves of the camera; before anything is placed, as what is placed moves with it."""
    rng = stage.rng
    low, high = shot.busy
    if high - low < 1.0:
        return
    count = 1 if high - low < 3 or gently else int(rng.integers(1, 2 + min(2, int((high - low) / 3))))
    edges = np.linspace(low, high, count + 1)
    for start, end in pairwise(edges.tolist()):
        taken = {tag: d.name for d in stage.drafts if d.subject is CAMERA for tag in d.tags}
        free = [n for n, (tags, _) in CAMERA_WAYS.items() if all(taken.get(t, n) == n for t in tags)]
        if not free:
            return
        name = free[int(rng.integers(len(free)))]
        length = float(min(rng.uniform(0.8, 3.5), end - start))
        begin = float(rng.uniform(start, end - length))
        p = np.clip((shot.times - begin) / length, 0, 1)
        camera = shot.camera
        far = float(rng.uniform(0.25, 0.5) if gently else rng.uniform(0.5, 1.1))
        if name.startswith("pan"):
            side = name.removeprefix("pan ")
            camera.x += p * far * {"left": -1, "right": 1}.get(side, 0)
            camera.y += p * far * 0.8 * {"up": -1, "down": 1}.get(side, 0)
        elif name.startswith("zoom"):
            camera.zoom *= (1 + 0.8 * far) ** (p if name == "zoom in" else 1 - p)
        elif name == "roll":
            camera.roll += p * far * rng.choice([-0.6, 0.6])
        else:
            wave = ((p > 0) & (p < 1)) * 0.09
            camera.x += wave * rng.standard_normal(len(p))
            camera.y += wave * rng.standard_normal(len(p))
        shot.is_calm = False
        tags, ways = CAMERA_WAYS[name]
        direction = {"left": "to the left", "right": "to the right"}.get(name.split(" ")[-1], name.split(" ")[-1])
        facts = {"camera": name} | ({"direction": direction} if name.startswith("pan") else {})
        stage.tell(
            begin, begin + length, CAMERA, ways=ways, name=name, kind="camera", tags=frozenset(tags), facts=facts
        )


def wandering_camera(stage: Stage, shot: Shot) -> bool:
    """The camera moves over a place with things that stay where they are."""
    rng = stage.rng
    if shot.busy[1] - shot.busy[0] < 1.5:
        return False
    if any(d.subject.words and d.tags for d in stage.drafts):  # what moves on the screen might be called a thing's deed
        return False
    move_camera(stage, shot)
    backdrop(stage, shot)
    for x, y in places(stage, int(rng.integers(0, 3))):
        member = cast(stage, again=0.0)
        if member is not None:
            actor = placed(shot, member, x, y, float(rng.uniform(0.2, 0.4)))
            shot.thing(member.picture, actor)
    return True


def crowd(stage: Stage, shot: Shot) -> bool:
    """Several of the same, of which some may move."""
    rng = stage.rng
    member = cast(stage, again=0.0, drawn=0.5)
    if member is None or member.subject.is_plural:
        return False
    backdrop(stage, shot)
    stage.members.remove(member)  # one of them alone would be told apart from several
    count = int(rng.integers(2, 6))
    named = stage.assets.sprites[member.picture]
    several = subject_of(named, member.subject.color, NUMBERS[count])
    size = float(rng.uniform(0.15, 0.26))
    low, high = shot.busy
    moving = int(rng.integers(0, count + 1)) if high - low > 1.5 else 0
    acts = [a for a in ACTS if a.name.startswith("move ") or a.name in ("jump", "spin clockwise", "rock", "shake")]
    act = acts[int(rng.integers(len(acts)))]
    length = float(min(rng.uniform(1.0, 3.0), high - low))
    start = float(rng.uniform(low, high - length))
    moved = 0
    order = rng.permutation(count)
    for number, (x, y) in enumerate(places(stage, count)):
        actor = placed(shot, member, x, y, size)
        if order[number] < moving and act.does(actor, actor.progress(start, start + length), rng):
            moved += 1
        shot.thing(member.picture, actor)
    stage.tell(shot.start, shot.end, several, ways=SHOWN, name="shown", kind="shown", facts={"count": NUMBERS[count]})
    stage.deny(subject_of(named, member.subject.color, NUMBERS[count + 1]), SHOWN[0])
    if moved:
        who = several if moved == count else subject_of(named, member.subject.color, NUMBERS[moved])
        if moved == 1:
            who = member.subject
        stage.tell(start, start + length, who, act, facts={"count": NUMBERS[moved]})
        stage.deny(subject_of(named, member.subject.color, NUMBERS[moved + 1]), act.ways[0])
    return True


def some_move(stage: Stage, shot: Shot) -> bool:
    """Several different things, of which some move at the same time, each its own way."""
    rng = stage.rng
    low, high = shot.busy
    if high - low < 1.5:
        return False
    backdrop(stage, shot)
    count = int(rng.integers(2, 6))
    moving = int(rng.integers(0, count + 1))
    length = float(min(rng.uniform(1.2, 4.0), high - low))
    start = float(rng.uniform(low, high - length))
    taken: list[Subject] = []
    movers: list[Subject] = []
    for x, y in places(stage, count):
        member = cast(stage, again=0.0, drawn=0.6, besides=taken)
        if member is None or member.subject.is_plural:
            continue
        taken.append(member.subject)
        actor = placed(shot, member, x, y, float(rng.uniform(0.14, 0.24)))
        if len(movers) < moving:
            acts = [act for act in free_acts(stage, shot, member.subject, ACTS) if act.kind == "move"]
            act = acts[int(rng.integers(len(acts)))] if acts else None
            if act is not None and act.does(actor, actor.progress(start, start + length), rng):
                stage.tell(start, start + length, member.subject, act)
                movers.append(member.subject)
        shot.thing(member.picture, actor)
    if len(movers) > 1:
        told = [
            Subject(f"{NUMBERS[n]} {noun}", True)
            for n in (len(movers), len(movers) + 1)
            for noun in ("things", "objects")
        ]
        which = int(rng.integers(2))
        ways = forms("move,be moving")
        facts = {"count": NUMBERS[len(movers)]}
        also = tuple(movers)
        stage.tell(start, start + length, told[which], ways=ways, name="move", kind="move", facts=facts, also=also)
        stage.deny(told[2 + which], ways[0])
    return bool(taken)


def pair(stage: Stage, shot: Shot, meeting: "Meeting | None" = None) -> bool:
    """Two things that do something to each other: `meeting`, or any."""
    rng = stage.rng
    low, high = shot.busy
    if high - low < 1.6:
        return False
    first = cast(stage, again=0.15)
    second = cast(stage, again=0.15, besides=[first.subject] if first else [])
    if first is None or second is None or first.subject.is_plural or second.subject.is_plural:
        return False
    if stage.used_tags(first.subject) or stage.used_tags(second.subject):
        return False
    backdrop(stage, shot)
    length = float(min(rng.uniform(1.2, 3.0), high - low))
    start = float(rng.uniform(low, high - length))
    meeting = meeting or MEETINGS[int(rng.integers(len(MEETINGS)))]
    size = float(rng.uniform(0.2, 0.34))
    side = float(rng.choice([-1, 1]))
    y = float(rng.uniform(-0.2, 0.45))
    a = placed(shot, first, -side * 0.62 * stage.aspect, y, size)
    b = placed(shot, second, side * 0.62 * stage.aspect, y, size)
    p = a.progress(start, start + length)
    gap = a.size[0] * min(1.0, a.aspect) * 0.8 + b.size[0] * min(1.0, b.aspect) * 0.8
    behind = meeting(stage, Encounter(first, second, a, b, p, gap, start, length, side))
    pairs = [(first, a), (second, b)]
    for member, actor in reversed(pairs) if behind else pairs:
        shot.thing(member.picture, actor)
    return True


@dataclass(frozen=True, eq=False)
class Encounter:
    """Two things that face each other: who, how they are told to move, and when.

    p: how much of it is over, by frame; gap: how far apart their middles are when they touch; side: 1 if the first
    comes from the left, else -1.
    """

    first: Member
    second: Member
    a: Actor
    b: Actor
    p: np.ndarray
    gap: float
    start: float
    length: float
    side: float

    @property
    def parts(self) -> tuple[Member, Member, Actor, Actor, np.ndarray, float, float, float]:
        """Who, how they move, how much is over, the start, the length and the side."""
        return self.first, self.second, self.a, self.b, self.p, self.start, self.length, self.side


Meeting = Callable[[Stage, Encounter], bool]
"""Moves both and tells what happens; gives True where the second is to be in front."""


def _both(first: Member, second: Member) -> Subject:
    words = first.subject.words | second.subject.words
    return Subject(f"{first.subject.name} and {second.subject.name}", True, (), words)


SIDES = frozenset({"left", "right"})
ALL = frozenset({"left", "right", "up", "down"})


def _collide(stage: Stage, met: Encounter) -> bool:
    first, second, a, b, p, start, length, side = met.parts
    gap = met.gap
    meet = 0.6
    close = np.where(p < meet, p / meet, 1 - 0.5 * (p - meet) / (1 - meet))
    way = (abs(a.x[0] - b.x[0]) - gap) / 2
    a.x += side * way * close
    b.x -= side * way * close
    ways = forms("bump,crash", "into each other") + forms("collide")
    both = (first.subject, second.subject)
    hit = start + meet * length
    stage.tell(
        hit - 0.35, hit + 0.35, _both(first, second), ways=ways, name="collide", kind="collide", tags=SIDES, also=both
    )
    return False


def _swap(stage: Stage, met: Encounter) -> bool:
    first, second, a, b, p, start, length = met.first, met.second, met.a, met.b, met.p, met.start, met.length
    way = b.x[0] - a.x[0]
    arc = 0.35 * np.sin(np.pi * p)
    a.x += way * p
    b.x -= way * p
    a.y -= arc
    b.y += 0.5 * arc
    ways = forms("swap,exchange", "places") + forms("trade their places")
    both = (first.subject, second.subject)
    stage.tell(start, start + length, _both(first, second), ways=ways, name="swap", kind="swap", tags=ALL, also=both)
    return False


def _jump_over(stage: Stage, met: Encounter) -> bool:
    first, second, a, b, p, start, length, side = met.parts
    b.x += -b.x[0]
    way = 2 * abs(a.x[0])
    high = min(2 * b.size[0] + 0.45, a.y[0] + 0.9)
    a.x += side * way * p
    a.y -= high * np.sin(np.pi * p)
    ways = forms("jump over,leap over,hop over", second.subject.name)
    name = f"jump over {second.subject.name}"
    stage.tell(start, start + length, first.subject, ways=ways, name=name, kind="jump over", tags=ALL | {"over"})
    return False


def _pass_behind(stage: Stage, met: Encounter) -> bool:
    first, second, a, b, p, start, length, side = met.parts
    b.x += -b.x[0]
    b.size *= 1.5
    a.x += side * 2 * abs(a.x[0]) * p
    front = stage.rng.random() < 0.4
    word = "in front of" if front else "behind"
    ways = forms(f"pass {word},go past {word},move {word}", second.subject.name)
    name = f"pass {word} {second.subject.name}"
    stage.tell(start, start + length, first.subject, ways=ways, name=name, kind="pass", tags=SIDES | {word})
    return not front


def _hide(stage: Stage, met: Encounter) -> bool:
    first, second, a, b, p, start, length, side = met.parts
    b.x += -b.x[0]
    b.size *= 1.7
    a.size *= 0.8
    a.x += side * abs(a.x[0]) * p
    ways = forms("hide behind,go behind,disappear behind", second.subject.name)
    name = f"hide behind {second.subject.name}"
    stage.tell(
        start,
        start + length,
        first.subject,
        ways=ways,
        name=name,
        kind="hide",
        tags=SIDES | {"behind", "vanish", "leave"},
    )
    return True


def _follow(stage: Stage, met: Encounter) -> bool:
    first, second, a, b, p, start, length, side = met.parts
    b.x += -b.x[0] - side * 0.1
    way = side * 0.55 * stage.aspect
    late = np.clip(p * 1.1 - 0.1, 0, 1)
    b.x += way * p
    a.x += way * late
    ways = forms("follow,chase,run after", second.subject.name)
    name = f"follow {second.subject.name}"
    stage.tell(
        start, start + length, first.subject, ways=ways, name=name, kind="follow", tags=SIDES, also=(second.subject,)
    )
    return False


def _come_to(stage: Stage, met: Encounter) -> bool:
    first, second, a, b, p, start, length, side = met.parts
    gap = met.gap
    way = abs(a.x[0] - b.x[0]) - gap
    a.x += side * way * p
    ways = forms("come up to,move towards,go to", second.subject.name)
    name = f"come to {second.subject.name}"
    stage.tell(start, start + length, first.subject, ways=ways, name=name, kind="approach", tags=SIDES | {"to"})
    return False


def _push(stage: Stage, met: Encounter) -> bool:
    first, second, a, b, p, start, length, side = met.parts
    gap = met.gap
    b.x += -b.x[0] - 0.2 * side
    way = abs(a.x[0] - b.x[0]) - gap
    touch = 0.35
    a.x += side * way * np.clip(p / touch, 0, 1)
    more = side * 0.5 * stage.aspect * np.clip((p - touch) / (1 - touch), 0, 1)
    a.x += more
    b.x += more
    ways = forms("push,shove,move", second.subject.name)
    begin = start + touch * length
    name = f"push {second.subject.name}"
    stage.tell(
        begin, start + length, first.subject, ways=ways, name=name, kind="push", tags=SIDES, also=(second.subject,)
    )
    return False


def _turn_into(stage: Stage, met: Encounter) -> bool:
    first, second, a, b, start, length = met.first, met.second, met.a, met.b, met.start, met.length
    a.x += -a.x[0]
    b.x += -b.x[0]
    fast = min(length, 1.0)
    q = a.progress(start, start + fast)
    a.opacity *= 1 - q
    b.opacity *= q
    ways = forms("turn into,become,change into", second.subject.name)
    name = f"turn into {second.subject.name}"
    tags = frozenset({"vanish", "leave", "into"})
    stage.tell(start, start + fast, first.subject, ways=ways, name=name, kind="turn into", tags=tags)
    stage.drafts.append(
        Draft(
            Span(start, start + fast),
            second.subject,
            forms("appear"),
            "appear",
            "appear",
            frozenset({"appear", "enter"}),
            {},
        )
    )
    return False


MEETINGS = (_collide, _swap, _jump_over, _pass_behind, _hide, _follow, _come_to, _push, _turn_into)


def lights(stage: Stage, shot: Shot) -> None:
    """The light goes down or up in a shot."""
    rng = stage.rng
    low, high = shot.busy
    if high - low < 1.5 or "dark" in stage.used_tags(PICTURE):
        return
    length = float(min(rng.uniform(0.2, 2.0), (high - low) / 2))
    start = float(rng.uniform(low, high - length))
    p = np.clip((shot.times - start) / length, 0, 1).astype(np.float32)
    level = float(rng.uniform(0.12, 0.4))
    darker = rng.random() < 0.6
    stage.gain[shot.first : shot.last] *= 1 - (1 - level) * (p if darker else 1 - p)
    if darker:
        ways, name = forms("get darker,turn dark,become dark"), "get dark"
    else:
        ways, name = forms("get brighter,turn bright,become bright"), "get bright"
    stage.tell(
        start,
        start + length,
        PICTURE,
        ways=ways,
        name=name,
        kind="light",
        tags=frozenset({"dark" if darker else "bright"}),
    )
