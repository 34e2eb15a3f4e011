"""From the bytes of a text file to its characters and back, whatever it was written in.

What says what it is (a byte order mark, valid UTF-8) is believed. Anything else is guessed from which bytes are common
in which language, and the guess is told. A text is written back in the encoding that it was read in, so that a wrong
guess costs legibility here and not one byte in the file.
"""

import codecs
import re
from dataclasses import dataclass

from tvu.video_llm.errors import ScriptError

_MARKS = (  # the longest first: that of UTF-32 begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\r\f\x1a\x1b"))  # 26 ends files of DOS, 27 switches ISO-2022
_MOST_CONTROLS = 0.01  # of all bytes, in a text
_MOST_BROKEN = 0.1  # of the characters beyond ASCII, in a text that is UTF-8 all the same
_LEAST_COMMON = 0.65  # of the letters of a text that is in that alphabet; 0.8 and more are usual

# letters that make up most of what is beyond ASCII in a language, in the encodings that its subtitles come in
_COMMON_LETTERS = (
    (("cp1251", "koi8-r", "iso8859-5", "cp866"), "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэі"),
    (("cp1253", "iso8859-7"), "αοιετσνηυρκπμλςωδγχθφβξζψάέήίόύώ"),
    (("cp1255", "iso8859-8"), "יוהלאתמרבנשדפקחעכצגזטסםןךףץ"),
    (("cp1256", "iso8859-6"), "اليمنوتربعدسفهكقحجشةأصىخطزضذغثظءئإآؤپچژگ"),
    (("cp874",), "านรอกเงมยลวดทส่้ีิัะาุไบปหคตจชพขแูโใำื"),
)
_ALPHABETS = (  # the usual one first, which wins where others are no better
    (
        "cp1252",
        "éèêëàâùûîïôçœ«»’",
        "äöüßÄÖÜ„“",
        "áéíóúñü¿¡",
        "áéíóúâêôãõçàü",
        "àèéìòùî’",
        "åäöÅÄÖé",
        "æøåÆØÅé",
        "áðéíóúýþæö",
    ),
    ("cp1250", "ąćęłńóśźżĄĆĘŁŃÓŚŹŻ", "áčďéěíňóřšťúůýžŠČŘŽ", "áéíóöőúüű", "čćđšžČĆĐŠŽ", "ăâîşţĂÂÎŞŢ"),
    ("cp1254", "çğıöşüÇĞİÖŞÜâ"),
    ("cp1257", "ąčęėįšųūžĄČĘĖĮŠŲŪŽ", "āčēģīķļņšūž"),
)


@dataclass(frozen=True)
class Decoded:
    """text: with the bytes that are no character as lone surrogates (PEP 383). encoding: as Python calls it.

    has_mark: a byte order mark stood in front; it is not in the text. notes: what was guessed, or is odd.
    """

    text: str
    encoding: str
    has_mark: bool = False
    notes: tuple[str, ...] = ()


def decode(data: bytes, name: str) -> Decoded:
    """The characters of a file. Raises ScriptError, naming it `name`, where it is empty or no text."""
    if not data.strip(b"\0 \t\r\n"):
        raise ScriptError(f"{name} is empty", hint="give a file with a text")
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _as_marked(data[len(mark) :], encoding, name)
    if unmarked := _utf_16(data):
        return _as_marked(data, unmarked, name, has_mark=False)
    body = data.rstrip(b"\0")  # a machine that lost its power leaves zeros at the end of a file
    controls = len(body) - len(body.translate(None, _CONTROLS))
    if controls > _MOST_CONTROLS * len(body) or b"\0" in body:
        raise ScriptError(f"{name} is not a text", hint="the video comes first: tvu align VIDEO NARRATION")
    try:
        return Decoded(data.decode("utf-8"), "utf-8")
    except UnicodeDecodeError:
        text = data.decode("utf-8", "surrogateescape")
    broken = sum("\ud800" <= letter <= "\udfff" for letter in text)
    whole = sum(letter > "\x7f" for letter in text) - broken
    if broken <= max(_MOST_BROKEN * whole, 3 if whole >= 3 else 0):
        return Decoded(text, "utf-8", notes=(f"{broken} bytes are no UTF-8; they are left as they are",))
    encoding = guess(data)
    note = f"the file does not say how it is encoded; it was read as {encoding}"
    return Decoded(data.decode(encoding), encoding, notes=(note,))


def encode(text: str, encoding: str, has_mark: bool) -> bytes:
    """The inverse of `decode`; what has no place in the encoding, as text that was added may not, makes it UTF-8."""
    mark = next((mark for mark, of in _MARKS if of == encoding), b"") if has_mark else b""
    try:
        return mark + text.encode(encoding, _errors(encoding))
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape")


def shown(text: str) -> str:
    """`text` with a mark in place of each byte that is no character, for people and models to read."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def guess(data: bytes) -> str:
    """The likeliest encoding of bytes that are no UTF-8; one that decodes every one of them."""
    high_runs = re.findall(rb"[\x80-\xff]+", data)
    high = b"".join(high_runs)
    is_latin = len(high) < 2 * len(high_runs)  # accented letters stand between plain ones
    choices = [_latin(data, high)] if is_latin else _of_one_byte(data)
    if not is_latin and "cp874" not in choices[:1]:  # Thai pairs as the bytes of Chinese do, and not the other way
        choices = [*_of_two_bytes(data), *choices]
    for encoding in (*choices, "cp1252"):
        try:
            data.decode(encoding)
        except UnicodeDecodeError:
            continue
        return encoding
    return "latin-1"  # has a character for every byte


def _as_marked(data: bytes, encoding: str, name: str, has_mark: bool = True) -> Decoded:
    notes: tuple[str, ...] = (
        () if has_mark else (f"the file does not say how it is encoded; it was read as {encoding}",)
    )
    try:
        return Decoded(data.decode(encoding, _errors(encoding)), encoding, has_mark, notes)
    except UnicodeDecodeError:  # cut off within a character, or lone surrogates
        text = data.decode(encoding, "replace")
        broken = text.count("\ufffd")
    if broken > max(3, 0.01 * len(text)):
        raise ScriptError(f"{name} is not a text", hint=f"its first bytes say {encoding}, and the rest is none")
    return Decoded(text, encoding, has_mark, (*notes, f"{broken} characters are broken; is the file cut off?"))


def _errors(encoding: str) -> str:
    return "surrogateescape" if encoding == "utf-8" else "strict"


def _utf_16(data: bytes) -> str:
    """UTF-16 without its mark: of letters, digits and spaces one byte in two is 0."""
    even, odd = data[0::2], data[1::2]
    zeros = even.count(0) / max(1, len(even)), odd.count(0) / max(1, len(odd))
    if max(zeros) < 0.3 or min(zeros) > 0.05 or len(data) < 8:
        return ""
    return "utf-16-le" if zeros[1] > zeros[0] else "utf-16-be"


def _of_two_bytes(data: bytes) -> list[str]:
    """Encodings of China, Japan and Korea that fit, the likeliest first; most of their bytes come in pairs."""
    pairs = re.findall(rb"[\x81-\xfe][\x40-\xfe]", data)
    if not pairs or 2 * len(pairs) < 0.9 * len(re.findall(rb"[\x80-\xff]", data)):
        return []
    leads = [pair[0] for pair in pairs]
    share = {
        "cp932": sum(lead in (0x82, 0x83) for lead in leads),  # kana
        "euc_jp": sum(lead in (0xA4, 0xA5) for lead in leads),
        "cp949": sum(0xB0 <= lead <= 0xC8 for lead in leads),  # Hangul
        "gb18030": sum(0xB0 <= lead <= 0xD7 for lead in leads),  # the more common half of the characters
        "big5": sum(0xA4 <= lead <= 0xC6 for lead in leads),
    }
    has_low_trail = any(pair[1] < 0xA1 for pair in pairs)
    least = {"cp932": 0.25, "euc_jp": 0.25, "cp949": 0.85, "gb18030": 0.7, "big5": 0.7}
    fits = [name for name, least_share in least.items() if share[name] >= least_share * len(leads)]
    if has_low_trail:  # which the older standards do not have
        fits = [name for name in ("cp932", "big5", "gb18030") if name in fits]
    return [name for name in fits if _decodes(data, name)]


def _of_one_byte(data: bytes) -> list[str]:
    """Alphabets that are none of Latin letters, the likeliest first."""
    scores: dict[str, float] = {}
    for encodings, letters in _COMMON_LETTERS:
        weight = {letter: 1.0 if rank < 12 else 0.6 for rank, letter in enumerate(letters)}
        for encoding in encodings:
            if not _decodes(data, encoding):
                continue
            found = [letter for letter in data.decode(encoding) if letter > "\x7f"]
            scores[encoding] = sum(weight.get(letter, 0.0) for letter in found) / max(1, len(found))
    likely = [encoding for encoding, score in scores.items() if score >= _LEAST_COMMON]
    return sorted(likely, key=lambda encoding: -scores[encoding])


def _latin(data: bytes, high: bytes) -> str:
    """The code page one of whose languages has most of the bytes for letters of its own."""
    best, covered = "cp1252", 0.0
    for encoding, *alphabets in _ALPHABETS:
        for alphabet in alphabets:
            own = alphabet.encode(encoding, "ignore")
            share = sum(byte in own for byte in high) / max(1, len(high))
            if share > covered + 0.05 * (encoding != best):
                best, covered = encoding, share
    return best if _decodes(data, best) else "cp1252"


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
