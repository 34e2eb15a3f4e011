"""English verbs in the forms that wordings need."""

from typing import Final

from tvu.video_llm.training.scenes import Wording

IRREGULAR_ING: Final = {
    "be": "being",
    "lie": "lying",
    "tie": "tying",
    "drum": "drumming",
    "step": "stepping",
    **{
        word: word + word[-1] + "ing"
        for word in [
            "sit",
            "get",
            "put",
            "clap",
            "nod",
            "stir",
            "cut",
            "jog",
            "hug",
            "hop",
            "shrug",
            "run",
            "spin",
            "skip",
            "rub",
            "chop",
            "dig",
            "bat",
            "grab",
            "squat",
            "stop",
            "drop",
            "mop",
            "step",
            "hit",
            "box",
            "plan",
            "pan",
            "bob",
            "flip",
            "swap",
            "tip",
            "split",
            "set",
            "zigzag",
            "knit",
            "snap",
            "tap",
            "scrub",
            "snip",
            "wrap",
            "strum",
        ]
        if word != "box"
    },
    "row": "rowing",
    "throw": "throwing",
    "bow": "bowing",
    "box": "boxing",
}
IRREGULAR_THIRD: Final = {"be": "is", "have": "has", "do": "does", "go": "goes"}


def conjugated(verb: str) -> tuple[str, str]:
    """The third person and the -ing form of `verb`: `sit` gives `sits` and `sitting`."""
    if verb in IRREGULAR_THIRD:
        third = IRREGULAR_THIRD[verb]
    elif verb.endswith(("s", "sh", "ch", "x", "z", "o")):
        third = verb + "es"
    elif verb.endswith("y") and verb[-2] not in "aeiou":
        third = verb[:-1] + "ies"
    else:
        third = verb + "s"
    if verb in IRREGULAR_ING:
        return third, IRREGULAR_ING[verb]
    if verb.endswith("e") and not verb.endswith("ee"):
        return third, verb[:-1] + "ing"
    return third, verb + "ing"


def wording(subject: str, poss: str, phrase: str, side: str = "") -> Wording:
    """`phrase` said of `subject`: "wave {poss} {side} hand" of "a man" is "a man waves his left hand"."""
    verb, _, rest = phrase.replace("{poss}", poss).replace("{side}", side).partition(" ")
    third, ing = conjugated(verb)
    return Wording(subject, verb, third, ing, rest)
