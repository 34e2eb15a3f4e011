"""Free text cut into words, marks and times: the first half of `read_times`."""

import math
import re
import unicodedata
from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from tvu.temporal.time_tokens.lita import LitaTimeTokens
from tvu.temporal.time_tokens.time_words import AFTER_A_TIME, TO
from tvu.temporal.time_tokens.vtg_llm import CHARACTERS
from tvu.temporal.timecode import parse_timecode


class Kind(Enum):
    """What a lexeme is."""

    WORD = "a word, or a number that is part of one"
    MARK = "a punctuation mark"
    BROKEN = "looks like a time and is none"
    BARE = "a number, and nothing says of what"
    UNCLEAR = "1,234 or 3,9 or -5: a number that can be read in two ways"
    QUANTITY = "a number with a unit of time"
    CLOCK = "1:02 or 00:01:02,500"
    TOKEN = "a time token of a model, or seconds in angle brackets"


TIMES = {Kind.BARE, Kind.UNCLEAR, Kind.QUANTITY, Kind.CLOCK, Kind.TOKEN}


class Lexeme(NamedTuple):
    """One piece of the text, `text[start:end]`.

    says:  it in lower case; for a quantity its unit, empty if it has several (`1 min 5 s`).
    value: seconds; for a number without a unit the number; not-a-number for a token that needs the duration.
    unit:  seconds of the unit of a quantity.
    """

    kind: Kind
    says: str
    start: int
    end: int
    value: float = 0.0
    unit: float = 0.0


SECOND_WORDS = {"s", "sec", "secs", "second", "seconds"}
UNITS: dict[str, float] = {
    **dict.fromkeys(SECOND_WORDS, 1),
    **dict.fromkeys(("min", "mins", "minute", "minutes", "m"), 60),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600),
    **dict.fromkeys(("ms", "msec", "millisecond", "milliseconds"), 0.001),
}
_NOT_TIME_AFTER = {"%", "percent", "am", "pm", "a.m", "p.m", "°", "€", "£"}
_NOT_TIME_BEFORE = {"$", "€", "£", "#", "№"}
_ORDINAL = "(?:st|nd|rd|th)"
_DIGIT = "|".join(token for token, character in CHARACTERS if character != ".")
_ANY = "|".join(token for token, _ in CHARACTERS)
_LEXEME = re.compile(
    rf"""
    (?P<vtg>(?:(?:{_DIGIT})\s?){{4}}<TIME_DOT>\s?(?:{_DIGIT})|(?:{_ANY})(?:\s?(?:{_ANY}))*+)
  | <t(?P<lita>[0-9]{{1,6}})>
  | <(?P<stamp>[0-9]*+\.[0-9]++|[0-9]++\.?)>
  | <time(?:stamp)?>\s?(?P<tagged>[0-9]++(?:\.[0-9]++)?+)\s?(?:s|sec|seconds)?</time(?:stamp)?>
  | (?P<clock>[0-9]++(?::[0-9]++)++(?:\.[0-9]++|,[0-9]{{3}}(?![0-9:]))?+)
  | (?P<number>[0-9]++(?:[.,][0-9]++)*+|\.[0-9]++)(?:
        (?P<part>h|hrs?|m|mins?)(?=[0-9])
      | -(?P<hyphened>s|sec|second|min|minute|hour)(?=\smarks?\b)
      | (?P<ordinal>{_ORDINAL})(?=(?:\s(?:to|and|until|through)\s(?:the\s)?[0-9]{{1,6}}{_ORDINAL})?\sseconds?\b)
      | (?P<glued>\w*+)
    )
  | (?P<word>[^\W0-9_][^\W_]*+(?:\.[^\W_]++)*+)
  | (?P<mark>--?>|\.{{2,3}}|[^\s])
    """,
    re.VERBOSE | re.IGNORECASE,
)


def lex(text: str, duration: float | None, lita: LitaTimeTokens) -> list[Lexeme]:
    """The lexemes of `text` in order; numbers have their units, and units that follow one another are one quantity."""
    lexemes: list[Lexeme] = []
    text = _ascii_digits(text)
    for match in _LEXEME.finditer(text):
        _take(lexemes, _lexeme(match, duration, lita), text)
    return _without_metres(_compound(lexemes, text))


def _ascii_digits(text: str) -> str:
    """`text`, no longer and no shorter, with the decimal digits of every script as 0-9."""
    if text.isascii():
        return text
    return "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in text)


def _lexeme(match: re.Match[str], duration: float | None, lita: LitaTimeTokens) -> Lexeme:
    says, (start, end) = match[0].lower(), match.span()
    match match.lastgroup:
        case "vtg":
            for token, character in CHARACTERS:
                says = says.replace(token.lower(), character)
            digits = re.sub(r"\s", "", says)
            written = re.fullmatch(r"[0-9]{1,4}(?:\.[0-9]?)?", digits)
            return Lexeme(Kind.TOKEN if written else Kind.BROKEN, says, start, end, float(digits) if written else 0)
        case "lita":
            seconds = math.nan if duration is None else int(match["lita"]) * duration / (lita.num_time_tokens - 1)
            return Lexeme(Kind.TOKEN, says, start, end, seconds)
        case "stamp":
            return Lexeme(Kind.TOKEN, says, start, end, _number(match["stamp"]))
        case "tagged":
            return Lexeme(Kind.TOKEN, says, start, end, _number(match["tagged"]))
        case "clock":
            if re.fullmatch(r"(?:[0-9]{1,3}:)?[0-9]{1,2}:[0-9]{2}(?:[.,][0-9]{1,6})?", says):
                try:
                    return Lexeme(Kind.CLOCK, says, start, end, parse_timecode(says))
                except ValueError:
                    pass
            return Lexeme(Kind.BROKEN, says, start, end)
        case "part" | "hyphened" | "glued":
            return _number_lexeme(match["number"], match[match.lastgroup].lower(), start, end)
        case "ordinal":
            return _number_lexeme(match["number"], "", start, end)
        case "word":
            return Lexeme(Kind.WORD, says, start, end)
    return Lexeme(Kind.MARK, says, start, end)


def _number_lexeme(number: str, glued: str, start: int, end: int) -> Lexeme:
    if glued and glued not in UNITS:
        return Lexeme(Kind.WORD, number + glued, start, end)  # 3D, 12th
    if "," in number:
        return Lexeme(Kind.UNCLEAR, glued, start, end, unit=UNITS.get(glued, 0.0))
    if number.count(".") > 1:
        return Lexeme(Kind.WORD, number + glued, start, end)  # 1.2.3
    value, unit = _number(number), UNITS.get(glued, 0.0)
    if glued == "s" and number.isdecimal() and 1900 <= value < 2100 and value % 10 == 0:
        return Lexeme(Kind.WORD, number + glued, start, end)  # the 1980s
    if unit:
        return Lexeme(Kind.QUANTITY, glued, start, end, value * unit, unit)
    return Lexeme(Kind.BARE, number, start, end, value)


def _number(text: str) -> float:
    return float(text) if len(text) < 300 else math.inf


def _take(lexemes: list[Lexeme], lexeme: Lexeme, text: str) -> None:
    """Append a lexeme, or let it say what the number before it is."""
    before = lexemes[-1] if lexemes else Lexeme(Kind.MARK, "", 0, 0)
    gap = text[before.end : lexeme.start]
    beside = "\n" not in gap and len(gap) < 3
    if before.kind in (Kind.QUANTITY, Kind.CLOCK) and beside and text[lexeme.start : lexeme.end] in {"mark", "marks"}:
        lexemes[-1] = before._replace(end=lexeme.end)  # the 5-second mark
        return
    if before.kind in (Kind.BARE, Kind.UNCLEAR, Kind.CLOCK, Kind.TOKEN) and beside:
        if lexeme.says in _NOT_TIME_AFTER:
            lexemes[-1] = before._replace(kind=Kind.WORD)
        elif lexeme.kind is Kind.WORD and lexeme.says in UNITS:
            lexemes[-1] = _with_unit(before, lexeme)
            return
    elif lexeme.kind is Kind.WORD and lexeme.says in UNITS and before.says == "-" and not gap and len(lexemes) > 1:
        if lexemes[-2].kind is Kind.BARE and lexemes[-2].end == before.start:
            lexemes[-2] = lexemes[-2]._replace(kind=Kind.WORD)  # a 30-second clip
    elif lexeme.kind in TIMES and beside:
        lexeme = _told_by_what_stands_before(lexeme, before, lexemes, not gap)
    lexemes.append(lexeme)


def _with_unit(number: Lexeme, unit: Lexeme) -> Lexeme:
    if number.kind is Kind.BARE:
        seconds = UNITS[unit.says]
        return Lexeme(Kind.QUANTITY, unit.says, number.start, unit.end, number.value * seconds, seconds)
    is_clock = unit.says in SECOND_WORDS or (number.kind is Kind.CLOCK and UNITS[unit.says] == 60)  # 1:02 min
    return number._replace(kind=number.kind if is_clock else Kind.UNCLEAR, end=unit.end, unit=UNITS[unit.says])


def _told_by_what_stands_before(lexeme: Lexeme, before: Lexeme, lexemes: Sequence[Lexeme], touches: bool) -> Lexeme:
    if touches and before.says in _NOT_TIME_BEFORE:
        return lexeme._replace(kind=Kind.WORD)
    if before.says == "the" and lexeme.says == "s" and lexeme.value in range(10, 100, 10) and lexeme.unit == 1:
        return lexeme._replace(kind=Kind.UNCLEAR) if lexeme.end - lexeme.start == 3 else lexeme  # the 90s
    earlier = lexemes[-2] if len(lexemes) > 1 else None
    if touches and before.says == "/" and earlier is not None and earlier.end == before.start:
        return lexeme._replace(kind=Kind.UNCLEAR)  # 3/4 s
    if touches and before.says in {"-", "−"}:
        if earlier is not None and earlier.kind is Kind.WORD and earlier.end == before.start:
            return lexeme._replace(kind=Kind.WORD)  # COVID-19
        if earlier is None or earlier.kind not in TIMES:
            return lexeme._replace(kind=Kind.UNCLEAR)  # minus five, or five after a bullet
    return lexeme


def _compound(lexemes: Sequence[Lexeme], text: str) -> list[Lexeme]:
    """`1 minute and 5 seconds`, `1h:05m` and `1 min 5` as one quantity."""
    merged: list[Lexeme] = []
    for position, lexeme in enumerate(lexemes):
        if lexeme.kind is Kind.BARE and merged:
            lexeme = _with_the_next_unit(lexeme, merged[-1], lexemes[position + 1 : position + 2], text)
        merged.append(lexeme)
        if lexeme.kind is not Kind.QUANTITY:
            continue
        at = len(merged) - 2
        while at >= 0 and merged[at].says in {",", "and"} and len(merged) - at < 4:
            at -= 1
        if at > 0 and merged[at].says == ":" and text[merged[at - 1].end : lexeme.start] == ":":
            at -= 1
        larger = merged[at] if at >= 0 else lexeme
        follows = larger.kind is Kind.QUANTITY and lexeme.unit < larger.unit and lexeme.value < larger.unit
        if follows and "\n" not in text[larger.end : lexeme.start]:
            value = larger.value + lexeme.value
            merged[at:] = [Lexeme(Kind.QUANTITY, "", larger.start, lexeme.end, value, lexeme.unit)]
    return merged


def _with_the_next_unit(number: Lexeme, before: Lexeme, following: Sequence[Lexeme], text: str) -> Lexeme:
    """The 30 of `1 min 30` as seconds, that of `1 h 30` as minutes, unless it counts what follows: `1 min 3 dogs`."""
    gap = text[before.end : number.start]
    is_larger = before.kind is Kind.QUANTITY and before.unit in (60, 3600) and (before.says != "m" or not gap)
    if not is_larger or len(gap) > 2 or "\n" in gap or number.value >= 60:
        return number
    if following and following[0].says not in AFTER_A_TIME | TO and "\n" not in text[number.end : following[0].start]:
        return number
    unit = before.unit / 60
    return number._replace(kind=Kind.QUANTITY, value=number.value * unit, unit=unit)


def _without_metres(lexemes: Sequence[Lexeme]) -> list[Lexeme]:
    """`5 m` alone is a length in space."""
    return [lexeme._replace(kind=Kind.WORD) if lexeme.says == "m" else lexeme for lexeme in lexemes]
