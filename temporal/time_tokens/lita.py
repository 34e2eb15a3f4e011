"""Time as LITA writes it: tokens for equal parts of the video (Huang et al. 2024, arXiv 2403.19046, section 3.1)."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from tvu.temporal.time_tokens.codec import TickCodec, check_duration, clamp
from tvu.temporal.time_tokens.grammar import TokenField

STAMP = re.compile(r"<(\d*\.\d+|\d+\.?)>")
"""Seconds in angle brackets, as answers and annotations of LITA hold them: `<12.5>`, `<.5>`, `<3.>`, `<7>`."""


@dataclass(frozen=True)
class LitaTimeTokens(TickCodec):
    """`<t0>` .. `<t99>`: token i is the time `i * duration / (N - 1)`, a span is `<t22> <t29>`.

    The paper counts tokens from 1, the published weights from 0, and so do we. Times are clamped to the video and
    decoded unrounded; the published code does neither: see `official_token` and `official_seconds`. It writes a span
    narrower than a part of the video as two equal tokens; we widen it.

    num_time_tokens: N, at least 2; 100 in the published model.
    """

    num_time_tokens: int = 100

    def __post_init__(self) -> None:
        if self.num_time_tokens < 2:
            raise ValueError(f"num_time_tokens must be at least 2, not {self.num_time_tokens}")

    @cached_property
    def added_tokens(self) -> tuple[str, ...]:
        return tuple(f"<t{tick}>" for tick in range(self.num_time_tokens))

    @cached_property
    def field(self) -> TokenField:
        return TokenField(self.added_tokens)

    @property
    def separators(self) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        return (" ", ""), ("",), (" ", "")  # the tokenizer that LITA was trained with drops blanks around its tokens

    def resolution(self, duration: float) -> float:
        return check_duration(duration) / (self.num_time_tokens - 1)

    def last_tick(self, duration: float) -> int:
        return self.num_time_tokens - 1

    def tick(self, seconds: float, duration: float) -> int:
        return round((self.num_time_tokens - 1) * (clamp(seconds, duration) / duration))

    def seconds(self, tick: int, duration: float) -> float:
        return min(tick * duration / (self.num_time_tokens - 1), duration)

    def write(self, tick: int) -> str:
        return self.added_tokens[tick]

    def official_token(self, seconds: float, duration: float) -> str:
        """The token of the published training data: not clamped, so a time after the end becomes `<t100>` or more.

        Such a token is not in the vocabulary and reaches the model in pieces.
        """
        part = seconds / check_duration(duration)
        if not math.isfinite(part):
            raise ValueError(f"a time is a finite number of seconds, not {seconds}")
        return f"<t{round((self.num_time_tokens - 1) * part)}>"

    def official_seconds(self, token: str, duration: float) -> float:
        """Seconds of a token as the published evaluation reports them: clamped to the video, with two decimals.

        Raises ValueError if `token` is not one of `added_tokens`.
        """
        if token not in self.field.symbols:
            raise ValueError(f"not a time token: {token!r}")
        index = self.added_tokens.index(token)
        return round(min(max(float(index) * check_duration(duration) / (self.num_time_tokens - 1), 0), duration), 2)

    def official_answer(self, pieces: Sequence[str], duration: float) -> str:
        """What the published evaluation reads: every time token as `<seconds>`, except when it is the last piece.

        pieces: the generated sequence, detokenized one by one, with `</s>` at its end unless it was cut short.
        """
        text = "".join(self._converted(pieces, duration, "<{}>")).strip()
        return text.removesuffix("</s>").strip()

    def official_demo_answer(self, pieces: Sequence[str], duration: float) -> str:
        """The same as the published demo shows it: every time token as `12.5s`, and blanks kept."""
        return "".join(self._converted(pieces, duration, "{}s"))

    def _converted(self, pieces: Sequence[str], duration: float, form: str) -> list[str]:
        known = self.field.symbols
        told = [
            form.format(self.official_seconds(piece, duration)) if piece in known else piece for piece in pieces[:-1]
        ]
        return [piece for piece in [*told, *pieces[-1:]] if piece != "</s>"]

    def stamps_to_tokens(self, text: str, duration: float) -> str:
        """`text` with every `<seconds>` as the token of the published training data (`official_token`)."""
        return STAMP.sub(lambda stamp: self.official_token(float(stamp[1]), duration), text)


def official_span(answer: str, duration: float) -> tuple[str, tuple[float, float]]:
    """(explanation, (start, end)) of an answer as the published evaluation takes it for its scores.

    The first two `<seconds>` of the text, clamped to the video and put in order, whatever else it says; they may be
    equal. Fewer than two give the whole video, and the answer as it is.
    """
    stamps = list(STAMP.finditer(answer))[:2]
    if len(stamps) < 2:
        return answer, (0, duration)
    first, second = stamps
    times = [min(max(float(stamp[1]), 0), duration) for stamp in stamps]
    explanation = answer[: first.start()] + answer[first.end() : second.start()] + answer[second.end() :]
    return explanation.strip(), (min(times), max(times))
