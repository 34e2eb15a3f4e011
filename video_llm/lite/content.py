"""What is asked for in a question, and what it names one by one; nothing here brings torch.

`Which happens first: a dog jumps or a car stops?` names two things; the head looks for each, and what it finds stands
behind its words before the language model reads them.
"""

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

from tvu.video_llm import official_prompts, questions
from tvu.video_llm.benchmarks.grounding_ask import WORDS as GROUNDING_WORDS
from tvu.video_llm.scout.query import visual_content

_CHOICE = re.compile(r"(?:^|\n)Question: *(?P<question>.*?)\nOptions?:", re.DOTALL)
_OPTIONS = re.compile(r"\n\(?A[).:] ")


def content_of(question: str) -> str:
    """What is asked for, without the words of the prompt around it, of a multiple choice without its options, and
    without what addresses the video: `a dog` of `When does "a dog appears" happen in the video? Answer with …`.

    A user's words come bare, training's in prompts of several forms: both mean the same.
    """
    choice = _CHOICE.search(question)
    told = choice["question"] if choice else _OPTIONS.split(question, 1)[0]
    return visual_content(framed(told) or told)


def framed(question: str) -> str:
    """The event in a prompt that has one; empty for what is no such prompt."""
    for before, after in _prompts():
        if question.startswith(before) and question.endswith(after) and len(question) > len(before) + len(after):
            return question[len(before) : len(question) - len(after)]
    return ""


@cache
def _prompts() -> tuple[tuple[str, str], ...]:
    """What stands before and after the event in every prompt that has one; the longer first."""
    slot = "\0"
    forms = [
        questions.moment_question(slot),
        questions.moments_question(slot),
        questions.presence_question(slot),
        questions.evidence_question(slot),
        questions.answerable_question(slot),
        questions.highlights_request(slot),
        *official_prompts.lita_event_questions(slot),
        official_prompts.VTG_LLM_RETRIEVAL.format(slot),
        *(words.prompt.format(slot, dataset="") for name, words in GROUNDING_WORDS.items() if name != "official"),
    ]
    parts = [form.partition(slot)[::2] for form in forms]
    return tuple(sorted(parts, key=lambda part: -len(part[0] + part[1])))


MOST_CLAUSES = 12

# Within a line a clause ends where another begins: at a quotation, a stop, or a word that says in which order.
_BORDER = re.compile(
    r"[;:\"?!]|,\s|\.(?:\s|$)|\s-\s"
    r"|\b(?:and|but|only|not|and only|but only|but not|and not|at)?\s*"
    r"\b(?:before|after|then|later|earlier than|later than|followed by|preceded by|precedes?|follows?)\b"
    r"|\bor\b",
    re.IGNORECASE,
)
_IN_ORDER = re.compile(
    r"\b(?:before|after|then|later|earlier|first|last|second|next|order|sequence|sort|sooner|preced\w+|follow\w*|succe\w+"
    r"|starts? with)\b",
    re.IGNORECASE,
)
# Words that only ask for an order, before the list of what is to be ordered.
_LIST = re.compile(
    r"(?!.*\b(?:before|after)\b[^;\n]*:)[^;\n]*"
    r"\b(?:order|sequence|succession|sort|arrange|rank|reconstruct|chronolog\w*|which\b[^;:\n]*\b(?:first|last))\b"
    r"[^;:\n]*:(?=\s[^;\n]*;)",
    re.IGNORECASE,
)
_ASKED = "Question:"
LETTERED = re.compile(r"^\s*\(?[A-Z][).:]\s+(?=\S)")
_OPENS = re.compile(
    r"^(?:(?:is it (?:true|right|correct|the case)|true or false|does it happen|do we first see|would you say"
    r"|am i right|is it|it is|tell me|out of|and|or|that|when|whether|once|first|of|check|say)\s+)+",
    re.IGNORECASE,
)
_ONLY_ASK = """
    a above action actions all an and answer any are arrange as at be beginning best both bring by came can check
    chronological clip come comes compare could describe did do does earlier end entire event events fact false find
    first following follow follows for from give goes happen happened happening happens has have how if in into is it
    its just last later letter list look me middle moment name next no not now occur occurs of off on one only option
    options or order other part please put question questions right same say scene second see seen select sequence shown
    shows sort start statement statements sure take takes tell that the them then there these they thing things this
    three throughout time times to true two up video was watch we were what when where whether which while who whose
    why with would yes you your
"""
_ASKING = frozenset(_ONLY_ASK.split())


@dataclass(frozen=True)
class Clause:
    """One thing that a question names: its words, and the place in the question that they end at."""

    text: str
    end: int


def clauses_of(question: str) -> tuple[Clause, ...]:
    """What a multiple choice or a question about order names; nothing where that is one thing only, for which the
    question stands itself.

    A piece that only asks (`which happens first`) names nothing. Of the options all are named or none, or those that
    are would be seen to differ from the others; where they are too many, each is one thing however much it tells.
    """
    if framed(question) or question == questions.captions_request():
        return ()
    if not (_OPTIONS.search(question) or _IN_ORDER.search(question)):
        return ()
    begins = question.rfind(_ASKED) if _OPTIONS.search(question) else -1  # protocols say more before
    lines = [(line.start(), line.end()) for line in re.finditer(r"[^\n]+", question) if line.start() >= begins]
    options = [
        (first + letter.end(), last) for first, last in lines if (letter := LETTERED.match(question[first:last]))
    ]
    stem = [(first, last) for first, last in lines if not LETTERED.match(question[first:last])]
    asked = [clause for line in stem for clause in _named(question, *line)]
    told = [_named(question, *option) for option in options]
    if len(asked) + sum(map(len, told)) > MOST_CLAUSES:
        told = [
            some and [Clause(question[first:last].strip(), last)]
            for some, (first, last) in zip(told, options, strict=True)
        ]
    found = [*asked, *(clause for some in told for clause in some)] if all(told) else asked
    found.sort(key=lambda clause: clause.end)
    return tuple(found[:MOST_CLAUSES]) if len(found) > 1 else ()


def _named(question: str, first: int, last: int) -> list[Clause]:
    """What a line of a question names."""
    found = []
    if listed := _LIST.match(question, first, last):  # `Put these in order:`
        first = listed.end()
    for begin, end in _pieces(question, first, last):
        content = _OPENS.sub("", question[begin:end].strip())
        words = re.findall(r"[\w']+", content.lower())
        names = [word for word in words if word not in _ASKING and not word.isdigit()]
        if names and (len(words) > 1 or (begin, end) == (first, last)):
            found.append(Clause(content.strip(), begin + len(question[begin:end].rstrip())))
    return found


def _pieces(question: str, first: int, last: int) -> list[tuple[int, int]]:
    borders = [(match.start(), match.end()) for match in _BORDER.finditer(question, first, last)]
    starts, ends = [first, *(end for _, end in borders)], [*(start for start, _ in borders), last]
    return [(begin, end) for begin, end in zip(starts, ends, strict=True) if question[begin:end].strip()]


_WORD = re.compile(r"[a-z'-]+")
_NO_ACTION = """
    anything building buildings ceiling clothing during evening everything having herring king lightning looking morning
    nothing painting paintings paling parking pudding railing ring sling something spring starling sterling string swing
    thing things viking wearing wedding wing wings
"""
_NO_ACTIONS = frozenset(_NO_ACTION.split())
_DO = frozenset({"do", "does", "did"})
_IS = frozenset({"is", "are", "was", "were", "gets", "being"})
_BEFORE_NOUNS = frozenset({"a", "an", "the", "of", "this", "these", "those", "his", "her", "their", "its"})
_BEFORE_PLURALS = frozenset(
    {"and", "or", "with", "on", "in", "at", "by", "for", "from", "two", "three", "four", "five", "six", "some", "many"}
)


def tells_action(question: str) -> bool:
    """Whether what is asked for is something that somebody or something does, by the forms of its verbs: `someone
    shuffling cups`, `a dog shakes itself`, `when does he jump`, `cups are moved`; not `a street with cars`.
    """
    words = _WORD.findall((framed(question) or question).lower())
    forms = _forms()
    for i, word in enumerate(words):
        before = words[i - 1] if i else ""
        if word.endswith("ing") and len(word) > 5 and word not in _NO_ACTIONS and before not in ("a", "an"):
            return True
        form = forms.get(word)
        if form is None or before in _BEFORE_NOUNS:
            continue
        if form == "third" and before in _BEFORE_PLURALS:  # `a bench and shops`, `two hands`
            continue
        if form == "base" and _DO & set(words[:i]) and before not in ("we", "you", "i"):
            return True
        if form == "third" and i > 0:
            return True
        if form == "past" and i > 0 and _IS & set(words[:i]):
            return True
    return False


@cache
def _forms() -> dict[str, str]:
    """Forms of verbs of action, and which each is."""
    verbs = resources.files("tvu.video_llm.lite").joinpath("action_verbs.txt").read_text("utf-8").split()
    forms = {}
    for verb in verbs:
        stem = verb[:-1] if verb.endswith("e") else verb
        changes = verb.endswith("y") and verb[-2] not in "aeiou"
        hisses = verb.endswith(("s", "sh", "ch", "x", "z", "o"))
        forms[verb] = "base"
        forms[verb[:-1] + "ies" if changes else verb + "es" if hisses else verb + "s"] = "third"
        forms[verb[:-1] + "ied" if changes else stem + "ed"] = "past"
        forms[stem + stem[-1] + "ed"] = "past"
    return forms
