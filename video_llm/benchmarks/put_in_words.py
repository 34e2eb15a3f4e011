"""A multiple choice that somebody else put into words, taken apart again."""

import re

from tvu.video_llm.benchmarks.choice import MultipleChoice
from tvu.video_llm.benchmarks.matching import letter_of

_OPTION = re.compile(r"^[ \t]*[(\[]?([A-Z])[)\].:][ \t]*(\S.*?)[ \t]*$")
_TITLE = re.compile(r"^(question|options?|choices)\s*:\s*", re.IGNORECASE)


def multiple_choice_in(prompt: str) -> MultipleChoice | None:
    """The question and its options; None where the prompt lists fewer than two.

    Options are lines `(A) text`, `A. text`, `A) text` or `A: text`, lettered from A without a gap. The question is the
    last line with words before them; what a harness says before it or after the options is left out.
    """
    lines = prompt.splitlines()
    best: tuple[int, list[str]] = (0, [])
    for start in range(len(lines)):
        options: list[str] = []
        for line in lines[start:]:
            told = _OPTION.match(line)
            if not told or told[1] != letter_of(len(options)):
                break
            options.append(told[2])
        if len(options) > len(best[1]):
            best = start, options
    first, found = best
    if len(found) < 2:
        return None
    asked = [words for line in lines[:first] if (words := _TITLE.sub("", line.strip()))]
    return MultipleChoice(asked[-1] if asked else "", tuple(found))
