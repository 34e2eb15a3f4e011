"""How many places a prompt keeps for what the head finds; nothing here brings torch."""

from tvu.temporal.time_tokens.codec import TimeCodec
from tvu.temporal.time_tokens.lita import LitaTimeTokens

TOLD_SPANS = 3


def found_places(codec: TimeCodec) -> int:
    """After the tokens of a video: start, end and grade of the best spans, and how likely anything is there at all.

    0 for a codec that does not write a time as one token.
    """
    return 3 * TOLD_SPANS + 1 if isinstance(codec, LitaTimeTokens) else 0
