"""What surely does not happen in a composed video: hard negatives first."""

from tvu.video_llm.training.acts import ACTS, ENTRANCES, EXITS, Act, Form
from tvu.video_llm.training.drawing import COLORS, PLAIN
from tvu.video_llm.training.scenes import Wording
from tvu.video_llm.training.stage import CAMERA, Stage, Subject, are_alike, is_shape_free, subject_of, unique

SHOWN = (Form("be", "shown"), Form("be", "in the picture"), Form("be", "seen"))
CAMERA_WAYS = {
    "pan left": (("left",), (Form("pan", "to the left"), Form("turn", "to the left"), Form("move", "to the left"))),
    "pan right": (
        ("right",),
        (Form("pan", "to the right"), Form("turn", "to the right"), Form("move", "to the right")),
    ),
    "pan up": (("up",), (Form("tilt", "up"), Form("pan", "upwards"))),
    "pan down": (("down",), (Form("tilt", "down"), Form("pan", "downwards"))),
    "zoom in": (("in",), (Form("zoom", "in"), Form("move", "closer"), Form("move", "forward"))),
    "zoom out": (("out",), (Form("zoom", "out"), Form("move", "back"), Form("move", "backwards"))),
    "roll": (("roll",), (Form("tilt", "to one side"), Form("roll", "to the side"))),
    "shake": (("left", "right", "up", "down"), (Form("shake"), Form("wobble"))),
}
"""What the camera does: what one could also see in it, and how to say it."""

ODD = frozenset({"take", "put", "swap", "hidden", "fill", "empty", "switch"})
"""Kinds of deeds that only those who do them can do."""

NEAR, FAR = 4, 5  # wordings of each sort
DEEDS = (*ACTS, *ENTRANCES, *EXITS)


def absent_from(stage: Stage) -> tuple[Wording, ...]:
    """Wordings of what does not happen: the same thing doing something else, something else doing the same, others."""
    rng = stage.rng
    near = [stage.denied[i] for i in rng.permutation(len(stage.denied))[:NEAR].tolist()]
    far: list[Wording] = []
    doers = [s for s in {d.subject.name: d.subject for d in stage.drafts}.values() if s.words]
    for number in rng.permutation(len(doers))[:NEAR].tolist():
        act = _undone(stage, doers[number])
        if act is not None:
            near.append(_one(stage, act.ways).told_of(doers[number].name, doers[number].is_plural))
    # What two do together, or several, is not what another one could do alone.
    deeds = [d for d in stage.drafts if d.subject.words and not (d.also or "count" in d.facts) and d.kind not in ODD]
    for number in rng.permutation(len(deeds))[:NEAR].tolist():
        draft = deeds[number]
        other = _near_shape(stage, draft.subject) if draft.subject.color and rng.random() < 0.7 else None
        other = other or missing(stage)
        if other is not None:
            near.append(_one(stage, draft.ways).told_of(other.name, other.is_plural))
    for _ in range(FAR):
        other = missing(stage)
        if other is not None:
            far.append(_one(stage, SHOWN).told_of(other.name, other.is_plural))
            if rng.random() < 0.4:
                far.append(_one(stage, DEEDS[int(rng.integers(len(DEEDS)))].ways).told_of(other.name, other.is_plural))
    name = list(CAMERA_WAYS)[int(rng.integers(len(CAMERA_WAYS)))]
    tags, ways = CAMERA_WAYS[name]
    if not set(tags) & stage.used_tags(CAMERA):
        (near if stage.used_tags(CAMERA) else far).append(_one(stage, ways).told_of(CAMERA.name, False))
    return unique([*near, *far])


def _one(stage: Stage, ways: tuple[Form, ...]) -> Form:
    return ways[int(stage.rng.integers(len(ways)))]


def _undone(stage: Stage, subject: Subject) -> Act | None:
    """A deed of which nothing can be seen in what the subject does; the camera's moves count as the subject's."""
    if subject.name.startswith(("a hand", "the hidden", "two cups", "the cups")):
        return None  # more of it is drawn than its deeds tell
    used = stage.used_tags(subject) | stage.used_tags(CAMERA)
    if stage.used_tags(CAMERA):
        used |= {"big", "small", "turn", "enter", "leave"}
    free = [act for act in DEEDS if not act.tags & used]
    # The opposite of what it does, or its mirror image, is what one confuses most.
    return free[int(stage.rng.integers(len(free)))] if free else None


def _near_shape(stage: Stage, subject: Subject) -> Subject | None:
    """The same shape in another colour, or another shape in the same colour, that is not in the video."""
    rng = stage.rng
    for _ in range(8):
        color, shape = subject.color, subject.shape
        if rng.random() < 0.5:
            color = list(COLORS)[int(rng.integers(len(COLORS)))]
        else:
            shape = PLAIN[int(rng.integers(len(PLAIN)))]
        named = stage.assets.sprites[stage.part(shape)] if shape in PLAIN else None
        if named is None or not is_shape_free(color, shape, stage.is_held_out):
            continue
        other = subject_of(named, color)
        if not any(are_alike(other, present) for present in stage.present):
            return other
    return None


def missing(stage: Stage) -> Subject | None:
    """Anything of the split's pictures that nothing in the video could be taken for."""
    rng = stage.rng
    for _ in range(12):
        named = (
            stage.assets.sprites[int(rng.choice(stage.sprites))]
            if rng.random() < 0.75
            else stage.assets.photos[int(rng.choice(stage.photos))]
        )
        if not named.caption:
            continue
        if named.drawn:
            color = list(COLORS)[int(rng.integers(len(COLORS)))]
            if named.noun not in PLAIN or not is_shape_free(color, named.noun, stage.is_held_out):
                continue
            other = subject_of(named, color)
        else:
            other = subject_of(named)
        if not any(are_alike(other, present) for present in stage.present):
            return other
    return None
