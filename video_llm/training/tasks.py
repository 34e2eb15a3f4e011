"""Instruction data: what can be asked of a scene, in the tasks of LITA, VTG-LLM, TimeSuite and MVBench."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

from numpy.random import Generator

from tvu.temporal.time_tokens.codec import TimeCodec
from tvu.temporal.timecode import format_timecode
from tvu.temporal.types import Span
from tvu.video_llm import official_prompts, questions
from tvu.video_llm.benchmarks.choice import MultipleChoice
from tvu.video_llm.benchmarks.grounding_ask import WORDS as GROUNDING_WORDS
from tvu.video_llm.benchmarks.matching import letter_of
from tvu.video_llm.training import quiz
from tvu.video_llm.training.phrasings import Phrasings, as_typed, filled, noun_of, one_of, phrasings, sentence, shuffled
from tvu.video_llm.training.quiz import Quiz
from tvu.video_llm.training.scenes import Event, Scene, Split, Wording
from tvu.video_llm.training.story import Story

K = TypeVar("K")

Kind = Literal[
    "moment",
    "moments",
    "absent",
    "presence",
    "caption",
    "highlights",
    "grounded_caption",
    "order",
    "counting",
    "what_next",
    "reasoning",
    "choice",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
WEIGHTS: Mapping[str, float] = {
    "moment": 0.24,
    "moments": 0.09,
    "absent": 0.13,
    "presence": 0.10,
    "caption": 0.05,
    "highlights": 0.03,
    "grounded_caption": 0.05,
    "order": 0.06,
    "counting": 0.06,
    "what_next": 0.03,
    "reasoning": 0.03,
    "choice": 0.13,
}

NOT_THERE = "This does not happen in the video."
NOTHING = "Nothing happens then."
EVIDENCE_SHARE = 0.06  # of the moments are those that another question is about
SEVERAL_SHARE = 0.12  # of the questions for every time are about what happens once


class NothingToAskError(ValueError):
    """A scene allows none of the kinds of tasks that are wanted."""


@dataclass(frozen=True)
class Sample:
    """One thing asked about a scene, and what is right.

    answer:     as the model is to write it, times by the codec; where its prompt ends in a prefill, with that.
    spans:      where the video shows it; of `moment`, `moments`, `absent`, `presence` and `highlights` what is asked
                for, every time it is there, and none where it is not.
    is_present: whether what is asked for is in the video at all; None where that is not the question.
    choices:    the options of a multiple choice in the order of their letters, `correct` the right one's place.
    right, wrong: other ways to say a short answer, and answers that would be wrong; only for those who judge it.

    Raises ValueError where these do not go together.
    """

    kind: Kind
    question: str
    answer: str
    spans: tuple[Span, ...]
    is_present: bool | None
    choices: tuple[str, ...] = ()
    correct: int | None = None
    right: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.is_present is not None and self.is_present != bool(self.spans):
            raise ValueError("what is in the video has spans, and nothing else has")
        if bool(self.choices) != (self.correct is not None):
            raise ValueError("a multiple choice has options and a right one")


def draw_sample(
    rng: Generator, scene: Scene, codec: TimeCodec, split: Split, kinds: Mapping[str, float] | None = None
) -> Sample:
    """One thing to ask of a scene; the same for the same state of `rng`.

    split: whose phrasings are used; what tvu itself asks, and what published models are asked, is in both.
    kinds: how often each kind of task is to be drawn, None for `WEIGHTS`. A kind that the scene does not allow without
           doubt (two events in an order, of a scene of one) is drawn anew.

    Raises ValueError for a kind that there is not, and NothingToAskError for a scene that allows none of them.
    """
    weights = dict(WEIGHTS if kinds is None else kinds)
    if not TASKS.keys() >= weights.keys():
        raise ValueError(f"there are no tasks but {', '.join(TASKS)}: not {', '.join(weights)}")
    words = phrasings(split)
    while weights:
        kind = _drawn(rng, weights)
        sample = TASKS[kind](Task(Story(scene, rng), codec, words))
        if sample is not None:
            return sample
        del weights[kind]
    raise NothingToAskError(f"nothing of what is wanted can be asked of a scene of {len(scene.events)} events")


@dataclass(frozen=True)
class Task:
    """What a kind of task is made of: the scene, how times are written, and how questions are put."""

    story: Story
    codec: TimeCodec
    words: Mapping[str, Phrasings]

    @property
    def rng(self) -> Generator:
        """Where chance comes from."""
        return self.story.rng

    def times(self, *spans: Span) -> str:
        """Spans as the model writes them."""
        return self.codec.encode_spans(spans, self.story.scene.seconds)

    def pattern(self, section: str) -> str:
        """A form of a question as somebody types it, still to be filled."""
        return as_typed(self.rng, self.words[section].draw(self.rng))

    def asked(self, section: str, wording: Wording) -> str:
        """A question about an event as somebody types it."""
        return as_typed(self.rng, filled(self.words[section].draw(self.rng), wording))


# --- moments ---


def _moment(task: Task) -> Sample | None:
    evidence = _evidence(task) if task.rng.random() < EVIDENCE_SHARE else None
    if evidence is not None:
        return evidence
    for event in task.story.shuffled_events:
        wording = task.story.words(event)
        spans = task.story.spans(wording)
        if len(spans) == 1:
            return Sample("moment", _where(task, wording), task.times(*spans), spans, True)
    return None


def _moments(task: Task) -> Sample | None:
    for event in task.story.shuffled_events:
        wording = task.story.words(event)
        spans = task.story.spans(wording)
        if len(spans) < 2 and task.rng.random() >= SEVERAL_SHARE:
            continue
        how = task.rng.random()
        if how < 0.15:  # asked for one of them, any is right
            question = questions.moment_question(_query(task, wording))
            return Sample("moments", question, task.times(one_of(task.rng, spans)), spans, True)
        question = task.asked("moment", wording) if how < 0.4 else _every_time(task, wording)
        return Sample("moments", question, task.times(*spans), spans, True)
    return None


def _absent(task: Task) -> Sample | None:
    wording = task.story.any_absent()
    if wording is None:
        return None
    question = _every_time(task, wording) if task.rng.random() < 0.15 else _where(task, wording)
    return Sample("absent", question, NOT_THERE, (), False)


def _evidence(task: Task) -> Sample | None:
    """Where the answer to another question is seen."""
    asked = _any_quiz(task, (quiz.doing, quiz.fact, quiz.who, quiz.what_is_next, quiz.counting))
    if asked is None or len(asked.spans) != 1:
        return None
    question = questions.evidence_question(asked.question)
    return Sample("moment", question, task.times(*asked.spans), asked.spans, True)


def _where(task: Task, wording: Wording) -> str:
    """When something happens, asked by a person, by tvu, or by the published models."""
    how = task.rng.random()
    if how < 0.34:
        return task.asked("moment", wording)
    if how < 0.42:
        return _joined(task.asked("moment", wording), task.pattern("with_times"))
    if how < 0.80:
        return questions.moment_question(_query(task, wording))
    if how < 0.91:
        return one_of(task.rng, official_prompts.lita_event_questions(wording.statement))
    if how < 0.95:
        return official_prompts.VTG_LLM_RETRIEVAL.format(wording.statement)
    if how < 0.98:
        return GROUNDING_WORDS["timelens"].prompt.format(wording.statement)
    return GROUNDING_WORDS["lmms-eval"].prompt.format(wording.statement)


def _query(task: Task, wording: Wording) -> str:
    """What tvu puts into its own questions: what somebody typed, or an event as data sets name them."""
    how = task.rng.random()
    if how < 0.6:
        return task.asked("moment", wording)
    return wording.statement if how < 0.8 else noun_of(wording)


def _every_time(task: Task, wording: Wording) -> str:
    if task.rng.random() < 0.4:
        return questions.moments_question(_query(task, wording))
    return task.asked("moments", wording)


def _presence(task: Task) -> Sample | None:
    is_there = task.rng.random() < 0.5 and task.story.events
    wording = task.story.words(one_of(task.rng, task.story.events)) if is_there else task.story.any_absent()
    if wording is None:
        return None
    spans = task.story.spans(wording)
    how = task.rng.random()
    if how < 0.5:
        question = questions.presence_question(_query(task, wording))
    elif how < 0.57:
        question = questions.answerable_question(_query(task, wording))
    else:
        question = _joined(task.asked("presence", wording), task.pattern("yes_no"))
    return Sample("presence", question, questions.YES if spans else questions.NO, spans, bool(spans))


def _highlights(task: Task) -> Sample | None:
    is_there = task.rng.random() < 0.85 and task.story.events
    wording = task.story.words(one_of(task.rng, task.story.events)) if is_there else task.story.any_absent()
    if wording is None:
        return None
    if task.rng.random() < 0.4:
        question = questions.highlights_request(noun_of(wording) if task.rng.random() < 0.6 else wording.statement)
    else:
        question = task.asked("highlights", wording)
    spans = task.story.spans(wording)
    best_first = sorted(spans, key=lambda span: -span.seconds)
    return Sample("highlights", question, task.times(*best_first) if spans else NOT_THERE, spans, bool(spans))


# --- captions ---


def _caption(task: Task) -> Sample | None:
    events = task.story.events
    if not events:
        return None
    lines = [f"{task.times(event.span)} {sentence(_said(task, event))}" for event in events]
    how = task.rng.random()
    if how < 0.35:
        question = questions.captions_request()
    elif how < 0.5:  # LITA's form has no lines
        question = one_of(task.rng, official_prompts.lita_description_requests())
        return Sample("caption", question, " ".join(lines), _spans(events), None)
    elif how < 0.55:
        question = official_prompts.VTG_LLM_ACTIVITYNET_CAPTIONS
    else:
        question = task.pattern("captions")
    return Sample("caption", question, "\n".join(lines), _spans(events), None)


def _grounded_caption(task: Task) -> Sample | None:
    how = task.rng.random()
    ways = (_between, _titled, _at_time) if how < 0.45 else (_titled, _between) if how < 0.8 else (_at_time, _between)
    return next((sample for way in ways if (sample := way(task)) is not None), None)


def _between(task: Task) -> Sample | None:
    """What happens in a stretch of time; what lies in it for the most part, or fills it, is told."""
    if not task.story.events:
        return None
    span, seconds = one_of(task.rng, task.story.events).span, task.story.scene.seconds
    slack = min(0.12 * span.seconds, 0.5)
    start = max(0.0, span.start_seconds + slack * (2 * task.rng.random() - 1))
    end = min(seconds, span.end_seconds + slack * (2 * task.rng.random() - 1))
    inside = [event for event in task.story.events if _is_told_of(event.span, start, end)]
    if not inside:
        return None
    write = _clock(task, min(each.span.seconds for each in inside))
    question = task.pattern("between").format(start=write(start), end=write(end))
    return Sample("grounded_caption", question, _all_said(task, inside), _spans(inside), None)


def _at_time(task: Task) -> Sample | None:
    """What happens at a moment; moments at the edge of an event are not asked about."""
    seconds = task.story.scene.seconds
    now = seconds * (0.02 + 0.96 * task.rng.random())
    edges = [time for event in task.story.events for time in (event.span.start_seconds, event.span.end_seconds)]
    if any(abs(now - edge) < 0.02 * seconds for edge in edges):
        return None
    there = [event for event in task.story.events if now in event.span]
    question = task.pattern("at_time").format(time=_clock(task, 0.0)(now))
    return Sample("grounded_caption", question, _all_said(task, there) if there else NOTHING, _spans(there), None)


def _titled(task: Task) -> Sample | None:
    """TimeSuite's temporal grounded caption: a title is given, its span and a description are wanted."""
    for event in task.story.shuffled_events:
        subject = task.story.words(event).subject
        if any(e is not event and any(w.subject == subject for w in e.wordings) for e in task.story.events):
            continue
        told = sentence(_said(task, event))
        question = task.asked("titled", task.story.words(event))
        return Sample("grounded_caption", question, f"{task.times(event.span)} {told}", (event.span,), None)
    return None


# --- order, number, reasoning ---


def _order(task: Task) -> Sample | None:
    is_before = _is_before(task) if task.rng.random() < 0.4 else None
    if is_before is not None:
        return is_before
    return _plain("order", _any_quiz(task, (quiz.which_first, quiz.what_is_first, quiz.sequence)))


def _is_before(task: Task) -> Sample | None:
    pair = task.story.in_turn(2)
    if not pair:
        return None
    told = [task.story.words(event).statement for event in pair]
    is_true, section = task.rng.random() < 0.5, one_of(task.rng, ("is_before", "is_after"))
    first, second = told if is_true == (section == "is_before") else told[::-1]
    question = as_typed(task.rng, task.words[section].draw(task.rng).format(first=first, second=second))
    question = _joined(question, task.pattern("yes_no"))
    return Sample("order", question, questions.YES if is_true else questions.NO, _spans(pair), None)


def _counting(task: Task) -> Sample | None:
    return _plain("counting", quiz.counting(task.story, task.words))


def _what_next(task: Task) -> Sample | None:
    return _plain("what_next", _any_quiz(task, (quiz.what_is_next, quiz.what_was_before)))


def _reasoning(task: Task) -> Sample | None:
    """LITA's reasoning temporal localization: the event is not named, its span and what it is are wanted."""
    for make in shuffled(task.rng, (_neighbour, _extreme, _meanwhile, _repeated)):
        sample = make(task)
        if sample is not None:
            return sample
    return None


def _neighbour(task: Task) -> Sample | None:
    is_next = task.rng.random() < 0.6
    for event in task.story.shuffled_events:
        other = (task.story.next_of if is_next else task.story.previous_of)(event)
        if other is not None and task.story.is_once(event):
            question = task.asked("when_next" if is_next else "when_before", task.story.words(event))
            return _reasoned(task, question, other)
    return None


def _extreme(task: Task) -> Sample | None:
    """The longest event, or the shortest, where it is so by a quarter."""
    ranked = sorted(task.story.events, key=lambda event: event.span.seconds)
    if len(ranked) < 2:
        return None
    if task.rng.random() < 0.6:
        return _reasoned(
            task, task.pattern("longest"), ranked[-1], ranked[-1].span.seconds > 1.25 * ranked[-2].span.seconds
        )
    return _reasoned(task, task.pattern("shortest"), ranked[0], 1.25 * ranked[0].span.seconds < ranked[1].span.seconds)


def _meanwhile(task: Task) -> Sample | None:
    for event in task.story.shuffled_events:
        others = task.story.together_with(event)
        if len(others) == 1 and task.story.is_once(event):
            return _reasoned(task, task.asked("meanwhile", task.story.words(event)), others[0])
    return None


def _repeated(task: Task) -> Sample | None:
    counts: dict[str, list[Event]] = {}
    for event in task.story.events:
        counts.setdefault(event.key, []).append(event)
    repeated = [events for events in counts.values() if len(events) > 1]
    if len(repeated) != 1:
        return None
    (events,) = repeated
    others = [event for event in task.story.events if event.key != events[0].key]
    wording = task.story.words(events[0])
    if len({w for event in others for w in event.wordings}) < sum(len(event.wordings) for event in others):
        return None  # some words are true of two of the others: it could be said that these repeat
    spans = task.story.spans(wording)
    answer = f"{task.times(*spans)} {sentence(wording.statement)}"
    return Sample("reasoning", task.pattern("repeated"), answer, spans, None)


def _reasoned(task: Task, question: str, event: Event, is_clear: bool = True) -> Sample | None:
    if not is_clear:
        return None
    answer = f"{task.times(event.span)} {sentence(_said(task, event))}"
    return Sample("reasoning", question, answer, (event.span,), None)


# --- multiple choice ---


def _choice(task: Task) -> Sample | None:
    weights: dict[quiz.Maker, float] = dict(quiz.MAKERS)
    while weights:
        make: quiz.Maker = _drawn(task.rng, weights)
        found = make(task.story, task.words)
        if found is not None:
            return _as_choice(task, found)
        del weights[make]
    return None


def _as_choice(task: Task, found: Quiz) -> Sample:
    """Two to five options, put as MVBench puts them, as lmms-eval does, or as people do."""
    most = one_of(task.rng, (1, 2, 2, 3, 3, 3, 4))
    styles: tuple[Callable[[str], str], ...] = (sentence, str, str, str.lower)
    styled = one_of(task.rng, styles)
    told = [styled(text.rstrip(".")) for text in (found.answer, *found.wrong[:most])]
    order = shuffled(task.rng, range(len(told)))
    options, correct = tuple(told[i] for i in order), order.index(0)
    right = f"{letter_of(correct)}) {options[correct]}"
    how = task.rng.random()
    if how < 0.8:
        protocol = "tvu" if how < 0.55 else "official" if how < 0.65 else "lmms-eval"
        question = MultipleChoice(found.question, options, protocol).request.user.rstrip()
        answer = f"({right}" if protocol == "lmms-eval" else f"{official_prompts.BEST_OPTION}{right}"
    else:
        form = one_of(task.rng, ("{}. {}", "{}) {}", "({}) {}", "{}: {}"))
        lines = [form.format(letter_of(i), option) for i, option in enumerate(options)]
        question, answer = "\n".join([found.question, *lines]), f"({right}"
    return Sample("choice", question, answer, found.spans, None, options, correct)


# --- shared ---


def _any_quiz(task: Task, makers: tuple[quiz.Maker, ...]) -> Quiz | None:
    for make in shuffled(task.rng, makers):
        found = make(task.story, task.words)
        if found is not None:
            return found
    return None


def _plain(kind: Kind, found: Quiz | None) -> Sample | None:
    if found is None:
        return None
    return Sample(kind, found.question, found.answer, found.spans, None, right=found.also, wrong=found.wrong)


def _said(task: Task, event: Event) -> str:
    """What is written of an event: mostly its first wording, so that there is one thing to learn."""
    wording = event.wordings[0] if task.rng.random() < 0.8 else one_of(task.rng, event.wordings)
    return wording.statement


def _all_said(task: Task, events: list[Event]) -> str:
    return " ".join(dict.fromkeys(sentence(_said(task, event)) for event in events))


def _spans(events: list[Event] | tuple[Event, ...]) -> tuple[Span, ...]:
    return tuple(event.span for event in events)


def _is_told_of(span: Span, start: float, end: float) -> bool:
    shared = min(span.end_seconds, end) - max(span.start_seconds, start)
    return shared >= 0.6 * min(span.seconds, max(end - start, 1e-6))


def _clock(task: Task, finest: float) -> Callable[[float], str]:
    """A way to write times into a question; whole seconds only where nothing asked about is shorter than `finest`."""
    seconds = task.story.scene.seconds
    ways: list[Callable[[float], str]] = [
        lambda time: f"{time:.1f} s",
        lambda time: f"{time:.1f} seconds",
        lambda time: f"{time:.1f}s",
        format_timecode,
        lambda time: task.codec.encode(time, seconds),
        lambda time: task.codec.encode(time, seconds),
    ]
    if finest >= 4.0:
        ways += [lambda time: f"{time:.0f} seconds", lambda time: format_timecode(time, 0).removeprefix("0")]
    return one_of(task.rng, ways)


def _joined(question: str, form: str) -> str:
    """A question and what is said of its answer."""
    if not form:
        return question
    return f"{question} {form}" if question[-1:] in "?.!" else f"{question}. {form}"


def _drawn(rng: Generator, weights: Mapping[K, float]) -> K:
    """A key, as often as its weight says."""
    place = rng.random() * sum(weights.values())
    *others, last = weights
    for key in others:
        place -= weights[key]
        if place < 0:
            return key
    return last


TASKS: Mapping[str, Callable[[Task], Sample | None]] = {
    "moment": _moment,
    "moments": _moments,
    "absent": _absent,
    "presence": _presence,
    "caption": _caption,
    "highlights": _highlights,
    "grounded_caption": _grounded_caption,
    "order": _order,
    "counting": _counting,
    "what_next": _what_next,
    "reasoning": _reasoning,
    "choice": _choice,
}
