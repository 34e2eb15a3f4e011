"""Which of the things that happen a question wants to be told in words, where it names none to choose from."""

import re
from dataclasses import dataclass
from typing import Literal

from tvu.video_llm.questions import captions_request

LONGEST = 300  # characters of a question that is read; what is longer asks for more than this

Which = Literal["all", "first", "last", "after", "before"]


@dataclass(frozen=True)
class Telling:
    """`all`, the `first`, the `last`, or what comes `after` or `before` another thing, which is `than`."""

    which: Which
    than: str = ""

    def __post_init__(self) -> None:
        if (self.which in ("after", "before")) != bool(self.than):
            raise ValueError("what comes after or before is told of something, and nothing else is")


def telling_of(question: str) -> Telling | None:
    """None for a question that wants something else."""
    if question.strip() == captions_request():
        return Telling("all")
    told = " ".join(question.strip().rstrip("?!. ").split())
    if len(told) > LONGEST:
        return None
    for which, pattern in _FORMS:
        found = pattern.fullmatch(told)
        if found is not None:
            than = next((each.strip(" ,") for each in found.groups() if each), "")
            return None if found.re.groups and not than else Telling(which, than)
    return None


_OF_VIDEO = r"(?:the|this) (?:whole )?(?:video|clip|footage|recording|film|movie)"
_IN = rf"(?: (?:in|on|of) {_OF_VIDEO})?"
_IT = rf"(?:it|{_OF_VIDEO})"
_WHAT = r"(?:(?:what|which)(?: event| thing| action)?)"
_GOES_ON = (
    rf"(?:{_WHAT}(?: (?:happen|occur|come)(?:s|ed)| happened| came| takes place| goes on| follows"
    r"|(?:'s| is| was) (?:happening|going on|shown|seen|visible|there)| can be seen| (?:can|do|did) (?:you|we) see))"
)
_THING = r"(?:event|action|thing(?: that happens)?)"
_ASK = r"(?:please |can you |could you )?"
_TELL = rf"(?:{_ASK}(?:tell me|tell|say|describe|name|list))"
_SOON = r"(?:(?:right|directly|immediately|just) )?"
_WHEN = r"(?:,? (?:and when|and at what times?|with (?:their )?times|in detail))?"
_THAN = r"((?!or |the (?:start|beginning|end)\b|\d).+?)"

_FORMS: tuple[tuple[Which, re.Pattern[str]], ...] = tuple(
    (which, re.compile("|".join(forms), re.IGNORECASE))  # type: ignore[misc]
    for which, forms in {
        "first": (
            rf"{_GOES_ON} (?:first|earliest){_IN}{_WHEN}",
            rf"what(?:'s| is) the first {_THING}{_IN}",
            rf"what opens {_OF_VIDEO}|(?:how|with what) does {_IT} (?:begin|start|open)",
            rf"{_GOES_ON} (?:at|in) the (?:very )?(?:beginning|start){_IN}",
            rf"{_TELL} the first {_THING}{_IN}",
        ),
        "last": (
            rf"{_GOES_ON} (?:last|latest){_IN}{_WHEN}",
            rf"what(?:'s| is) the (?:last|final) {_THING}{_IN}",
            rf"what closes {_OF_VIDEO}|(?:how|with what) does {_IT} (?:end|finish|close)",
            rf"{_GOES_ON} (?:at|in) the (?:very )?end{_IN}",
            rf"{_TELL} the (?:last|final) {_THING}{_IN}",
        ),
        "after": (
            rf"{_GOES_ON}{_IN}(?: next)? {_SOON}after {_THAN}{_WHEN}",
            rf"{_SOON}after {_THAN}, (?:{_GOES_ON}(?: next)?|what is next)",
            rf"{_TELL} {_GOES_ON}{_IN}(?: next)? {_SOON}after {_THAN}{_WHEN}",
            rf"{_WHAT} follows {_THAN}",
        ),
        "before": (
            rf"{_GOES_ON}{_IN} {_SOON}before {_THAN}{_WHEN}",
            rf"{_SOON}before {_THAN}, {_GOES_ON}",
            rf"{_TELL} {_GOES_ON}{_IN} {_SOON}before {_THAN}{_WHEN}",
            rf"{_WHAT} precedes {_THAN}",
        ),
        "all": (
            rf"{_GOES_ON}{_IN}{_WHEN}",
            rf"what(?:(?: is|'s) (?:in )?|(?: is|'s) ){_OF_VIDEO}(?: about)?",
            rf"{_ASK}(?:describe|caption|summari[sz]e|outline) {_OF_VIDEO}{_WHEN}",
            rf"{_TELL} (?:{_GOES_ON}|everything that happens){_IN}{_WHEN}",
            rf"{_TELL} (?:all )?the events{_IN}{_WHEN}",
        ),
    }.items()
)
