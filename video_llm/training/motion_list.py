"""What people do, one by one: how it moves, how it is said, and what it may be taken for."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from tvu.video_llm.training import motions as m
from tvu.video_llm.training.motions import POSTURES, Move, again, held, into, still
from tvu.video_llm.training.scenes import Split


@dataclass(frozen=True)
class Motion:
    """One thing that a person can do.

    name: short, one for each; move: adds its keyframes; phrases: ways to say it, verb first; `{poss}` is "his", "her"
        or "their", and `{side}` makes a phrase one of a side: "left" or "right".
    seconds: the shortest and longest time that it takes; from_: postures in which it can start; to: the posture after
        it, where that is another.
    sides: what its side is of: the body's own, the picture's, or nothing that words tell.
    repeats: whether people do it several times in a row and count.
    looks: what a watcher may take it for; two motions that share a look are never told apart in one video.
    opposite: the motion that is most easily mistaken for it, by words.
    needs_legs: whether it cannot be recognised when only the upper body is in the picture.
    weight: how often it is drawn.
    """

    name: str
    move: Move
    phrases: tuple[str, ...]
    seconds: tuple[float, float]
    from_: tuple[str, ...] = ("stand",)
    to: str | None = None
    sides: Literal["body", "picture", "none"] = "none"
    repeats: bool = False
    looks: frozenset[str] = field(default_factory=frozenset)
    opposite: str = ""
    needs_legs: bool = False
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not self.phrases or not 0 < self.seconds[0] <= self.seconds[1]:
            raise ValueError(f"{self.name} needs phrases and a range of seconds")


_UP: Final = ("stand", "sit")


def _row(name: str, move: Move, phrases: str, seconds: tuple[float, float], looks: str = "", **rest: object) -> Motion:
    """One row: `phrases` and `looks` are separated by `;`; a motion always looks like itself."""
    told = tuple(phrase.strip() for phrase in phrases.split(";"))
    seen = frozenset({name, *(look.strip() for look in looks.split(";") if look.strip())})
    return Motion(name, move, told, seconds, looks=seen, **rest)  # type: ignore[arg-type]


MOTIONS: Final[tuple[Motion, ...]] = (
    # postures
    _row(
        "sit down",
        into("sit", {"trunk": (36, 0, 10, 0, 0), **m.legs((0.1, -0.72, 0.3)), **m.both((0.05, -0.5, 0.6, 10))}),
        (
            "sit down; take a seat; sit down on a chair; lower {poss} body onto a seat; go from "
            "standing to sitting; have a seat"
        ),
        (0.7, 2.2),
        to="sit",
        opposite="stand up",
        needs_legs=False,
        weight=3,
    ),
    _row(
        "stand up",
        into("stand", {"trunk": (42, 0, 10, 0, 0), **m.legs((0.09, -0.7, 0.2)), **m.both((0.05, -0.5, 0.6, 10))}),
        (
            "stand up; get up from the chair; rise from {poss} seat; get to {poss} feet; go from "
            "sitting to standing; rise"
        ),
        (0.6, 2.2),
        "get up",
        from_=("sit",),
        to="stand",
        opposite="sit down",
        weight=3,
    ),
    _row(
        "sit on the floor",
        into("floor", POSTURES["crouch"]),
        "sit down on the floor; sit down on the ground; lower {poss} body to the floor",
        (1.0, 2.5),
        "sit down; crouch down",
        to="floor",
        opposite="get up",
        needs_legs=True,
    ),
    _row(
        "kneel down",
        into("kneel"),
        "kneel down; kneel; get down on {poss} knees; drop to {poss} knees",
        (0.7, 1.8),
        "crouch down",
        to="kneel",
        opposite="get up",
        needs_legs=True,
    ),
    _row(
        "crouch down",
        into("crouch"),
        "crouch down; crouch; squat down low; duck down",
        (0.5, 1.5),
        "squat; kneel down",
        to="crouch",
        opposite="get up",
        needs_legs=True,
    ),
    _row(
        "lie down",
        into("lie", {**POSTURES["floor"], "trunk": (-20, 0, 10, 0, 0)}),
        ("lie down; lie down on the floor; lie down on {poss} back; stretch out on the ground; lie back"),
        (1.2, 3.0),
        "fall",
        from_=("stand", "floor", "sit"),
        to="lie",
        opposite="get up",
        needs_legs=True,
        weight=2,
    ),
    _row(
        "lie on the belly",
        into("prone", POSTURES["all fours"]),
        "lie down on {poss} stomach; lie face down; get down onto {poss} belly",
        (1.2, 3.0),
        "lie down; fall",
        from_=("stand", "all fours"),
        to="prone",
        opposite="get up",
        needs_legs=True,
    ),
    _row(
        "get up",
        into("stand", POSTURES["crouch"]),
        "get up; get up from the floor; stand up; get to {poss} feet; rise from the ground",
        (1.0, 3.0),
        "stand up",
        from_=("lie", "prone", "floor", "kneel", "crouch", "all fours", "plank", "downward dog", "low lunge"),
        to="stand",
        opposite="lie down",
        needs_legs=True,
        weight=4,
    ),
    _row(
        "sit up",
        into("floor"),
        "sit up; raise {poss} upper body from the floor; go from lying to sitting",
        (0.8, 2.0),
        "sit-up",
        from_=("lie",),
        to="floor",
        opposite="lie down",
        needs_legs=True,
        weight=2,
    ),
    _row(
        "go on all fours",
        into("all fours", POSTURES["kneel"]),
        ("get down on {poss} hands and knees; go down on all fours; get on {poss} hands and knees"),
        (1.0, 2.5),
        "crouch down; kneel down",
        from_=("stand", "kneel"),
        to="all fours",
        opposite="get up",
        needs_legs=True,
    ),
    _row(
        "go into a plank",
        into("plank", POSTURES["all fours"]),
        "get into a plank; go into a push-up position",
        (1.0, 2.5),
        "crouch down; plank; go on all fours",
        from_=("stand", "all fours"),
        to="plank",
        opposite="get up",
        needs_legs=True,
    ),
    _row(
        "go into downward dog",
        into("downward dog"),
        "go into the downward dog; push up into downward dog; lift {poss} hips up into an upside-down V; "
        "push {poss} hips up and back",
        (0.7, 2.5),
        "downward dog; bending",
        from_=("plank", "all fours", "low lunge", "stand"),
        to="downward dog",
        opposite="get up",
        needs_legs=True,
        weight=2.5,
    ),
    _row(
        "come down to a plank",
        into("plank"),
        "move into a plank; come forward into a plank; shift into a push-up position",
        (0.7, 2.0),
        "plank; go into a plank",
        from_=("downward dog", "low lunge"),
        to="plank",
        needs_legs=True,
        weight=3,
    ),
    _row(
        "step into a low lunge",
        into("low lunge"),
        "step into a low lunge; step one foot forward between {poss} hands; bring a foot forward between the hands",
        (0.6, 1.8),
        "lunge; bending; warrior",
        from_=("plank", "downward dog", "stand"),
        to="low lunge",
        needs_legs=True,
        weight=2.5,
    ),
    _row(
        "lower to the floor",
        into("prone"),
        "lower {poss} body to the floor; sink down onto {poss} belly; lower {poss} chest to the ground",
        (0.7, 2.5),
        "lie on the belly; press-up; lie down",
        from_=("plank", "all fours"),
        to="prone",
        needs_legs=True,
        weight=1.5,
    ),
    _row(
        "push up to a plank",
        into("plank"),
        "push {poss} body up from the floor; push up off the ground; rise from the belly onto hands and toes",
        (0.7, 2.0),
        "plank; press-up; go into a plank",
        from_=("prone",),
        to="plank",
        needs_legs=True,
        weight=1.5,
    ),
    _row(
        "raise a leg on hands",
        still(m.leg_back),
        "raise one leg; lift a leg into the air behind; kick one leg up behind {poss} body; "
        "raise {poss} {side} leg; lift {poss} {side} leg into the air",
        (1.0, 4.0),
        from_=("plank", "downward dog", "all fours"),
        sides="body",
        needs_legs=True,
        repeats=True,
        weight=2.5,
    ),
    _row(
        "fall",
        m.fall,
        "fall; fall down; fall to the ground; tumble to the floor; collapse",
        (0.5, 1.2),
        "lie down; lie on the belly",
        to="lie",
        opposite="get up",
        needs_legs=True,
        weight=0.7,
    ),
    # arms
    _row(
        "wave",
        again(m.waving, 0.4, 0.9),
        (
            "wave; wave {poss} hand; wave at the camera; wave hello; wave goodbye; wave {poss} {side} "
            "hand; wave with {poss} {side} hand; greet someone with a wave of the {side} hand"
        ),
        (1.0, 5.0),
        "raise an arm",
        from_=_UP,
        sides="body",
        weight=3,
    ),
    _row(
        "wave both",
        again(m.waving_both, 0.4, 0.9),
        "wave both hands; wave both arms; wave with both arms",
        (1.0, 5.0),
        "raise both arms; wave",
        from_=_UP,
    ),
    _row(
        "raise an arm",
        still(m.arm_up),
        (
            "raise {poss} arm; raise {poss} hand; put {poss} hand up; lift an arm into the air; raise "
            "{poss} {side} arm; raise {poss} {side} hand; put {poss} {side} hand up; hold {poss} "
            "{side} arm up"
        ),
        (0.9, 5.0),
        "wave",
        from_=_UP,
        sides="body",
        repeats=True,
        weight=3,
    ),
    _row(
        "raise both arms",
        still(m.arms_up),
        (
            "raise both arms; raise {poss} arms above {poss} head; put both hands up; lift {poss} "
            "hands over {poss} head; reach up with both arms"
        ),
        (0.9, 5.0),
        "wave both; raise an arm; stretch",
        from_=_UP,
        repeats=True,
        weight=2,
    ),
    _row(
        "spread arms",
        still(m.arms_out),
        ("spread {poss} arms; stretch {poss} arms out to the sides; hold {poss} arms out wide; open {poss} arms wide"),
        (0.9, 5.0),
        from_=_UP,
        repeats=True,
    ),
    _row(
        "arms forward",
        still(m.arms_forward),
        ("stretch both arms forward; hold {poss} arms straight out in front; reach forward with both hands"),
        (0.9, 4.0),
        from_=_UP,
        repeats=True,
    ),
    _row(
        "clap",
        again(m.clapping, 0.3, 0.6),
        "clap; clap {poss} hands; applaud; give applause",
        (0.8, 5.0),
        from_=_UP,
        weight=2,
    ),
    _row(
        "circle arms",
        again(m.arm_circles, 0.8, 1.8),
        "swing {poss} arms in circles; do arm circles; rotate {poss} arms",
        (1.6, 6.0),
        "raise both arms; wave both",
    ),
    _row(
        "point",
        still(m.pointing),
        (
            "point at something; point; point with {poss} finger; point with {poss} {side} hand; "
            "point at something with {poss} {side} hand"
        ),
        (0.9, 4.0),
        from_=_UP,
        sides="body",
        repeats=True,
        weight=1,
    ),
    _row(
        "drink",
        still(m.to_mouth),
        ("drink; take a drink; drink from a cup; drink from a glass; take a sip; drink water; drink from a bottle"),
        (1.2, 5.0),
        "eat; brush teeth; phone",
        from_=_UP,
        repeats=True,
        weight=2,
    ),
    _row(
        "eat",
        again(m.eating, 1.6, 3.2),
        "eat; eat something; eat a meal; put food into {poss} mouth; have a bite",
        (2.0, 9.0),
        "drink; brush teeth",
        from_=_UP,
        weight=2,
    ),
    _row(
        "phone",
        still(m.phoning),
        ("talk on the phone; make a phone call; hold a phone to {poss} ear; speak on the telephone; take a call"),
        (2.0, 9.0),
        "scratch; drink",
        from_=_UP,
        weight=1.5,
    ),
    _row(
        "text",
        still(m.looking_at_hands),
        "look at {poss} phone; type on a phone; text on a phone",
        (2.0, 9.0),
        "read; look down",
        from_=_UP,
    ),
    _row(
        "photograph",
        still(m.photographing),
        "take a photo; take a picture; hold up a camera; film something with a phone",
        (1.2, 5.0),
        from_=_UP,
        repeats=True,
    ),
    _row(
        "scratch",
        again(m.scratching, 0.3, 0.6),
        "scratch {poss} head; rub {poss} head",
        (0.9, 3.0),
        "phone; comb; salute",
        from_=_UP,
    ),
    _row("salute", still(m.saluting), "salute; give a salute", (0.9, 3.0), "scratch; raise an arm; phone", from_=_UP),
    _row(
        "cover face",
        still(m.covering_face),
        ("cover {poss} face; cover {poss} face with both hands; hide {poss} face in {poss} hands"),
        (1.0, 4.0),
        from_=_UP,
    ),
    _row(
        "shrug",
        still(m.shrugging),
        "shrug; shrug {poss} shoulders; throw up {poss} hands in doubt",
        (0.7, 1.6),
        from_=_UP,
        repeats=True,
    ),
    _row("hug", still(m.hugging), "hug someone; give someone a hug; embrace someone", (1.2, 5.0)),
    _row(
        "shake hands",
        again(m.handshake, 0.4, 0.8),
        "shake hands; shake somebody's hand; shake hands with someone",
        (1.2, 3.0),
        from_=_UP,
    ),
    _row(
        "stretch",
        still(m.stretching),
        "stretch; stretch {poss} body; stretch {poss} arms upward; have a stretch",
        (1.2, 5.0),
        "raise both arms",
        from_=_UP,
    ),
    _row(
        "bend sideways",
        still(m.side_bend),
        ("bend to the side; lean to one side; do a side bend; bend to {poss} {side}; lean over to {poss} {side} side"),
        (1.2, 5.0),
        "raise an arm",
        from_=_UP,
        sides="body",
        repeats=True,
    ),
    _row(
        "fold arms",
        still(m.folding_arms),
        "cross {poss} arms; fold {poss} arms; stand with crossed arms",
        (1.5, 6.0),
        from_=("stand",),
    ),
    _row(
        "curl",
        again(m.curling, 1.2, 2.4),
        "do biceps curls; curl dumbbells; lift dumbbells",
        (2.4, 9.0),
        "weights",
        from_=_UP,
    ),
    _row(
        "press overhead",
        again(m.pressing, 1.2, 2.4),
        "lift weights overhead; press a barbell over {poss} head; lift a barbell",
        (2.4, 9.0),
        "weights; raise both arms",
    ),
    # hands
    _row(
        "stir",
        again(m.stirring, 0.6, 1.5),
        ("stir; stir something; stir a pot; mix something in a bowl; stir with a spoon; mix the batter"),
        (1.5, 9.0),
        "table",
        from_=_UP,
        weight=2,
    ),
    _row(
        "cut",
        again(m.cutting, 0.35, 0.8),
        "cut something; cut with a knife; chop vegetables; slice something; cut something up",
        (1.5, 9.0),
        "table",
        from_=_UP,
        weight=2,
    ),
    _row(
        "knead",
        again(m.kneading, 0.7, 1.4),
        "knead dough; press something down with both hands; work the dough",
        (2.0, 9.0),
        "table",
        from_=_UP,
    ),
    _row(
        "shuffle",
        again(m.shuffling, 0.7, 1.8),
        (
            "shuffle things on a table; move things around on a table; slide cups around; shuffle the "
            "cups; rearrange objects on the table; swap objects on a table"
        ),
        (1.5, 9.0),
        "table",
        from_=_UP,
        weight=2,
    ),
    _row(
        "type",
        again(m.typing, 0.5, 1.0),
        "type; type on a keyboard; type on a computer; work on a laptop",
        (2.0, 9.0),
        "table; piano",
        from_=_UP,
    ),
    _row(
        "write",
        again(m.writing, 1.2, 2.4),
        "write; write something down; write on paper; draw something",
        (2.0, 9.0),
        "table",
        from_=("sit",),
    ),
    _row(
        "wipe",
        again(m.wiping, 0.6, 1.4),
        "wipe the table; clean the table; wipe a surface; polish the table",
        (1.5, 8.0),
        "table",
        from_=_UP,
    ),
    _row(
        "hammer",
        again(m.hammering, 0.5, 1.0),
        "hammer; hit something with a hammer; hammer a nail",
        (1.5, 7.0),
        "table",
        from_=_UP,
    ),
    _row(
        "wash hands",
        again(m.washing_hands, 0.35, 0.8),
        "wash {poss} hands; rub {poss} hands together",
        (1.5, 7.0),
        "table; clap",
        from_=_UP,
    ),
    _row(
        "pour",
        still(m.pouring),
        "pour something; pour a drink; pour water into a glass",
        (1.5, 5.0),
        "table; drink",
        from_=_UP,
    ),
    _row(
        "play the guitar",
        again(m.guitar, 0.4, 0.9),
        "play the guitar; play guitar; strum a guitar",
        (2.0, 10.0),
        "instrument",
        from_=_UP,
    ),
    _row(
        "play the piano",
        again(m.piano, 0.9, 2.0),
        "play the piano; play piano; play the keyboard",
        (2.0, 10.0),
        "instrument; table",
        from_=("sit",),
    ),
    _row(
        "play the drums",
        again(m.drums, 0.3, 0.7),
        "play the drums; drum; beat a drum",
        (1.5, 9.0),
        "instrument",
        from_=_UP,
    ),
    _row(
        "play the violin",
        again(m.violin, 0.6, 1.6),
        "play the violin; play violin; play the fiddle",
        (2.0, 10.0),
        "instrument",
        from_=_UP,
    ),
    _row(
        "brush teeth",
        again(m.brushing_teeth, 0.3, 0.6),
        "brush {poss} teeth; clean {poss} teeth",
        (2.0, 8.0),
        "drink; eat",
        from_=("stand",),
    ),
    _row(
        "comb",
        again(m.combing, 0.7, 1.4),
        "comb {poss} hair; brush {poss} hair; fix {poss} hair",
        (1.5, 7.0),
        "scratch",
        from_=_UP,
    ),
    _row(
        "read",
        still(m.reading),
        "read; read a book; look into a book; read a newspaper",
        (2.5, 10.0),
        "text; look down",
        from_=_UP,
    ),
    # head
    _row(
        "nod",
        again(m.nodding, 0.4, 0.9),
        "nod; nod {poss} head; nod in agreement",
        (0.8, 3.0),
        from_=_UP,
        opposite="shake head",
    ),
    _row(
        "shake head",
        again(m.shaking_head, 0.4, 0.9),
        "shake {poss} head; shake {poss} head no",
        (0.8, 3.0),
        from_=_UP,
        opposite="nod",
    ),
    _row(
        "look to the side",
        still(m.looking),
        ("look to the side; turn {poss} head; look to {poss} {side}; turn {poss} head to the {side}"),
        (0.9, 4.0),
        from_=_UP,
        sides="body",
        repeats=True,
    ),
    _row(
        "look up",
        still(m.looking_up),
        "look up; look at the ceiling; look up at the sky; tilt {poss} head back",
        (0.9, 4.0),
        from_=_UP,
        opposite="look down",
        repeats=True,
    ),
    _row(
        "look down",
        still(m.looking_down),
        "look down; lower {poss} head; look at the ground",
        (0.9, 4.0),
        from_=_UP,
        opposite="look up",
        repeats=True,
    ),
    # on the spot
    _row(
        "jump",
        m.jump,
        "jump; jump up; jump into the air; leap up; jump up and down",
        (0.7, 1.4),
        needs_legs=True,
        repeats=True,
        weight=3,
    ),
    _row("hop", m.hop, "hop on one leg; hop on one foot", (1.2, 5.0), "jump; balance", needs_legs=True),
    _row("skip rope", m.rope, "skip rope; jump rope; skip with a rope", (1.5, 8.0), "jump", needs_legs=True),
    _row(
        "jumping jacks",
        m.jacks,
        "do jumping jacks; do star jumps; do jumping jack exercises",
        (1.6, 8.0),
        "jump",
        needs_legs=True,
        weight=2,
    ),
    _row(
        "kick",
        m.kick,
        (
            "kick; kick something; kick a ball; give a kick; kick with {poss} {side} leg; kick with "
            "the {side} foot; kick a ball with {poss} {side} foot"
        ),
        (0.6, 1.4),
        sides="body",
        needs_legs=True,
        repeats=True,
        weight=3,
    ),
    _row(
        "punch",
        m.punch,
        (
            "punch; throw a punch; punch the air; hit out; punch with {poss} {side} hand; throw a "
            "punch with the {side} fist"
        ),
        (0.5, 1.1),
        "box",
        sides="body",
        repeats=True,
        weight=2,
    ),
    _row("box", again(m.boxing, 0.9, 1.6), "box; shadow box; practise boxing", (2.0, 8.0), "punch"),
    _row(
        "throw",
        m.throw,
        (
            "throw something; throw a ball; toss something; throw a ball with {poss} {side} hand; "
            "throw something with the {side} arm"
        ),
        (0.8, 1.6),
        "throwing; racket",
        sides="body",
        repeats=True,
        opposite="catch",
        weight=2,
    ),
    _row(
        "catch",
        m.catch,
        "catch something; catch a ball; catch a ball with both hands",
        (0.7, 1.5),
        repeats=True,
        opposite="throw",
    ),
    _row(
        "shoot a basketball",
        m.shot,
        "shoot a basketball; shoot at the basket; take a shot at the hoop",
        (0.9, 1.8),
        "throwing; jump; raise both arms",
        needs_legs=True,
        repeats=True,
    ),
    _row("dribble", again(m.dribble, 0.5, 0.9), "dribble a basketball; bounce a ball", (1.5, 6.0)),
    _row(
        "swing a club",
        m.golf,
        "swing a golf club; hit a golf ball; swing a bat; play golf",
        (1.0, 2.2),
        "swinging",
        sides="none",
        repeats=True,
    ),
    _row(
        "swing a racket",
        m.racket,
        "swing a racket; hit a tennis ball; hit a ball with a racket; play tennis",
        (0.8, 1.6),
        "swinging; throw",
        repeats=True,
    ),
    _row(
        "squat",
        m.squat,
        "squat; do a squat; squat down and come back up; bend {poss} knees deeply",
        (0.9, 3.0),
        "crouch down; sit down",
        needs_legs=True,
        repeats=True,
        weight=3,
    ),
    _row(
        "lunge",
        m.lunge,
        "lunge; do a lunge; step into a lunge; lunge with {poss} {side} leg in front",
        (1.0, 3.5),
        "warrior",
        sides="body",
        needs_legs=True,
        repeats=True,
        weight=2,
    ),
    _row(
        "bend over",
        m.bend,
        "bend over; bend down; bend forward; touch {poss} toes; fold {poss} body forward",
        (1.2, 5.0),
        "bending",
        opposite="stretch",
        repeats=True,
        weight=2,
    ),
    _row(
        "reach down",
        still(m.reach_down),
        "reach down; reach out to something low; pet an animal; stroke a dog; reach for a thing below",
        (1.0, 5.0),
        "bending; squat; crouch down",
        repeats=True,
        opposite="stretch",
        needs_legs=True,
        weight=1.5,
    ),
    _row("bow", m.bow, "bow; take a bow; bow down", (1.0, 2.5), "bending", repeats=True),
    _row(
        "pick up",
        m.pick_up,
        (
            "pick something up; pick something up from the floor; lift something from the ground; "
            "pick up an object; take something from the floor"
        ),
        (0.9, 2.4),
        "bending; squat; crouch down",
        needs_legs=True,
        opposite="put down",
        weight=3,
    ),
    _row(
        "put down",
        m.put_down,
        ("put something down; put something on the floor; place something on the ground; set an object down"),
        (0.9, 2.4),
        "bending; squat; crouch down",
        needs_legs=True,
        opposite="pick up",
        weight=2,
    ),
    _row(
        "tie shoes",
        m.shoes,
        "tie {poss} shoes; tie {poss} shoelaces; do up {poss} shoe",
        (2.0, 6.0),
        "bending; squat; crouch down; kneel down",
        needs_legs=True,
    ),
    _row(
        "turn around",
        m.turn,
        "turn around; turn {poss} back; turn the other way; turn round",
        (0.7, 2.0),
        "turning",
        weight=3,
    ),
    _row(
        "turn to the side",
        m.quarter_turn,
        "turn to the side; turn to {poss} {side}; turn {side}",
        (0.5, 1.5),
        "turning",
        sides="body",
    ),
    _row(
        "spin",
        m.spin,
        "spin around; turn in a circle; spin; do a full turn; whirl around",
        (0.9, 3.5),
        "turning; dance",
        weight=1.5,
    ),
    _row("dance", m.dance, "dance; dance to music; do a dance; groove", (2.0, 12.0), "spin; circle arms", weight=3),
    _row("jog in place", m.jog, "jog on the spot; run in place; jog in place", (1.5, 7.0), "march", needs_legs=True),
    _row(
        "march",
        again(m.high_knees, 0.8, 1.6),
        ("march on the spot; do high knees; march in place; raise {poss} knees one after the other"),
        (1.6, 7.0),
        "jog in place; balance",
        needs_legs=True,
    ),
    _row(
        "balance",
        still(m.one_leg),
        ("stand on one leg; balance on one foot; lift one leg and balance; raise {poss} {side} leg"),
        (1.5, 6.0),
        "tree; kick",
        sides="body",
        needs_legs=True,
        weight=1.5,
    ),
    _row(
        "sweep",
        again(m.sweeping, 0.8, 1.6),
        "sweep the floor; sweep with a broom; mop the floor; vacuum the floor",
        (2.0, 9.0),
        "dig",
    ),
    _row(
        "dig",
        again(m.digging, 1.3, 2.6),
        "dig; dig a hole; shovel; shovel snow; dig with a spade",
        (2.6, 9.0),
        "sweep; bending",
    ),
    # yoga and exercises
    _row(
        "downward dog",
        held("downward dog"),
        (
            "do the downward dog; be on {poss} hands and feet; stand on {poss} hands and feet; put "
            "{poss} hands and feet on the floor with the hips up; hold the downward-facing dog pose; "
            "form an upside-down V"
        ),
        (2.5, 8.0),
        "on hands; plank; bending; downward dog",
        from_=("stand", "all fours", "plank", "kneel"),
        needs_legs=True,
        weight=3,
    ),
    _row(
        "plank",
        held("plank"),
        ("do a plank; hold a plank; be in a plank; hold a push-up position; support {poss} body on hands and toes"),
        (2.5, 8.0),
        "on hands; downward dog",
        from_=("stand", "all fours", "prone", "kneel"),
        needs_legs=True,
        weight=2,
    ),
    _row(
        "all fours",
        held("all fours"),
        "be on {poss} hands and knees; be on all fours; kneel on all fours",
        (2.5, 8.0),
        "on hands; kneel down",
        from_=("stand", "kneel"),
        needs_legs=True,
    ),
    _row(
        "press-up",
        m.press_up,
        "do a push-up; do a press-up; do push-ups",
        (0.8, 2.0),
        from_=("plank",),
        needs_legs=True,
        repeats=True,
        weight=6,
    ),
    _row(
        "sit-up",
        m.sit_up,
        "do a sit-up; do a crunch; do sit-ups",
        (1.0, 2.4),
        "sit up",
        from_=("lie",),
        needs_legs=True,
        repeats=True,
        weight=4,
    ),
    _row(
        "raise a leg lying",
        still(m.leg_raise),
        ("raise a leg while lying down; lift {poss} leg from the floor; raise {poss} {side} leg off the floor"),
        (1.2, 4.0),
        from_=("lie",),
        sides="body",
        needs_legs=True,
        repeats=True,
        weight=2,
    ),
    _row(
        "bridge",
        m.bridge,
        "do a bridge; lift {poss} hips off the floor; hold the bridge pose",
        (1.5, 6.0),
        from_=("lie",),
        needs_legs=True,
        repeats=True,
        weight=2,
    ),
    _row(
        "cobra",
        m.cobra,
        "do the cobra pose; arch {poss} back upward; lift {poss} chest off the floor",
        (1.5, 6.0),
        from_=("prone",),
        needs_legs=True,
        weight=2,
    ),
    _row(
        "child's pose",
        m.child,
        ("rest in child's pose; do the child's pose; curl up on {poss} knees with the forehead on the floor"),
        (2.0, 7.0),
        "bending",
        from_=("all fours", "kneel"),
        needs_legs=True,
        weight=3,
    ),
    _row(
        "crawl",
        m.crawl,
        "crawl; crawl on the floor; crawl on {poss} hands and knees; move on all fours",
        (1.5, 6.0),
        from_=("all fours",),
        needs_legs=True,
        weight=3,
    ),
    _row(
        "warrior",
        m.warrior,
        "do the warrior pose; hold a warrior pose; stand in warrior pose",
        (2.0, 8.0),
        "lunge",
        needs_legs=True,
        weight=2.5,
    ),
    _row(
        "triangle",
        m.triangle,
        ("do the triangle pose; hold the triangle pose; bend sideways with straight arms and legs apart"),
        (2.0, 7.0),
        "bend sideways; bending",
        needs_legs=True,
    ),
    _row(
        "tree",
        still(m.tree),
        ("do the tree pose; stand in tree pose; stand on one leg with the foot against the knee"),
        (2.0, 8.0),
        "balance",
        needs_legs=True,
    ),
    _row(
        "pedal",
        again(m.pedalling, 0.6, 1.2),
        "pedal; ride an exercise bike; ride a bike; cycle",
        (2.0, 9.0),
        from_=("sit",),
        needs_legs=True,
    ),
    _row(
        "row",
        again(m.rowing, 1.4, 2.6),
        "row; row a boat; pull the oars; use a rowing machine",
        (2.8, 9.0),
        from_=("sit", "floor"),
    ),
    # getting about
    _row(
        "enter",
        m.enter,
        (
            "walk in; come in; enter; walk into the picture; walk into view; appear; walk in from the "
            "{side}; come in from the {side};"
            "enter from the {side}; walk into the frame from the {side} side"
        ),
        (1.0, 4.0),
        "arrive",
        from_=("outside",),
        to="stand",
        sides="picture",
        opposite="leave",
        weight=4,
    ),
    _row(
        "run in",
        m.running(m.enter),
        ("run in; run into the picture; run into view; run in from the {side}; run into the frame from the {side}"),
        (0.6, 1.8),
        "arrive; enter; run",
        from_=("outside",),
        to="stand",
        sides="picture",
        opposite="run out",
        weight=1.5,
    ),
    _row(
        "leave",
        m.leave,
        (
            "leave; walk out; walk away; walk out of the picture; go away; walk off; walk out to the "
            "{side}; leave to the {side};"
            "exit on the {side}; walk off to the {side}"
        ),
        (1.0, 4.0),
        "go",
        to="outside",
        sides="picture",
        opposite="enter",
        weight=1.5,
    ),
    _row(
        "run out",
        m.running(m.leave),
        ("run away; run out of the picture; run off; run out to the {side}; run off to the {side}"),
        (0.6, 1.8),
        "go; leave; run",
        to="outside",
        sides="picture",
        opposite="run in",
        weight=0.7,
    ),
    _row(
        "walk across",
        m.across,
        (
            "walk; walk across the room; walk along; walk to the {side}; move to the {side}; take "
            "some steps to the {side}"
        ),
        (1.2, 4.0),
        "walk",
        sides="picture",
        needs_legs=True,
        weight=3,
    ),
    _row(
        "run across",
        m.running(m.across),
        "run; run across the picture; run to the {side}; sprint to the {side}",
        (0.7, 2.0),
        "run; walk",
        sides="picture",
        needs_legs=True,
    ),
    _row(
        "walk away",
        m.away_or_near(-1),
        "walk away; walk away from the camera; go away into the distance; move away",
        (1.5, 5.0),
        "go; walk",
        needs_legs=True,
        opposite="come closer",
        weight=2,
    ),
    _row(
        "come closer",
        m.away_or_near(1),
        "walk towards the camera; come closer; approach; approach the camera; walk forward",
        (1.5, 4.0),
        "walk",
        needs_legs=True,
        opposite="walk away",
        weight=1.5,
    ),
)
BY_NAME: Final[Mapping[str, Motion]] = {motion.name: motion for motion in MOTIONS}

STATES: Final[Mapping[str, tuple[str, ...]]] = {
    "stand": ("stand", "be on {poss} feet", "be upright"),
    "sit": ("sit", "be seated", "sit on a chair"),
    "floor": ("sit on the floor", "sit on the ground"),
    "kneel": ("kneel", "be on {poss} knees"),
    "crouch": ("crouch", "stay low"),
    "lie": ("lie on the floor", "lie on {poss} back", "be on {poss} back"),
    "prone": ("lie face down", "lie on {poss} stomach", "be on {poss} belly"),
    "all fours": ("be on {poss} hands and knees", "be on all fours"),
    "plank": ("be in a plank", "be in a push-up position", "hold a plank"),
    "downward dog": ("be in the downward dog", "form an upside-down V", "hold {poss} hips high above hands and feet"),
    "low lunge": ("be in a low lunge", "hold a low lunge"),
}
"""Ways to say that a posture lasts."""

ON_HANDS_AND_FEET: Final = frozenset({"plank", "downward dog", "low lunge"})
HANDS_AND_FEET: Final = (
    "be on {poss} hands and feet",
    "have {poss} hands and feet on the floor",
    "support {poss} body on hands and feet",
    "stand on hands and feet",
    "be on all four limbs with the knees off the floor",
)
"""Ways to say that one of these lasts, or one after the other."""


def phrases_of(phrases: Sequence[str], split: Split) -> list[str]:
    """Those of `phrases` that `split` may use: about one in five is kept from training, if enough are left."""
    if len(phrases) < 3:
        return list(phrases)
    kept = [phrase for phrase in phrases[1:] if zlib.crc32(phrase.encode()) % 5 == 0]
    if split == "held-out":
        return kept or list(phrases)
    return [phrase for phrase in phrases if phrase not in kept]
