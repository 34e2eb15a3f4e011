"""How many places a prompt keeps for what is found before it is read; nothing here brings torch."""

from tvu.temporal.time_tokens.codec import TimeCodec
from tvu.temporal.time_tokens.lita import LitaTimeTokens

TOLD_SPANS = 5  # of the question: start, end and grade
TOLD_SHOTS = 8  # of the video: start, end, grade, and
NAMES = 2  # what each looks like
CLAUSE_PLACES = 3  # behind each thing that a question names: start and end of its best span, whether it is there


def are_told(codec: TimeCodec) -> bool:
    """Whether anything is told in words: not where a codec does not write a time as one token."""
    return isinstance(codec, LitaTimeTokens)


def found_places(codec: TimeCodec) -> int:
    """After the tokens of a video: the best spans, how likely anything is there at all, and the shots."""
    return 3 * TOLD_SPANS + 1 + TOLD_SHOTS * (3 + NAMES) if are_told(codec) else 0
