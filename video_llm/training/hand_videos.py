"""Videos of hands alone, near the camera, as landmarks: who kneads, types or shows two fingers when is known exactly.

What `skeletons.py` is for bodies. A plan is one or two hands that do named things (`hand_deeds.py`); rendering gives
what the networks of `lite/palms.py` would have found.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tvu.temporal.types import Span
from tvu.video_llm.lite.hands import hand_features
from tvu.video_llm.lite.inputs import HAND_CHANNELS, STEPS_PER_SECOND
from tvu.video_llm.training.conjugation import wording
from tvu.video_llm.training.hand_deeds import DEEDS, SIDES, Deed, HandAnimator, View
from tvu.video_llm.training.hand_shapes import NAMES, PLACES, found, seen, shape_of, turned
from tvu.video_llm.training.kinematics import Track, values_at
from tvu.video_llm.training.motion_list import phrases_of
from tvu.video_llm.training.scenes import Event, Scene, Split, Wording

_PEOPLE: Final[dict[Split, tuple[tuple[str, str], ...]]] = {
    "train": (
        *(("a person", "their"), ("someone", "their"), ("somebody", "their"), ("the person", "their")),
        *(("a man", "his"), ("a woman", "her"), ("the man", "his"), ("the woman", "her"), ("a chef", "their")),
    ),
    "held-out": (("an individual", "their"), ("this person", "their"), ("the lady", "her"), ("the guy", "his")),
}
USUAL_PALM = 0.17  # picture heights, where deeds are as they are written down
_HAND: Final = "a hand"


@dataclass(frozen=True)
class HandPlan:
    """One video: what is true of it and all that rendering needs. Rendering the same plan gives the same numbers.

    tracks: of the left and the right hand; palm: its length, picture heights; turn: degrees by which the picture is
    turned about its middle, as whoever films stands before, beside or behind who does it; shift: of its middle,
    heights; sure, sloppiness: of the networks.
    """

    scene: Scene
    tracks: tuple[Track, Track]
    palm: float
    aspect: float
    turn: float
    shift: tuple[float, float]
    sure: float
    sloppiness: float
    seed: int

    @property
    def num_steps(self) -> int:
        return max(1, round(self.scene.seconds * STEPS_PER_SECOND))


class HandWorld:
    """Draws and renders videos of hands. What is held out: wordings of every deed, and names for people."""

    def __init__(self, split: Split) -> None:
        self.split: Split = split
        self._phrases = {deed.name: phrases_of(deed.phrases, split) for deed in DEEDS}

    def draw(self, rng: np.random.Generator) -> HandPlan:
        """One video of 4 to 60 s."""
        view: View = "table" if rng.random() < 0.65 else "front"
        hands = SIDES if rng.random() < (0.75 if view == "table" else 0.3) else (int(rng.random() < 0.7),)
        seconds = float(
            rng.uniform(4, 8) if (kind := rng.random()) < 0.15 else rng.uniform(8, 24 if kind < 0.92 else 60)
        )
        animator = HandAnimator(rng, view, hands)
        done = self._fill(animator, seconds)
        if not done:
            return self.draw(rng)
        turns = (0.0, 180.0, 90.0, -90.0) if view == "table" else (0.0,)
        turn = turns[
            int(rng.choice(len(turns), p=(0.4, 0.35, 0.125, 0.125)[: len(turns)] if len(turns) > 1 else (1.0,)))
        ]
        return HandPlan(
            self._scene(rng, seconds, hands, done),
            animator.tracks(),
            float(np.exp(rng.uniform(np.log(0.06), np.log(0.28)))),
            (4 / 3, 16 / 9, 1.0, 9 / 16)[int(rng.choice(4, p=[0.35, 0.45, 0.08, 0.12]))],
            turn + float(rng.normal(0, 18 if view == "table" else 6)),
            (float(rng.normal(0, 0.12)), float(rng.normal(0, 0.1))),
            float(rng.uniform(0.55, 1.15)),
            float(np.exp(rng.normal(0, 0.4))),
            int(rng.integers(2**62)),
        )

    def _fill(self, a: HandAnimator, seconds: float) -> list[tuple[Deed, float, float]]:
        rng = a.rng
        now = float(min(rng.exponential(1.0) + 0.2, 0.4 * seconds))
        done: list[tuple[Deed, float, float]] = []
        free = [deed for deed in DEEDS if a.view in deed.views and deed.hands <= len(a.hands)]
        is_away = False
        for number in range(int(rng.integers(1, 7))):
            used = {deed.name for deed, *_ in done}
            looks = {look for deed, *_ in done for look in deed.looks}
            if is_away:
                break
            some = [d for d in free if d.name in used or not d.looks & looks]
            some = [d for d in some if (d.name != "come" or number == 0) and (d.name != "go" or number)]
            weights = np.array([2.0 if d.name in used or d.name in ("come", "go") else 1.0 for d in some])
            deed = some[int(rng.choice(len(some), p=weights / weights.sum()))]
            low, high = deed.seconds
            length = float(low * (max(low, min(high, 0.5 * seconds)) / low) ** rng.random())
            times = int(rng.integers(2, 6)) if deed.repeats and rng.random() < 0.5 else 1
            for _ in range(times):
                end = now + length
                if end > seconds - 0.2:
                    break
                deed.move(a, now, end)
                done.append((deed, now, end))
                is_away = deed.name == "go"
                now = end + (float(rng.uniform(0.05, 0.5)) if times > 1 else 0.0)
                length *= float(rng.uniform(0.85, 1.18))
            now += float(rng.exponential(1.0) + 0.2)
        return done

    def _scene(
        self, rng: np.random.Generator, seconds: float, hands: Sequence[int], done: Sequence[tuple[Deed, float, float]]
    ) -> Scene:
        people = _PEOPLE[self.split]
        who = people[int(rng.integers(len(people)))]
        subjects = (who, (_HAND, "their")) if self.split == "train" else (who,)

        def told(deed: Deed) -> Wording:
            subject, poss = subjects[int(rng.random() < 0.15) % len(subjects)]
            if deed.name in ("come", "go"):
                subject = _HAND
            phrases = self._phrases[deed.name]
            return wording(subject, poss, phrases[int(rng.integers(len(phrases)))])

        def ways(deed: Deed) -> tuple[Wording, ...]:
            return tuple({each.statement: each for each in (told(deed) for _ in range(5))}.values())

        events = [Event(Span(start, end), ways(deed), deed.name, deed.name, {}) for deed, start, end in done]
        looks = {look for deed, *_ in done for look in deed.looks}
        far = [DEEDS[i] for i in rng.permutation(len(DEEDS)) if not DEEDS[i].looks & looks][:6]
        return Scene(seconds, tuple(events), tuple(told(deed) for deed in far))

    def render(self, plans: Sequence[HandPlan]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """What `lite` would see: features float32 `[B, T, 92]` (`hand_features`) and where there are any, `[B, T]`."""
        steps = max(plan.num_steps for plan in plans)
        hands = np.zeros((len(plans), steps, HAND_CHANNELS), np.float32)
        has_hands = np.zeros((len(plans), steps), bool)
        for row, plan in enumerate(plans):
            features = _rendered(plan)
            hands[row, : plan.num_steps] = features
            has_hands[row, : plan.num_steps] = (features.reshape(plan.num_steps, 2, -1)[..., -1] > 0).any(-1)
        return hands, has_hands


def _rendered(plan: HandPlan) -> NDArray[np.float32]:
    rng = np.random.default_rng(plan.seed)
    seconds = (np.arange(plan.num_steps) + rng.uniform(-0.1, 0.1)) / STEPS_PER_SECOND
    sway = np.array([0.008, 0.008, 0.02, 6, 5, 4, *[0.05] * 5, 0.05, 0.05, 0.0]) * rng.uniform(0.3, 1.6)
    turn = np.radians(plan.turn)
    pictures, there = [], np.empty((plan.num_steps, 2))
    for hand, track in enumerate(plan.tracks):
        numbers = values_at([track], [seconds])
        rate, phase = rng.uniform(0.1, 0.7, len(NAMES)), rng.uniform(0, 2 * np.pi, len(NAMES))
        numbers = numbers + sway * np.sin(2 * np.pi * seconds[:, None] * rate + phase)
        there[:, hand] = numbers[:, PLACES["there"]]
        points = turned(shape_of(np.clip(numbers[:, 6:13], 0, 1.1)), numbers, is_left=hand == 0)
        numbers[:, :2] *= plan.palm / USUAL_PALM
        flat = seen(points, numbers, plan.palm)
        x = flat[..., 0] * np.cos(turn) + flat[..., 1] * np.sin(turn)
        y = flat[..., 1] * np.cos(turn) - flat[..., 0] * np.sin(turn)
        pictures.append(np.stack([plan.aspect / 2 + plan.shift[0] + x, 0.5 + plan.shift[1] - y], -1))
        middle = pictures[-1][:, [0, 5, 17]].mean(1)
        there[:, hand] *= ((middle > 0) & (middle < (plan.aspect, 1.0))).all(-1)
    both, presence = found(pictures, there, rng, plan.sloppiness, plan.sure)
    return hand_features(both / (plan.aspect, 1.0), presence, plan.aspect)
