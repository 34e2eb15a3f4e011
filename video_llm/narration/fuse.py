"""What the signals say of each line, fused into a place and a probability, with or without the order of the lines.

Each signal gives a line a distribution: so much for each of its candidates, the rest for "shown elsewhere" and "not
shown". Taken as independent given where the line truly is, they multiply (over the prior, once for each signal but
the first). That a line is said somewhere and that it is seen somewhere are two claims: where a line is heard, what is
seen tells of that place only as far as people show what they speak of while they speak of it.

A narration goes forward: an exact dynamic programme over all lines finds the best places in order, and the
forward-backward pass of the same programme how probable each is, given that order. Steps need no order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from tvu.temporal.types import Span
from tvu.video_llm.narration.picture import calibration_of
from tvu.video_llm.narration.types import AlignedLine, Candidate, Candidates, Order, Script
from tvu.video_llm.types import EVIDENCE, Evidence

Array = NDArray[np.float64]

SHARPEST_FIRST: tuple[Evidence, ...] = ("speech", "screen-text", "visual")  # whose spans are taken where they agree
SAME_PLACE = 0.5  # of the shorter span: so much of it lies in the other one, where two signals mean one place
TRUSTED = 0.3  # a sharper candidate with this probability lends its span to those that agree with it
WITNESS = 0.25  # a signal with this probability is told as evidence
LINES_AT_ONCE = 400  # whose probabilities are computed together; bounds the memory
LINES_AROUND = 60  # lines before and after them that still count
ORDERS_TRIED = 19  # random orders that the given one must beat: one in twenty would by chance
LINES_TRIED = 150
FREE_LOSS = 0.05  # nats a line that order may cost without being doubted
SEEN_AT_ALL = 0.98  # pictures are calibrated for "shown at all", so what they leave is not shown, or nearly so
LEAST = 0.002  # that any signal gives a place which another one speaks of
SUREST = 0.99  # that any one place is taken to be
TINY = 1e-9


@dataclass(frozen=True)
class FusionConfig:
    """not_shown: share of lines that are shown nowhere, as far as nothing else is known; shown: probability from which
    a line gets a place; sharpness: exponent on the probabilities of whole paths, below 1 where they are told too sure;
    together: share of the lines that are said of which a picture is found just then.

    Written by `python -P -m tvu.video_llm.narration.calibrate`.
    """

    not_shown: float = 0.25
    shown: float = 0.5
    sharpness: float = 1.0
    together: float = 0.25

    def __post_init__(self) -> None:
        if not (0 < self.not_shown < 1 and 0 < self.shown < 1 and 0 < self.sharpness <= 1 and 0 <= self.together < 1):
            raise ValueError("not_shown and shown are in (0, 1), sharpness in (0, 1], together in [0, 1)")


@cache
def shipped_config() -> FusionConfig:
    """The constants that come with the package."""
    return FusionConfig(**calibration_of("fusion"))


@dataclass(frozen=True)
class Place:
    """One place of one line: its span, its probability, and what each signal gives it by itself."""

    span: Span
    probability: float
    signals: tuple[tuple[Evidence, float], ...]

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """The signals that agree on it, strongest first; at least the strongest."""
        ranked = sorted(self.signals, key=lambda pair: -pair[1])
        return tuple(name for n, (name, p) in enumerate(ranked) if n == 0 or p >= WITNESS)


@dataclass(frozen=True)
class Posterior:
    """What all signals say of one line: `places`, and the probability that it is shown nowhere.

    What is left over is the probability that it is shown where no signal looked.
    """

    places: tuple[Place, ...]
    absent: float


@dataclass(frozen=True)
class Fused:
    """line: what is told; shown: the probability that the line is shown at all, wherever that is."""

    line: AlignedLine
    shown: float


def fuse(
    script: Script,
    per_signal: Mapping[Evidence, Candidates],
    order: Order,
    duration_seconds: float,
    config: FusionConfig | None = None,
) -> tuple[AlignedLine, ...]:
    """A place for every line of the script, or none; in its order.

    per_signal: the candidates of each signal that was used, one tuple a line. order: `monotone` where lines are told
    in the order of what is shown, `free` where each stands for itself.
    Raises ValueError where a signal speaks of another number of lines.
    """
    return tuple(f.line for f in fused_lines(script, per_signal, order, duration_seconds, config))


def fused_lines(
    script: Script,
    per_signal: Mapping[Evidence, Candidates],
    order: Order,
    duration_seconds: float,
    config: FusionConfig | None = None,
) -> tuple[Fused, ...]:
    """As `fuse`, with the probability of each line to be shown at all."""
    config = config or shipped_config()
    posteriors = posteriors_of(len(script.lines), per_signal, duration_seconds, config)
    chosen: Sequence[int | None] = [None] * len(posteriors)
    if order == "monotone":
        chosen = path = _best_path(_to_decide(posteriors, config.shown))
        posteriors = _in_order(posteriors, path, config.sharpness)
    return tuple(
        Fused(_told(i, posterior, config, choice), float(np.clip(1 - posterior.absent, 0.0, 1.0)))
        for i, (posterior, choice) in enumerate(zip(posteriors, chosen, strict=True))
    )


def decide_order(
    script: Script,
    per_signal: Mapping[Evidence, Candidates],
    duration_seconds: float,
    config: FusionConfig | None = None,
) -> Order:
    """Whether the lines come in the order of what is shown: `monotone` where that order costs next to nothing, or less
    than `ORDERS_TRIED` random orders do.
    """
    config = config or shipped_config()
    posteriors = posteriors_of(len(script.lines), per_signal, duration_seconds, config)
    known = [posterior for posterior in posteriors if posterior.places]
    if len(known) > LINES_TRIED:
        known = [known[i] for i in np.linspace(0, len(known) - 1, LINES_TRIED).round().astype(int).tolist()]
    if len(known) < 2:
        return "monotone"
    free = sum(max(float(np.log(_weights(p)).max()), float(np.log(max(p.absent, TINY)))) for p in known)
    given = _path_score(known)
    if (free - given) / len(known) <= FREE_LOSS:
        return "monotone"
    rng = np.random.default_rng(0)
    others = (_path_score([known[i] for i in rng.permutation(len(known))]) for _ in range(ORDERS_TRIED))
    return "monotone" if given > max(others) else "free"


# --- one line -------------------------------------------------------------------------------------------------


def posteriors_of(
    count: int, per_signal: Mapping[Evidence, Candidates], duration_seconds: float, config: FusionConfig
) -> list[Posterior]:
    """What all signals together say of each of `count` lines, each by itself.

    A signal that finds nothing for any line is as good as none: the video is silent, or has no text on it. How often
    it does find something tells how much its silence about one line means.
    """
    for name, candidates in per_signal.items():
        if len(candidates) != count:
            raise ValueError(f"{name} speaks of {len(candidates)} lines, not {count}")
    used = {name: per_signal[name] for name in EVIDENCE if name in per_signal and any(per_signal[name])}
    if not used:
        return [Posterior((), config.not_shown)] * count
    seconds = [c.span.seconds for candidates in used.values() for line in candidates for c in line[:1]]
    places = float(np.clip(duration_seconds / max(float(np.median(seconds)), 1.0), 4.0, 100.0))
    silence: dict[Evidence, float] = {}
    for name, candidates in used.items():
        found = sum(min(0.98, sum(c.score for c in line)) for line in candidates)
        share = float(np.clip((found + 1) / (count + 2) / (1 - config.not_shown), 0.02, 0.98))
        missed = (1 - config.not_shown) * (1 - share)
        silence[name] = SEEN_AT_ALL if name == "visual" else config.not_shown / (config.not_shown + missed)
    return [
        _posterior({name: candidates[i] for name, candidates in used.items()}, silence, places, config)
        for i in range(count)
    ]


def _posterior(
    line: Mapping[Evidence, Sequence[Candidate]],
    silence: Mapping[Evidence, float],
    num_places: float,
    config: FusionConfig,
) -> Posterior:
    """silence: of each signal, the probability that a line of which it says nothing is shown nowhere."""
    spans = _places(line)
    priors = np.full(len(spans) + 2, (1 - config.not_shown) / num_places)  # places, then elsewhere, then nowhere
    priors[-2] = (1 - config.not_shown) * max(0.1, 1 - len(spans) / num_places)
    priors[-1] = config.not_shown
    log = np.log(priors)
    own: list[list[tuple[Evidence, float]]] = [[] for _ in spans]
    heard = np.array([any(_same(c.span, span) for c in line.get("speech", ())) for span in spans] + [False, False])
    for name, told in line.items():
        candidates = _one_of(told) if name == "speech" else told
        rest = 1 - min(0.98, sum(c.score for c in candidates))
        given = np.empty(len(spans) + 2)
        given[-1] = rest * silence[name]
        given[-2] = rest * (1 - silence[name])
        for j, span in enumerate(spans):
            agree = max((c.score for c in candidates if _same(c.span, span)), default=0.0)
            given[j] = max(agree, given[-2] / num_places, LEAST)
            if agree > 0:
                own[j].append((name, agree))
        lift = np.maximum(given, TINY) / priors
        if name != "speech":
            lift[heard] = config.together * lift[heard] + (1 - config.together)
        log += np.log(lift)
    p = np.exp(log - log.max())
    p /= p.sum()
    places = [Place(span, float(p[j]), tuple(own[j])) for j, span in enumerate(spans)]
    return Posterior(tuple(sorted(places, key=lambda place: -place.probability)), float(p[-1]))


def _one_of(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Candidates that were judged each by itself, as a distribution: how probable each is if just one of them is right.

    Beside a place that is certain, one with a probability of a fifth is all but ruled out.
    """
    scores = np.minimum([c.score for c in candidates], SUREST)
    odds = scores / (1 - scores)
    return [replace(c, score=float(p)) for c, p in zip(candidates, odds / (1 + odds.sum()), strict=True)]


def _places(line: Mapping[Evidence, Sequence[Candidate]]) -> list[Span]:
    """The places that the signals speak of: each candidate, but for those that a sharper one speaks for."""
    trusted: list[Span] = []
    spans: list[Span] = []
    for name in SHARPEST_FIRST:
        new = [c for c in line.get(name, ()) if not any(_same(c.span, span) for span in trusted)]
        for candidate in new:
            if not any(candidate.span == span for span in spans):
                spans.append(candidate.span)
        trusted += [c.span for c in new if c.score >= TRUSTED]
    return spans


def _same(a: Span, b: Span) -> bool:
    shared = min(a.end_seconds, b.end_seconds) - max(a.start_seconds, b.start_seconds)
    return shared > 0 and shared >= SAME_PLACE * min(a.seconds, b.seconds)


def _told(index: int, posterior: Posterior, config: FusionConfig, choice: int | None = None) -> AlignedLine:
    """choice: number of the place that the order allows, -1 for none; by default the most probable one."""
    if choice is None:
        choice = 0 if posterior.places and 1 - posterior.absent >= config.shown else -1
    if choice < 0:
        return AlignedLine(index, None, float(np.clip(1 - posterior.absent, 0.0, 1.0)))
    place = posterior.places[choice]
    return AlignedLine(index, place.span, float(np.clip(place.probability, 0.0, 1.0)), place.evidence)


# --- all lines in order ---------------------------------------------------------------------------------------
# A line in a place is shown at some moment t of its span, and lines follow each other: t_1 <= t_2 <= ... The earliest
# moments that allow it are enough: t_i = max(t_{i-1}, start of the place), which must lie before its end. So every
# moment is the start of a place, or "before all", which is state 0.


def _weights(posterior: Posterior) -> Array:
    """What each place weighs against `absent`: what is shown where no signal looked is dealt out over the places."""
    p = np.array([place.probability for place in posterior.places])
    return np.maximum(p * ((1 - posterior.absent) / max(float(p.sum()), TINY)), TINY)


@dataclass(frozen=True, eq=False)
class _Lattice:
    """moments: float64 `[M]`, state k > 0 is moments[k - 1]. Of every line: log weights of its places and of none, the
    state of each start, and the state that each place must be reached before."""

    moments: Array
    weights: list[Array]
    absent: list[float]
    starts: list[NDArray[np.int64]]
    ends: list[NDArray[np.int64]]


def _lattice(posteriors: Sequence[Posterior], sharpness: float = 1.0) -> _Lattice:
    moments = np.unique([place.span.start_seconds for p in posteriors for place in p.places])
    starts, ends = [], []
    for posterior in posteriors:
        starts.append(np.searchsorted(moments, [place.span.start_seconds for place in posterior.places]) + 1)
        ends.append(np.searchsorted(moments, [place.span.end_seconds for place in posterior.places]) + 1)
    weights = [sharpness * np.log(_weights(p)) if p.places else np.zeros(0) for p in posteriors]
    absent = [sharpness * float(np.log(max(p.absent, TINY))) for p in posteriors]
    return _Lattice(moments, weights, absent, starts, ends)


def _to_decide(posteriors: Sequence[Posterior], shown: float) -> _Lattice:
    """The lattice whose best path gives a line its best place where it is shown with the probability `shown`, however
    many places share that probability."""
    lattice = _lattice(posteriors)
    odds = float(np.log(shown / (1 - shown)))
    absent = [
        absent + (float(weights.max() - np.logaddexp.reduce(weights)) + odds if len(weights) else 0.0)
        for absent, weights in zip(lattice.absent, lattice.weights, strict=True)
    ]
    return replace(lattice, absent=absent)


def _path_score(posteriors: Sequence[Posterior]) -> float:
    """The log weight of the best path."""
    return _forward(_lattice(posteriors))[0]


def _forward(lattice: _Lattice) -> tuple[float, list[list[tuple[int, int, int]]], int]:
    """Best log weight, for every line the improvements `(state, place, state before)` over leaving it out, and the
    last state."""
    best = np.full(len(lattice.moments) + 1, -np.inf)
    best[0] = 0.0
    improved = []
    for weights, absent, starts, ends in zip(
        lattice.weights, lattice.absent, lattice.starts, lattice.ends, strict=True
    ):
        after = best + absent
        won: dict[int, tuple[int, int]] = {}
        if len(weights):
            top = np.maximum.accumulate(best)
            for j, (weight, start, end) in enumerate(
                zip(weights.tolist(), starts.tolist(), ends.tolist(), strict=True)
            ):
                if top[start] + weight > after[start]:
                    after[start] = top[start] + weight
                    won[start] = (j, int(best[: start + 1].argmax()))
                inside = best[start + 1 : end] + weight
                for k in np.flatnonzero(inside > after[start + 1 : end]).tolist():
                    after[start + 1 + k] = inside[k]
                    won[start + 1 + k] = (j, start + 1 + k)
        best = after
        improved.append([(state, j, before) for state, (j, before) in won.items()])
    last = int(best.argmax())
    return float(best[last]), improved, last


def _best_path(lattice: _Lattice) -> list[int]:
    """The place of every line, -1 for none, that together weigh most."""
    _, improved, state = _forward(lattice)
    chosen = [-1] * len(improved)
    for i in reversed(range(len(improved))):
        for here, place, before in improved[i]:
            if here == state:
                chosen[i], state = place, before
                break
    return chosen


def _in_order(posteriors: Sequence[Posterior], chosen: Sequence[int], sharpness: float) -> list[Posterior]:
    """The posteriors given that the lines come in order. Places keep their numbers.

    Long texts in blocks: what lies well before a block is taken to be where the best path has it.
    """
    found: list[Posterior] = []
    reached = np.full(len(posteriors) + 1, -np.inf)  # before each line, on the best path
    for i, choice in enumerate(chosen):
        start = posteriors[i].places[choice].span.start_seconds if choice >= 0 else -np.inf
        reached[i + 1] = max(reached[i], start)
    for first in range(0, len(posteriors), LINES_AT_ONCE):
        last = min(first + LINES_AT_ONCE, len(posteriors))
        begin = max(0, first - LINES_AROUND)
        block = posteriors[begin : last + LINES_AROUND]
        found += _marginals(block, float(reached[begin]), sharpness)[first - begin : last - begin]
    return found


def _marginals(posteriors: Sequence[Posterior], reached: float, sharpness: float) -> list[Posterior]:
    lattice = _lattice(posteriors, sharpness)
    states = len(lattice.moments) + 1
    begin = int(np.searchsorted(lattice.moments, reached, side="right"))  # of the state that holds what was before
    forward = np.full((len(posteriors) + 1, states), -np.inf)
    forward[0, begin] = 0.0
    for i, (weights, absent) in enumerate(zip(lattice.weights, lattice.absent, strict=True)):
        here = forward[i]
        after = here + absent
        total = np.logaddexp.accumulate(here)
        for weight, start, end in zip(weights, lattice.starts[i], lattice.ends[i], strict=True):
            after[start] = np.logaddexp(after[start], total[start] + weight)
            after[start + 1 : end] = np.logaddexp(after[start + 1 : end], here[start + 1 : end] + weight)
        forward[i + 1] = after
    backward = np.zeros(states)
    found: list[Posterior] = []
    for i in reversed(range(len(posteriors))):
        here, weights = forward[i], lattice.weights[i]
        mass = np.empty(len(weights) + 1)
        before = backward + lattice.absent[i]
        mass[-1] = np.logaddexp.reduce(here + before)
        for j, (weight, start, end) in enumerate(zip(weights, lattice.starts[i], lattice.ends[i], strict=True)):
            to = weight + backward[start:end]  # from a state up to the start, to the start; from one inside, to itself
            mass[j] = np.logaddexp(
                np.logaddexp.reduce(here[: start + 1]) + to[0], np.logaddexp.reduce(here[start + 1 : end] + to[1:])
            )
            before[: start + 1] = np.logaddexp(before[: start + 1], to[0])
            before[start + 1 : end] = np.logaddexp(before[start + 1 : end], to[1:])
        backward = before
        p = np.exp(mass - np.logaddexp.reduce(mass))
        old = posteriors[i]
        looked = sum(place.probability for place in old.places) / max(1 - old.absent, TINY)  # the rest is elsewhere
        places = tuple(
            Place(place.span, float(q) * min(1.0, looked), place.signals)
            for place, q in zip(old.places, p[:-1], strict=True)
        )
        found.append(Posterior(places, float(p[-1])))
    return found[::-1]
