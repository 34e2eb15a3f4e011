"""Which option an answer means, by our own rule and by those that published numbers were counted with.

A rule takes what a model wrote (after the prefill of its prompt), the options, and the index of the right one. The
rules of others are reproduced with their faults, which is what they are here for: MVBench's own counts an empty answer
as right, lmms-eval leaves it out and takes the article "a" for option A, VLMEvalKit counts a failed call as right.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tvu.video_llm.benchmarks.types import AskConfig


@dataclass(frozen=True)
class Match:
    """What a rule makes of one answer.

    right:     None where the rule leaves the answer out of the count.
    choice:    the one option that the rule understands, from 0; None where it is none or several.
    is_parsed: whether it understands one.
    """

    right: bool | None
    choice: int | None
    is_parsed: bool


Rule = Callable[[str, Sequence[str], int], Match]

_BRACKETED = re.compile(r"\(([A-Za-z])\)")
_ALONE = re.compile(r"[\W_]*([A-Za-z])[\W_]*")
_LEADING = re.compile(r"[\W_]*(?:([A-Za-z])\)|([A-Z])[.:](?=\s|$))")
_NAMED = re.compile(r"\b(?i:option|answer)(?:\s+is)?\b[\W_]*([A-Z])\b(?!\s+[a-z])")


def letter_of(index: int) -> str:
    """`A` of 0."""
    return chr(ord("A") + index)


def option_told(text: str, options: Sequence[str]) -> int | None:
    """The one option that `text` means beyond doubt; None where it means none, or several.

    It is a letter in brackets, alone, at the start before a full stop or a colon, or after `option` or `answer`; or the
    text is that of one option. The first line decides if it names any letter. Letters without an option are no answer.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    for part in (*lines[:1], text):
        told = {index for letter in _letters(part) if (index := ord(letter.upper()) - ord("A")) < len(options)}
        if told:
            return told.pop() if len(told) == 1 else None
    same = [index for index, option in enumerate(options) if _plain(option) == _plain(text)]
    return same[0] if len(same) == 1 else None


def strict(text: str, options: Sequence[str], truth: int) -> Match:
    """Our own rule: the option must be told beyond doubt, and what is not told is wrong."""
    choice = option_told(text, options)
    return Match(choice == truth, choice, choice is not None)


def official(text: str, options: Sequence[str], truth: int) -> Match:
    """MVBench's notebook: the first word of the first line, after the `(` of the prefill, and the right letter in
    brackets, either inside the other."""
    return _by_first_word("(" + _first_line(text), options, truth)


def official_hd(text: str, options: Sequence[str], truth: int) -> Match:
    """The notebook of VideoChat2's HD and Mistral models: the same without brackets and dots; a word that has no letter
    from a to e is wrong, and the right letter may stand anywhere in one that has."""
    word = ("(" + _first_line(text)).lower().split(" ")[0].strip("().")
    fits = [index for index in range(len(options)) if letter_of(index).lower() in word]
    return _of_fits(fits if set(word) & set("abcde") else [], truth)


def lmms_eval(text: str, options: Sequence[str], truth: int) -> Match:
    """lmms-eval: `X.` at the start, else the first letter from A to E that stands alone, an article too."""
    if text == "":
        return Match(None, None, False)
    start = re.match(r"([A-Ea-e])\.\s*.+$", text.strip())
    alone = start or re.search(r"\b([a-e])\b", _without_punctuation(text).lower())
    if alone is None:
        return Match(False, None, False)
    choice = ord(alone[1].upper()) - ord("A")
    is_option = choice < len(options)
    return Match(choice == truth, choice if is_option else None, is_option)


def vlmevalkit(text: str, options: Sequence[str], truth: int) -> Match:
    """VLMEvalKit without a judge: MVBench's rule without the prefill, else the only letter near the end, else the one
    after `answer is`, else the only option whose text is there. One of its sentences of refusal is no option, nor is a
    Z where there is no letter."""
    match = _by_first_word(text.strip(), options, truth)
    if match.right:
        return match
    if any(refusal in text for refusal in _REFUSALS):
        return Match(False, None, False)
    words = re.sub(r"[.()\[\],:;!*#{}]", " ", text).split()
    told = [index for index in range(len(options)) if letter_of(index) in words]
    if not told and "Z" in words:
        return Match(False, None, False)
    choice = _only_letter(words, told)
    if choice is None:
        choice = _letter_after_answer(text, options)
    if choice is None:
        choice = _only_text(text, options)
    return match if choice is None else Match(choice == truth, choice, True)


RULES: Mapping[str, Rule] = {
    "strict": strict,
    "official": official,
    "official-hd": official_hd,
    "lmms-eval": lmms_eval,
    "vlmevalkit": vlmevalkit,
}
_RULE_OF_PROTOCOL = {"tvu": "strict"}


def rule_of(config: AskConfig) -> Rule:
    """The rule that the config names, or that of its protocol. Raises ValueError where there is none."""
    name = config.matching or _RULE_OF_PROTOCOL.get(config.protocol, config.protocol)
    if name not in RULES:
        raise ValueError(f"no rule is called {name!r}, only {', '.join(RULES)}")
    return RULES[name]


def _letters(text: str) -> list[str]:
    found = [match[1] for rule in (_BRACKETED, _NAMED) for match in rule.finditer(text)]
    alone, leading = _ALONE.fullmatch(text), _LEADING.match(text)
    if alone:
        found.append(alone[1])
    if leading:
        found.append(leading[1] or leading[2])
    return found


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).strip(" .\"'*")


def _first_line(text: str) -> str:
    return text.strip().split("\n")[0]


def _by_first_word(text: str, options: Sequence[str], truth: int) -> Match:
    word = text.lower().split(" ")[0]
    bare = word.replace(".", "")
    names = [f"({letter_of(index).lower()})" for index in range(len(options))]
    return _of_fits([index for index, name in enumerate(names) if bare in name or name in word], truth)


def _of_fits(fits: Sequence[int], truth: int) -> Match:
    is_one = len(fits) == 1
    return Match(truth in fits, fits[0] if is_one else None, is_one)


_REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)

_MARKS = ';/[]"{}()=+\\_-><@`,?!'


def _without_punctuation(text: str) -> str:
    """As the harness has it from VQA: a mark is dropped where it stands beside a blank anywhere in the text, or where
    the text has a number with a comma, and is a blank otherwise; 32 dots at most are dropped, none before a digit."""
    text = text.replace("\n", " ").replace("\t", " ").strip()
    has_comma = re.search(r"\d,\d", text) is not None
    bare = text
    for mark in _MARKS:
        is_dropped = has_comma or f"{mark} " in text or f" {mark}" in text
        bare = bare.replace(mark, "" if is_dropped else " ")
    return re.sub(r"\.(?!\d)", "", bare, count=32)  # there re.UNICODE, 32, stands in the place of the count


def _only_letter(words: Sequence[str], told: Sequence[int]) -> int | None:
    return told[0] if len(told) == 1 and words.index(letter_of(told[0])) > len(words) - 5 else None


def _letter_after_answer(text: str, options: Sequence[str]) -> int | None:
    found = re.search(r"answer\s+is\s+\**([A-D])\**", text, re.IGNORECASE)
    choice = ord(found[1].upper()) - ord("A") if found else len(options)
    return choice if choice < len(options) else None


def _only_text(text: str, options: Sequence[str]) -> int | None:
    text = text.lower()
    if len(text) > 2 * sum(map(len, options)):
        return None
    told = [index for index, option in enumerate(options) if option.lower() in text]
    return told[0] if len(told) == 1 else None
