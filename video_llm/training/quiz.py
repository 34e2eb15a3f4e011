"""Questions with short answers, and wrong answers beside: what multiple choices are made of."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

from tvu.temporal.types import Span
from tvu.video_llm.questions import NO, YES
from tvu.video_llm.training.phrasings import NOBODY, Phrasings, as_typed, filled, one_of, sentence, shuffled
from tvu.video_llm.training.scenes import Event, Wording
from tvu.video_llm.training.story import Story, are_worded_alike, may_be_same

Words = Mapping[str, Phrasings]


@dataclass(frozen=True)
class FactForm:
    """How a fact of events is asked for.

    values: what it may be, for wrong answers; those that other events of the scene have come first. tell: a value as an
    answer. by_deed: asked of what does something, not of what somebody or something does.
    """

    values: tuple[str, ...]
    tell: Callable[[str], str] = str
    by_deed: bool = False


_POSTURES = {
    "stand": "standing",
    "sit": "sitting",
    "floor": "sitting on the floor",
    "kneel": "kneeling",
    "crouch": "crouching",
    "lie": "lying",
}
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six")
FACTS: Mapping[str, FactForm] = {
    "direction": FactForm(
        ("to the left", "to the right", "up", "down"), lambda v: f"to the {v}" if v in ("left", "right") else v
    ),
    "color": FactForm(
        ("red", "blue", "green", "yellow", "orange", "purple", "pink", "brown", "black", "white", "gray", "cyan"),
        by_deed=True,
    ),
    "speed": FactForm(("fast", "slowly")),
    "place": FactForm(("on the left", "on the right", "at the top", "at the bottom", "in the middle")),
    "from": FactForm(("from the left", "from the right", "from the top", "from the bottom")),
    "to": FactForm(
        ("left", "right", "top", "bottom"), lambda v: f"to the {v}" if v in ("left", "right") else f"at the {v}"
    ),
    "posture": FactForm(tuple(_POSTURES), lambda v: _POSTURES.get(v, v)),
}
"""The facts of events that questions ask for; `count` has a question of its own."""

PARTS = ("at the beginning", "in the middle", "at the end", "throughout the entire video")
_LONG_SHARE = 0.8


@dataclass(frozen=True)
class Quiz:
    """A question, its answer, wrong answers (the hardest first), where the video answers it, and what says the same as
    the answer."""

    question: str
    answer: str
    wrong: tuple[str, ...]
    spans: tuple[Span, ...]
    also: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.answer in self.wrong:
            raise ValueError(f"{self.answer!r} cannot be right and wrong")


Maker = Callable[[Story, Words], Quiz | None]


def what_happens(story: Story, words: Words) -> Quiz | None:
    """Which of several statements is true: something that happens, against what does not."""
    absents = story.absents(4)
    if not (absents and story.events):
        return None
    event = one_of(story.rng, story.events)
    wording = story.words(event)
    wrong = tuple(sentence(each.statement) for each in absents)
    return _quiz(_put(story, words["which_true"]), sentence(wording.statement), wrong, story.spans(wording))


def what_does_not(story: Story, words: Words) -> Quiz | None:
    """Which of several statements is false."""
    absent = story.any_absent()
    if absent is None or len(story.events) < 2:
        return None
    wrong = dict.fromkeys(sentence(story.words(event).statement) for event in story.shuffled_events)
    if len(wrong) < 2:
        return None
    return _quiz(_put(story, words["which_false"]), sentence(absent.statement), tuple(wrong)[:4], ())


def existence(story: Story, words: Words) -> Quiz | None:
    """Whether something happens."""
    is_there = story.rng.random() < 0.5
    wording = story.words(one_of(story.rng, story.events)) if is_there and story.events else story.any_absent()
    if wording is None:
        return None
    spans = story.spans(wording)
    question = _put(story, words["presence"], wording)
    return Quiz(question, YES if spans else NO, (NO if spans else YES, "Not sure"), spans)


def counting(story: Story, words: Words) -> Quiz | None:
    """How many times something happens, none among it."""
    wording = _counted(story)
    if wording is None:
        return None
    spans = story.spans(wording)
    count = len(spans)
    if count != len(story.with_words(wording)):  # several at the same time: one could count either way
        return None
    near = sorted(shuffled(story.rng, range(count + 5)), key=lambda number: abs(number - count))[1:5]
    return _quiz(_put(story, words["counting"], wording), str(count), tuple(map(str, near)), spans)


def localisation(story: Story, words: Words) -> Quiz | None:
    """At the beginning, in the middle, at the end, or throughout."""
    for event in story.shuffled_events:
        part = part_of(event.span, story.scene.seconds)
        if part is not None and story.is_once(event):
            wrong = tuple(shuffled(story.rng, [each for each in PARTS if each != part]))
            return Quiz(_put(story, words["localise"], story.words(event)), part, wrong, (event.span,))
    return None


def part_of(span: Span, seconds: float) -> str | None:
    """Which of `PARTS` a span is in; None where one could argue."""
    start, end = span.start_seconds / seconds, span.end_seconds / seconds
    if end - start >= _LONG_SHARE:
        return PARTS[3]
    if end <= 0.4:
        return PARTS[0]
    if start >= 0.6:
        return PARTS[2]
    return PARTS[1] if start >= 0.25 and end <= 0.75 else None


def which_first(story: Story, words: Words) -> Quiz | None:
    """Which of two events comes first, or last."""
    pair = story.in_turn(2)
    if not pair:
        return None
    is_last = story.rng.random() < 0.35
    told = [story.words(event).statement for event in pair]
    answer, wrong = (told[1], told[0]) if is_last else (told[0], told[1])
    first, second = shuffled(story.rng, told)
    form = words["which_last" if is_last else "which_first"].draw(story.rng)
    question = as_typed(story.rng, form.format(first=first, second=second))
    return _quiz(question, sentence(answer), (sentence(wrong),), (pair[is_last].span,))


def what_is_next(story: Story, words: Words) -> Quiz | None:
    """What happens right after something."""
    return _neighbour(story, words["after"], story.next_of)


def what_was_before(story: Story, words: Words) -> Quiz | None:
    """What happens right before something."""
    return _neighbour(story, words["before"], story.previous_of)


def what_is_first(story: Story, words: Words) -> Quiz | None:
    """How the video begins, or ends."""
    is_last = story.rng.random() < 0.5
    event = story.last() if is_last else story.first()
    if event is None or len(story.events) < 2:
        return None
    return _about(story, _put(story, words["last_event" if is_last else "first_event"]), event)


def sequence(story: Story, words: Words) -> Quiz | None:
    """The order of three events."""
    events = story.in_turn(3)
    if not events:
        return None
    told = [story.words(event).statement for event in events]
    mixed = shuffled(story.rng, list(permutations(told)))
    right, *wrong = [_then(told), *[_then(each) for each in mixed if list(each) != told]]
    listed = "; ".join(shuffled(story.rng, told))
    question = as_typed(story.rng, words["in_order"].draw(story.rng).format(list=listed))
    return _quiz(question, right, tuple(wrong[:4]), tuple(event.span for event in events))


def who(story: Story, words: Words) -> Quiz | None:
    """Who or what does something."""
    for event in story.shuffled_events:
        wording = story.words(event)
        deed = predicate(wording)
        if wording.subject in NOBODY or any(not are_worded_alike(e, event) for e in _of_deed(story, deed)):
            continue
        own = {each.subject for each in event.wordings}
        near = [each.subject for each in story.scene.absent if predicate(each) == deed]
        others = [e.wordings[0].subject for e in story.shuffled_events if not are_worded_alike(e, event)]
        wrong = [
            each
            for each in dict.fromkeys([*shuffled(story.rng, near), *others])
            if not any(may_be_same(each, known) for known in own)
        ]
        if wrong:
            question = as_typed(story.rng, words["who"].draw(story.rng).format(predicate=deed))
            return _quiz(question, sentence(wording.subject), tuple(map(sentence, wrong[:4])), story.spans(wording))
    return None


def doing(story: Story, words: Words) -> Quiz | None:
    """What somebody or something does, where that is one thing only."""
    for event in story.shuffled_events:
        wording = story.words(event)
        if wording.base == "be" or any(
            e is not event and e.wordings[0].base != "be" for e in _of_subject(story, wording.subject)
        ):
            continue
        own = {predicate(each) for each in event.wordings}
        near = [predicate(w) for w in story.scene.absent if w.base != "be" and may_be_same(w.subject, wording.subject)]
        far = [predicate(w) for e in story.shuffled_events for w in e.wordings[:1] if w.base != "be"]
        wrong = [each for each in dict.fromkeys([*shuffled(story.rng, near), *far]) if each not in own]
        if wrong:
            question = as_typed(story.rng, words["doing"].draw(story.rng).format(subject=wording.subject))
            told = [sentence(f"it {each}") for each in (predicate(wording), *wrong[:4])]
            return _quiz(question, told[0], tuple(told[1:]), (event.span,))
    return None


def scene_change(story: Story, words: Words) -> Quiz | None:
    """From what to what the picture changes, where two things are merely shown, one after the other."""
    shown = [event for event in story.events if event.wordings[0].base == "be"]
    if len(shown) != 2 or are_worded_alike(*shown):
        return None
    a, b = shown
    if abs(b.span.start_seconds - a.span.end_seconds) > 2.0:
        return None
    first, second = (event.wordings[0].subject for event in shown)
    others = [w.subject for w in story.scene.absent if w.base == "be" and w.subject not in (first, second)]
    others = shuffled(story.rng, list(dict.fromkeys(others)))
    wrong = [(second, first), *[(first, each) for each in others[:1]], *[(each, second) for each in others[1:2]]]
    told = [sentence(f"from {x} to {y}") for x, y in [(first, second), *wrong]]
    return _quiz(_put(story, words["changes"]), told[0], tuple(told[1:]), (a.span, b.span))


def fact(story: Story, words: Words) -> Quiz | None:
    """A direction, a colour, a place, a speed: a fact of one event that no other of the same words has otherwise."""
    for event in story.shuffled_events:
        wording = story.words(event)
        for name in shuffled(story.rng, [each for each in event.facts if each in FACTS]):
            form, value = FACTS[name], event.facts[name]
            asked = predicate(wording) if form.by_deed else wording.subject
            alike = _of_deed(story, asked) if form.by_deed else _of_subject(story, asked)
            if value in asked or any(other.facts.get(name, "" if form.by_deed else value) != value for other in alike):
                continue
            elsewhere = [other.facts[name] for other in story.events if name in other.facts]
            known = dict.fromkeys(form.tell(each) for each in (*elsewhere, *shuffled(story.rng, form.values)))
            question = as_typed(story.rng, words[name].draw(story.rng).format(subject=asked, predicate=asked))
            answer, wrong = form.tell(value), [each for each in known if each != form.tell(value)]
            return _quiz(question, sentence(answer), [sentence(each) for each in wrong[:4]], (event.span,))
    return None


def how_many(story: Story, words: Words) -> Quiz | None:
    """How many of several things do something, told by the fact `count`: `three` of "three red balls"."""
    for event in story.shuffled_events:
        wording, number = story.words(event), event.facts.get("count", "")
        things = wording.subject.removeprefix(f"{number} ")
        if number not in NUMBERS or things == wording.subject or len(_of_deed(story, predicate(wording))) > 1:
            continue
        question = as_typed(
            story.rng, words["how_many"].draw(story.rng).format(things=things, predicate=predicate(wording))
        )
        count = NUMBERS.index(number)
        near = sorted(shuffled(story.rng, range(count + 4)), key=lambda other: abs(other - count))[1:5]
        return Quiz(question, str(count), tuple(map(str, near)), (event.span,))
    return None


MAKERS: tuple[tuple[Maker, float], ...] = (
    (what_happens, 1.2),
    (what_does_not, 1.0),
    (existence, 1.0),
    (counting, 1.4),
    (localisation, 1.0),
    (which_first, 0.8),
    (what_is_next, 1.0),
    (what_was_before, 0.7),
    (what_is_first, 0.8),
    (sequence, 1.0),
    (who, 1.0),
    (doing, 1.6),
    (scene_change, 0.8),
    (fact, 2.4),
    (how_many, 1.0),
)
"""How to ask, and how often of all."""


def predicate(wording: Wording) -> str:
    """`runs to the left`."""
    return f"{wording.third} {wording.rest}" if wording.rest else wording.third


def _put(story: Story, forms: Phrasings, wording: Wording | None = None) -> str:
    form = forms.draw(story.rng)
    if wording is not None:
        form = filled(form, wording)
    return as_typed(story.rng, form)


def _quiz(
    question: str, answer: str, wrong: Sequence[str], spans: tuple[Span, ...], also: tuple[str, ...] = ()
) -> Quiz | None:
    told = tuple(each for each in dict.fromkeys(wrong) if each != answer)
    return Quiz(question, answer, told, spans, also) if told else None


def _counted(story: Story) -> Wording | None:
    """Words to count: of an event that is repeated in half of the cases if there is one, now and then of none."""
    share = story.rng.random()
    if share < 0.1 or not story.events:
        return story.any_absent()
    repeated = [event for event in story.events if not story.is_once(event)]
    return story.words(one_of(story.rng, repeated if repeated and share < 0.75 else story.events))


def _neighbour(story: Story, forms: Phrasings, neighbour: Callable[[Event], Event | None]) -> Quiz | None:
    for event in story.shuffled_events:
        other = neighbour(event) if story.is_once(event) else None
        if other is not None and not are_worded_alike(event, other):
            return _about(story, _put(story, forms, story.words(event)), other, asked=event)
    return None


def _about(story: Story, question: str, event: Event, asked: Event | None = None) -> Quiz | None:
    """A quiz whose answer is an event, and whose wrong answers are other events and what does not happen."""
    others = [e for e in story.shuffled_events if e is not event and e is not asked and not are_worded_alike(e, event)]
    wrong = [story.words(other).statement for other in others]
    wrong += [each.statement for each in story.absents(4)]
    told = sentence(story.words(event).statement)
    also = tuple(text for each in event.wordings if (text := sentence(each.statement)) != told)
    return _quiz(question, told, [sentence(each) for each in wrong][:4], (event.span,), also)


def _then(told: Sequence[str]) -> str:
    return sentence(", then ".join(told))


def _of_subject(story: Story, subject: str) -> list[Event]:
    """Every event of a subject, or of one that may be the same."""
    return [event for event in story.events if any(may_be_same(each.subject, subject) for each in event.wordings)]


def _of_deed(story: Story, deed: str) -> list[Event]:
    return [event for event in story.events if any(predicate(each) == deed for each in event.wordings)]
