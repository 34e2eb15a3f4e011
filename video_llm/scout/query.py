"""What a question asks of the pictures: its content without how it is asked, and whether it means pictures at all."""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

_ADDRESS = re.compile(
    r"^(?:please\s+)?(?:"
    r"(?:find|show(?: me)?|locate|give me)\s+(?=\S)"
    r"|(?:at )?(?:when|where|what (?:point|time|moment)|which (?:part|moment|scene|segment|section|clip|shot)s?)\b"
    r"(?:\s+of the video)?"
    r"(?:\s+(?:do|does|did|can) (?:we|you|i) (?:see|watch|find)\b|\s+(?:do|does|did|is|are|was|were|has|have|can)\b"
    r"|\s+(?:shows?|has|have|contains?|is about)\b)?"
    r")\s*(?:there (?:is|are)\b|(?:(?:is|are) )?there\b)?\s*"
    r"(?:the (?:part|moment|scene|bit|section|shot) (?:where|when|in which|with|of|that shows)\b)?",
    re.IGNORECASE,
)
_FILLER = re.compile(
    r"\b(?:on (?:the )?screen|in the (?:video|clip|picture|frame)|appears?|appearing|visible|shown|seen"
    r"|happens?|happening|occurs?)\b",
    re.IGNORECASE,
)
_DARK = re.compile(r"\b(?:dark|darkness|darkened|dim|dimly|unlit|night|nighttime|midnight)\b", re.IGNORECASE)

# Who reads, writes or phones can be seen, though sentences about it lie near those about words.
_HANDLES_WORDS = re.compile(
    r"\b(?:m[ae]n|wom[ae]n|boys?|girls?|child|children|kids?|baby|toddler|infant|person|people|someone|somebody|guy"
    r"|lady|student|teacher|worker|he|she|they)\b.*\b"
    r"(?:(?:reading|writing|scribbling|typing|texting|phoning)\b"
    r"|on (?:the|a|his|her|their) (?:phone|telephone|mobile)\b)",
    re.IGNORECASE,
)
_WORDS_THEMSELVES = re.compile(
    r"[\"“”]|\b(?:aloud|out loud|says?|said|tells?|asks?|mention\w*|expla\w+|discuss\w*|describ\w+|announc\w+"
    r"|(?:talk|speak)\w* (?:about|of)|text|title|captions?|subtitles?|words?|on (?:the )?screen"
    r"|(?:sign|label|banner|poster|card)s? (?:reading|writing))\b",
    re.IGNORECASE,
)

# Sentences of one kind each, about anything: a question belongs where its nearest few are.
_SAID = (
    "someone says something",
    "they talk about a topic",
    "the speaker mentions it",
    "what is being said",
    "the part where they discuss a question",
    "when does he explain the reason",
    "the narrator tells a story",
    "the host introduces the guest",
    "the speaker thanks the listeners",
    "she answers the question",
    "a voice announces the news",
    "words spoken aloud",
)
_WRITTEN = (
    "a caption on the screen",
    "a subtitle with words",
    "the title card",
    "a sign that reads",
    "the text says",
    "the word written on it",
    "a date shown on the screen",
    "the name appears in writing",
    "credits with names",
    "a label with letters",
    "the number on the screen",
)
_SEEN = (
    "a person doing something",
    "an animal moving",
    "an object on a table",
    "people walking outside",
    "a car driving on a road",
    "someone cooking in a kitchen",
    "a landscape with mountains",
    "playing a sport",
    "a room with furniture",
    "someone using a tool",
    "a close up of a face",
    "a cartoon character",
)
_NEAREST = 3
_SOFTNESS = 0.03  # of a cosine, from "as likely one as the other" to 73 %
_MOSTLY_SEEN = 0.1  # the most that words are asked for by a question about who handles them
_DOUBT = 0.08  # words must be nearer than pictures by this much: most questions are about pictures


class Sentences(Protocol):
    """What turns sentences into directions: `tvu.video_llm.sentence.SentenceEncoder`."""

    def embed(self, texts: list[str]) -> NDArray[np.float32]:
        """float32 `[n, C]`, each row of length 1."""
        ...


def visual_content(query: str) -> str:
    """`two dogs` of "When do we see two dogs?"; never empty: a question that is nothing but address is returned as
    typed.
    """
    bare = query.strip().rstrip("?!. ")
    content = _FILLER.sub(" ", _ADDRESS.sub("", bare, count=1))
    return re.sub(r"\s+", " ", content).strip(" ,;:") or bare or query


def asks_for_darkness(query: str) -> bool:
    """Whether the question names darkness or night, which pixels tell and class names do not."""
    return _DARK.search(query) is not None


def handles_words(query: str) -> bool:
    """Whether it asks for somebody who reads, writes or phones, which is seen, and not for the words."""
    return _HANDLES_WORDS.search(query) is not None and _WORDS_THEMSELVES.search(query) is None


@dataclass(frozen=True)
class Channels:
    """How much a question is about each channel, each in [0, 1]; visual is 1 minus the larger of the other two."""

    speech: float
    screen_text: float

    @property
    def visual(self) -> float:
        """How much it is about pictures."""
        return 1.0 - max(self.speech, self.screen_text)


class Router:
    """Tells questions about words from questions about pictures, by their nearness to typical ones."""

    def __init__(self, sentences: Sentences) -> None:
        self._sentences = sentences

    @cached_property
    def _anchors(self) -> tuple[NDArray[np.float32], ...]:
        vectors = self._sentences.embed([*_SAID, *_WRITTEN, *_SEEN])
        said, written = len(_SAID), len(_SAID) + len(_WRITTEN)
        return vectors[:said], vectors[said:written], vectors[written:]

    def channels(self, query: str) -> Channels:
        """The channels that `query` addresses, softly."""
        vector = self._sentences.embed([visual_content(query)])[0]
        said, written, seen = (float(np.sort(a @ vector)[-_NEAREST:].mean()) for a in self._anchors)
        words = [1 / (1 + float(np.exp(-(near - seen - _DOUBT) / _SOFTNESS))) for near in (said, written)]
        most = _MOSTLY_SEEN if handles_words(query) else 1.0
        return Channels(*(min(each, most) for each in words))
