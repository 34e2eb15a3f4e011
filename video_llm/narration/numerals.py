"""Words as they are compared: one spelling for what can be written in several ways and is said in one.

`$1,200`, `1200 dollars` and `twelve hundred dollars` become the same tokens, and so do `don't` and `do not`, `Dr.` and
`doctor`, `21st` and `twenty-first`, `3:30` and `three thirty`, `nineteen eighty-four` and `1984`. Every token knows the
words of the text it comes from, so that a match of tokens is a match of words, and of their times.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True)
class Token:
    """What is compared: a lower-case word without accents, or a number in digits.

    first, last: the words of the text that it was made of, both included.
    """

    text: str
    first: int
    last: int


def words_of(text: str) -> frozenset[str]:
    """A set of words that are written as a text."""
    return frozenset(text.split())


def _numbered(words: str, start: int, step: int = 1) -> dict[str, int]:
    return {word: start + step * i for i, word in enumerate(words.split())}


_ONES = _numbered("zero one two three four five six seven eight nine", 0)
_TEENS = _numbered("ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen", 10)
_TENS = _numbered("twenty thirty forty fifty sixty seventy eighty ninety", 20, 10)
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_SMALL = _ONES | _TEENS | _TENS
_ORDINALS = (
    _numbered("first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth", 1)
    | _numbered("thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth", 13)
    | _numbered("twentieth thirtieth fortieth fiftieth sixtieth seventieth eightieth ninetieth", 20, 10)
)
_DECADES = _numbered("twenties thirties forties fifties sixties seventies eighties nineties", 20, 10)
_ORDINAL_SCALES = {"hundredth": 100, "thousandth": 1000, "millionth": 10**6}
_ROMAN = _numbered("i ii iii iv v vi vii viii ix x xi xii xiii xiv xv xvi xvii xviii xix xx", 1)
_BEFORE_ROMAN = words_of("chapter part act scene volume war section phase appendix book episode type level")

_CURRENCIES = {"$": "dollars", "€": "euros", "£": "pounds", "¥": "yen", "₹": "rupees"}
_SIGNS = {
    "%": "percent",
    "&": "and",
    "@": "at",
    "+": "plus",
    "=": "equals",
    "°": "degrees",
    "×": "times",
    "№": "number",
}
_FRACTIONS = {
    "1/2": "half",
    "1/4": "quarter",
    "3/4": "3 quarters",
    "1/3": "1 third",
    "2/3": "2 thirds",
    "1/8": "1 eighth",
}

_SHORT = {  # abbreviations that stand for their word wherever they are, with or without a full stop
    "dr": "doctor", "mr": "mister", "mrs": "missus", "ms": "miss", "prof": "professor", "jr": "junior",
    "sr": "senior", "vs": "versus", "etc": "et cetera", "approx": "approximately", "dept": "department",
    "govt": "government", "tbsp": "tablespoons", "tbsps": "tablespoons", "tsp": "teaspoons", "tsps": "teaspoons",
    "ok": "okay", "ave": "avenue", "blvd": "boulevard", "capt": "captain", "sgt": "sergeant", "gen": "general",
    "jan": "january", "feb": "february", "aug": "august", "sept": "september", "oct": "october", "nov": "november",
    "dec": "december", "eg": "for example", "ie": "that is", "gonna": "going to", "wanna": "want to",
    "gotta": "got to", "cannot": "can not", "cos": "because", "cuz": "because", "till": "until", "alright": "all right",
    "o'clock": "oclock", "percentage": "percent",
}  # fmt: skip
_DOTTED = {
    "st": "saint",
    "no": "number",
    "fig": "figure",
    "vol": "volume",
    "mt": "mount",
    "co": "company",
    "inc": "incorporated",
}
_MEASURES = {  # after a number only: `in` and `m` are words and letters elsewhere
    "km": "kilometers", "kms": "kilometers", "m": "meters", "cm": "centimeters", "mm": "millimeters",
    "kg": "kilograms", "kgs": "kilograms", "kilo": "kilograms", "kilos": "kilograms", "g": "grams", "gr": "grams",
    "mg": "milligrams", "l": "liters", "ml": "milliliters", "cl": "centiliters", "dl": "deciliters", "oz": "ounces",
    "lb": "pounds", "lbs": "pounds", "ft": "feet", "yd": "yards", "mi": "miles", "min": "minutes",
    "mins": "minutes", "sec": "seconds", "secs": "seconds", "s": "seconds", "h": "hours", "hr": "hours",
    "hrs": "hours", "mph": "miles per hour", "kmh": "kilometers per hour", "km/h": "kilometers per hour",
    "c": "celsius", "f": "fahrenheit", "k": "thousand", "bn": "billion", "mb": "megabytes", "gb": "gigabytes",
    "hz": "hertz", "w": "watts", "kw": "kilowatts", "v": "volts", "pp": "pages",
}  # fmt: skip
_SPELLINGS = {  # what is spelt in two ways and said in one
    "metre": "meter", "metres": "meters", "kilometre": "kilometer", "kilometres": "kilometers",
    "centimetre": "centimeter", "centimetres": "centimeters", "millimetres": "millimeters",
    "litre": "liter", "litres": "liters", "colour": "color",
    "colours": "colors", "centre": "center", "grey": "gray", "theatre": "theater", "favourite": "favorite",
    "dollar": "dollars", "pound": "pounds", "euro": "euros", "degree": "degrees", "tablespoon": "tablespoons",
    "teaspoon": "teaspoons", "meter": "meters", "gram": "grams", "kilogram": "kilograms", "ounce": "ounces",
    "kilometer": "kilometers", "centimeter": "centimeters", "liter": "liters", "quid": "pounds", "bucks": "dollars",
}  # fmt: skip
_IS = words_of("it that he she there what who where here how when this everything something nothing")
_ENDINGS = {"n't": "not", "'ll": "will", "'re": "are", "'ve": "have", "'m": "am", "'d": "would"}

_PIECE = re.compile(
    r"\d+(?:[.,:/]\d+)*(?:st|nd|rd|th|s)?(?![^\W\d_])"  # 1,200 3.5 10:30 1/2 21st 1990s
    r"|\d+"  # of 5kg
    r"|km/h|o'clock|[^\W\d_]+(?:'[^\W\d_]+)*'?"
    r"|[$€£¥₹%&@+=°×№]|(?<!\S)-(?=[\d$€£¥₹])|(?<=\d)[-–](?=\d)"
)
_INITIALS = re.compile(r"(?<![^\W\d_])(?:[^\W\d_]\.){2,}[^\W\d_]?(?![^\W\d_])|(?<![^\W\d_])[ap]\.m(?![^\W\d_])")
_CJK = re.compile(r"[぀-ヿ㐀-鿿豈-﫿ｦ-ﾟ]")


def fold(text: str) -> str:
    """Lower case without accents, with plain quotes: `cafe` of `Café`, `1/2` of `½`."""
    text = text.lower().replace("’", "'").replace("‘", "'").replace("ʼ", "'").replace("−", "-")
    text = re.sub(r"(?<=\d)(?=[½¼¾⅓⅔⅛])", " ", text)
    folded = unicodedata.normalize("NFKD", text).replace("⁄", "/")
    return "".join(c for c in folded if not unicodedata.combining(c))


@lru_cache(maxsize=65536)
def _pieces(word: str) -> tuple[str, ...]:
    """The parts of one word that are said one after the other, still as written: `$5.50` is `$`, `5.50`."""
    folded = _INITIALS.sub(lambda m: m[0].replace(".", ""), fold(word))
    if re.fullmatch(r"\W*\d{3}-\d{4}\W*|\W*(?:\d[\s,-]+){2,}\d\W*|\W*\d{3}-\d{3}-\d{4}\W*", folded):
        return (re.sub(r"\D", "", folded),)  # a telephone number
    folded = re.sub(r"(?<=\w)\.(?=(?:com|org|net|edu|gov|io|uk|fr|de|eu)\b)", " dot ", folded)
    return tuple(
        piece for match in _PIECE.findall(folded) for piece in (_CJK.findall(match) if _CJK.search(match) else [match])
    )


def tokens_of(words: Sequence[str], language: str = "en") -> list[Token]:
    """Tokens of the words of a text, in its order.

    words: as they are parted by spaces, punctuation attached. Outside English only letters, accents and digits are
    made alike; scripts without spaces are compared letter by letter.
    """
    said: list[Token] = []
    for i, word in enumerate(words):
        pieces = _pieces(word)
        for k, piece in enumerate(pieces):
            if language != "en":
                said.append(Token(re.sub(r"(?<=\d)[.,](?=\d{3})|'", "", piece), i, i))
                continue
            ends_dotted = k + 1 == len(pieces) and word.rstrip(",;:!?\"')").endswith(".")
            before = said[-1].text if said else ""
            said += [Token(each, i, i) for each in _said(piece, before, is_dotted=ends_dotted)]
    return _numbers(said) if language == "en" else said


def _said(piece: str, before: str, *, is_dotted: bool) -> list[str]:
    """One piece in the words that say it; numbers stay numbers and currencies stay before theirs, for `_numbers`."""
    if piece in _CURRENCIES:
        return [piece]
    if piece in _SIGNS:
        return [_SIGNS[piece]]
    if piece in ("-", "–"):
        return ["to" if before[:1].isdigit() else "minus"]
    if piece[0].isdigit():
        return _digits(piece)
    after_number = before[:1].isdigit() or before in _SMALL or before in ("half", "degrees", "quarter")
    if after_number and piece in _MEASURES:
        return _MEASURES[piece].split()
    if before in _BEFORE_ROMAN and piece in _ROMAN and (len(piece) > 1 or piece != "i"):
        return [str(_ROMAN[piece])]
    if is_dotted and piece in _DOTTED:
        return [_DOTTED[piece]]
    if piece in _SHORT:
        return _SHORT[piece].split()
    if "'" in piece:
        return _uncontracted(piece)
    return [_SPELLINGS.get(piece, piece)]


def _digits(piece: str) -> list[str]:
    if piece in _FRACTIONS:
        return _FRACTIONS[piece].split()
    if re.fullmatch(r"\d{1,2}:\d\d", piece):  # three thirty
        hours, minutes = piece.split(":")
        return [hours] if minutes == "00" else [f"{int(hours)}{minutes}"]
    if re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?", piece):
        piece = piece.replace(",", "")
    ordinal = re.fullmatch(r"(\d+)(?:st|nd|rd|th|s)", piece)
    if ordinal:
        return [str(int(ordinal[1]))]
    if re.fullmatch(r"\d+\.\d+", piece):
        whole, part = piece.split(".")
        return [f"{int(whole)}.{part}"]
    if piece.isdigit():
        return [piece if len(piece) >= 7 or piece == "00" else str(int(piece))]
    return re.findall(r"\d+", piece)


def _uncontracted(word: str) -> list[str]:
    word = word.strip("'")
    if word in ("won't", "shan't", "can't"):
        return [{"won't": "will", "shan't": "shall", "can't": "can"}[word], "not"]
    if word == "let's":
        return ["let", "us"]
    for ending, whole in _ENDINGS.items():
        if word.endswith(ending) and len(word) > len(ending):
            return [word.removesuffix(ending), whole]
    if word.endswith("'s"):
        return [word[:-2], "is"] if word[:-2] in _IS else [word[:-2] + "s"]
    return [word.replace("'", "")]


@dataclass
class _Number:
    """A number while its words come in."""

    total: int = 0  # of the thousands and above that are closed
    group: int = 0  # below a thousand, or the hundreds of a year
    last: int = 0  # size of the last part, to know what may follow it
    is_open: bool = False

    def takes(self, value: int) -> bool:
        """Whether a number below a hundred goes on: `forty` `two`, `two hundred` `five`, `nineteen` `eighty four`."""
        if not self.is_open:
            return True
        if self.last >= 100:
            return value < 100
        if self.last in range(20, 100, 10) and 0 < value < 10:
            return True
        return 0 < self.group < 100 and value >= 10 and self.total == 0

    def take(self, value: int) -> None:
        pairs = self.is_open and self.last < 100 and not (self.last in range(20, 100, 10) and 0 < value < 10)
        self.group = self.group * 100 + value if pairs else self.group + value
        self.last, self.is_open = max(value, 1), True

    def scale(self, size: int) -> None:
        if size == 100:
            self.group = max(self.group, 1) * 100
        else:
            self.total += max(self.group, 1) * size
            self.group = 0
        self.last, self.is_open = size, True

    @property
    def value(self) -> int:
        return self.total + self.group


def _numbers(said: Sequence[Token]) -> list[Token]:
    """Spoken numbers as digits, currencies behind their amount, digits that are read out one by one as one number."""
    out: list[Token] = []
    i = 0
    while i < len(said):
        token = said[i]
        if token.text in _CURRENCIES:
            amount, after = _number_at(said, i + 1)
            if amount:
                out += [*amount, Token(_CURRENCIES[token.text], token.first, token.last)]
                i = after
                continue
            out.append(Token(_CURRENCIES[token.text], token.first, token.last))
            i += 1
            continue
        amount, after = _number_at(said, i)
        if amount:
            out += amount
            i = after
        else:
            out.append(token)
            i += 1
    return _read_out(out)


def _value(text: str) -> int | None:
    if text.isdigit() and len(text) < 7:
        return int(text)
    return _SMALL.get(text)


def _number_at(said: Sequence[Token], i: int) -> tuple[list[Token], int]:
    """The number that starts at token i, and the token behind it; no tokens where none starts there."""
    first, number, begin = i, _Number(), i
    if i < len(said) and said[i].text in ("a", "an") and i + 1 < len(said) and said[i + 1].text in _SCALES:
        i += 1  # a hundred
    if i < len(said) and re.fullmatch(r"\d+\.\d+", said[i].text):  # 1.2 million
        text = said[i].text
        if i + 1 < len(said) and said[i + 1].text in _SCALES:
            return [_token(str(round(float(text) * _SCALES[said[i + 1].text])), said[first : i + 2])], i + 2
        return [_token(text, said[first : i + 1])], i + 1
    ended = False
    while i < len(said) and not ended:
        text = said[i].text
        value = _value(text)
        joins = text == "and" and number.last >= 100 and i + 1 < len(said)
        if joins and (_value(said[i + 1].text) or _ORDINALS.get(said[i + 1].text) or 100) < 100:
            i += 1  # two hundred and five
        elif text in _SCALES and (number.is_open or i > begin or said[i].first == said[begin].first):
            number.scale(_SCALES[text])
            i += 1
        elif text.isdigit() and len(text) < 7 and number.is_open and int(text) >= 10:
            break  # written digits are a number of their own
        elif value is not None and value < 100 and number.takes(value) and not (text == "zero" and number.is_open):
            number.take(value)
            i += 1
        elif value is not None and not number.is_open:
            number.total, number.last, number.is_open = value, 1, True
            i += 1
            if not (i < len(said) and said[i].text in _SCALES):
                break
            number.group, number.total = number.total, 0
        elif text == "oh" and number.is_open and number.total == 0 and 10 <= number.group < 100 and i + 1 < len(said):
            if said[i + 1].text not in _ONES:  # nineteen oh five
                break
            number.group, number.last = number.group * 100, 100
            i += 1
        else:
            ending = _ORDINALS.get(text, _DECADES.get(text))
            if ending is not None and number.is_open and number.takes(ending) and text != "second":
                number.take(ending)
                i += 1
            elif ending is not None and not number.is_open and text in _ORDINALS:
                return [_token(str(ending), said[first : i + 1])], i + 1
            elif text in _ORDINAL_SCALES:
                number.scale(_ORDINAL_SCALES[text])
                i += 1
            ended = True
    if not number.is_open:
        return [], first
    text = str(number.value)
    point = (
        i + 1 < len(said)
        and said[i].text == "point"
        and _ONES.get(said[i + 1].text, _value(said[i + 1].text)) is not None
    )
    if point:  # three point five
        j = i + 1
        digits = ""
        while j < len(said) and (said[j].text in _ONES or said[j].text.isdigit()):
            digits += str(_ONES.get(said[j].text, said[j].text))
            j += 1
        text, i = f"{text}.{digits}", j
        if i < len(said) and said[i].text in _SCALES:
            text, i = str(round(float(text) * _SCALES[said[i].text])), i + 1
    return [_token(text, said[first:i])], i


def _read_out(tokens: Sequence[Token]) -> list[Token]:
    """Three and more single digits in a row are one number read out, `oh` among them a zero."""
    out: list[Token] = []
    i = 0
    while i < len(tokens):
        j = i
        while j < len(tokens) and (
            re.fullmatch(r"\d", tokens[j].text) or (j > i and tokens[j].text in ("oh", "o") and j + 1 < len(tokens))
        ):
            j += 1
        if j - i >= 3:
            digits = "".join("0" if t.text in ("oh", "o") else t.text for t in tokens[i:j])
            out.append(_token(digits, tokens[i:j]))
            i = j
        else:
            out.append(tokens[i])
            i += 1
    return out


def _token(text: str, parts: Sequence[Token]) -> Token:
    return Token(text, min(t.first for t in parts), max(t.last for t in parts))


def spoken(number: str) -> str:
    """A token that is a number, in words without spaces, as a recogniser may have misheard it: `thirteen` of `13`."""
    if "." in number:
        whole, _, part = number.partition(".")
        return spoken(whole) + "point" + "".join(_NAMES[int(d)] for d in part)
    if len(number) >= 7 or (len(number) > 1 and number[0] == "0"):
        return "".join(_NAMES[int(d)] for d in number)
    value = int(number)
    if 1100 <= value < 10000 and value % 1000 >= 100:  # years, and twelve hundred
        low = value % 100
        return _below_hundred(value // 100) + (_below_hundred(low) if low else "hundred")
    parts = []
    if value >= 1000:
        parts.append(spoken(str(value // 1000)) + "thousand")
    if value % 1000 >= 100:
        parts.append(_NAMES[value % 1000 // 100] + "hundred")
    if value % 100 or not parts:
        parts.append(_below_hundred(value % 100))
    return "".join(parts)


_NAMES = {value: name for name, value in _SMALL.items()}


def _below_hundred(value: int) -> str:
    return _NAMES[value] if value in _NAMES else _NAMES[value // 10 * 10] + _NAMES[value % 10]


def joined(tokens: Sequence[Token], compounds: Iterable[str]) -> list[Token]:
    """The tokens with neighbours made one where together they are one of `compounds`: `photo` `synthesis`."""
    wanted = frozenset(compounds)
    out: list[Token] = []
    for token in tokens:
        if out and out[-1].text + token.text in wanted:
            out[-1] = _token(out[-1].text + token.text, (out[-1], token))
        else:
            out.append(token)
    return out
