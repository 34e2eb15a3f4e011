"""Questions about drawn films: one question and its options, and for each option a film in which that one is right.

That every option of a question is right exactly once, under the same question and the same order of options, is what
makes the set fair: whatever is told from the text alone is the same for all of these films, so it is right once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.random import Generator

from tvu.video_llm.benchmarks.mini_drawing import BACKGROUNDS, Canvas, Film

T = TypeVar("T")

PLAIN = ("red", "blue", "green", "yellow")  # colours that nobody takes for each other


@dataclass(frozen=True)
class Riddle:
    """One question, its options, and how to draw a film in which the option of a given index is right."""

    question: str
    options: tuple[str, ...]
    film: Callable[[int, Generator], Film]


@dataclass(frozen=True)
class Actor:
    """A shape that can do things."""

    shape: str
    colour: str
    x: float = 80.0
    y: float = 66.0
    radius: float = 15.0

    def draw(self, canvas: Canvas, action: str = "", done: float = 0.0) -> None:
        """The actor when `done` of an action, in [0, 1], is over; every action ends as it began."""
        swing, bump = np.sin(6 * np.pi * done), np.sin(np.pi * done)
        x = self.x + (9 * swing if action == "shake" else 0) + (34 * np.sin(2 * np.pi * done)) * (action == "slide")
        y = self.y - 38 * bump * (action == "jump")
        size = self.radius * (1 + 0.9 * bump * (action == "grow") - 0.65 * bump * (action == "shrink"))
        angle = 360 * done if action == "spin" else 0.0
        canvas.shape(self.shape, self.colour, float(x), float(y), float(size), angle)


def one_of(rng: Generator, values: Sequence[T]) -> T:
    """Any of the values."""
    return values[int(rng.integers(len(values)))]


def shuffled(rng: Generator, values: Sequence[T]) -> list[T]:
    """The values in any order."""
    return [values[i] for i in rng.permutation(len(values))]


def background(rng: Generator) -> str:
    """Any background."""
    return one_of(rng, BACKGROUNDS)


def performance(
    actor: Actor, script: Sequence[tuple[str, float, float]], seconds: float, colour: str, bounds: tuple[float, float]
) -> Film:
    """A film of one actor that does what the script says: actions, each from and to a second."""

    def draw(canvas: Canvas, now: float) -> None:
        for action, start, end in script:
            if start <= now < end:
                actor.draw(canvas, action, (now - start) / (end - start))
                return
        actor.draw(canvas)

    return Film(seconds, draw, colour, bounds)


def one_after_another(actions: Sequence[str], start: float, each: float) -> list[tuple[str, float, float]]:
    """A script of actions that follow each other, with a short rest after each."""
    return [(action, start + i * each, start + (i + 0.85) * each) for i, action in enumerate(actions)]
