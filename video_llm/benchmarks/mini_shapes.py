"""Riddles about what shapes do: move, change and meet."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from tvu.video_llm.benchmarks.mini_drawing import COLOURS, SHAPES, Canvas, Film, moving, progress
from tvu.video_llm.benchmarks.mini_riddles import (
    PLAIN,
    Actor,
    Riddle,
    background,
    one_after_another,
    one_of,
    performance,
    shuffled,
)

CORNERS = ((26.0, 24.0), (134.0, 24.0), (26.0, 96.0), (134.0, 96.0))
ACTIONS = ("spin", "grow", "shake", "shrink")
_DID = ("It spun around.", "It grew for a moment.", "It shook from side to side.", "It shrank for a moment.")


def action_sequence() -> list[Riddle]:
    """What follows, or precedes, a jump; another jump outside the bounds has other neighbours."""

    def ask(word: str, shape: str) -> Riddle:
        def film(answer: int, rng: Generator) -> Film:
            others = shuffled(rng, [a for a in ACTIONS if a != ACTIONS[answer]])
            pair = ["jump", ACTIONS[answer]] if word == "after" else [ACTIONS[answer], "jump"]
            decoy = ["jump", others[2]] if word == "after" else [others[2], "jump"]
            place = int(rng.integers(3))
            inside = [*others[:2][:place], *pair, *others[:2][place:]]
            script = one_after_another(decoy, 0.0, 1.1) + one_after_another(inside, 2.4, 1.1)
            actor = Actor(shape, one_of(rng, tuple(COLOURS)))
            return performance(actor, script, 7.0, background(rng), (2.3, 6.9))

        return Riddle(f"What did the {shape} do right {word} it jumped?", _DID, film)

    return [ask("after", "star"), ask("before", "heart")]


def _targets(canvas: Canvas, shapes: Sequence[str], places: Sequence[int], colours: Sequence[str]) -> None:
    for shape, place, colour in zip(shapes, places, colours, strict=True):
        canvas.shape(shape, colour, *CORNERS[place], 12)


def _wall(canvas: Canvas, middle: NDArray[np.float64], reach: NDArray[np.float64]) -> None:
    along = reach / np.hypot(*reach)
    across = np.array([-along[1], along[0]])
    centre = middle + 0.5 * reach + 9 * along
    canvas.polygon(
        np.stack([centre + a * across * 14 + b * along * 2.5 for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]),
        "#8a8a8a",
    )


def _towards(answer: int, rng: Generator, shapes: Sequence[str], mover: str, *, walled: bool) -> Film:
    """A small shape that sets out for one thing and turns to another, which it reaches, or where a wall stops it."""
    places, colours = rng.permutation(4), shuffled(rng, PLAIN)
    goal = np.array(CORNERS[places[answer]])
    decoy = np.array(CORNERS[places[(answer + 1 + int(rng.integers(3))) % 4]])
    middle = np.array([80.0, 60.0])
    turn = middle + 0.25 * (decoy - middle)
    stop = middle + 0.5 * (goal - middle)
    path = [middle, turn, middle, stop if walled else middle + 0.75 * (goal - middle)]
    where = moving([(float(x), float(y)) for x, y in path], 0.4, 4.0)

    def draw(canvas: Canvas, now: float) -> None:
        _targets(canvas, shapes, places.tolist(), colours)
        for corner in CORNERS if walled else ():  # before all of them, or the wall alone would tell
            _wall(canvas, middle, np.array(corner) - middle)
        x, y = where(now)
        if now >= 4.2 and not walled:  # beyond the bounds it arrives
            x, y = moving([(x, y), (float(goal[0]), float(goal[1]))], 4.2, 5.4)(now)
        canvas.shape(mover, "pink", x, y, 7)

    return Film(5.0 if walled else 5.8, draw, background(rng), None if walled else (0.0, 4.1))


def action_prediction() -> list[Riddle]:
    """What a shape is about to reach when the bounds end."""

    def ask(mover: str, targets: tuple[str, ...]) -> Riddle:
        options = tuple(f"Reach the {target}." for target in targets)
        return Riddle(
            f"What will the small pink {mover} do next?",
            options,
            lambda answer, rng: _towards(answer, rng, targets, mover, walled=False),
        )

    return [
        ask("circle", ("square", "triangle", "star", "heart")),
        ask("square", ("heart", "star", "circle", "triangle")),
    ]


def counterfactual_inference() -> list[Riddle]:
    """What a shape would have hit if no wall had stopped it."""

    def ask(mover: str, targets: tuple[str, ...]) -> Riddle:
        return Riddle(
            f"Which object would the small pink {mover} have hit without the grey walls?",
            tuple(f"The {target}." for target in targets),
            lambda answer, rng: _towards(answer, rng, targets, mover, walled=True),
        )

    return [
        ask("circle", ("square", "triangle", "star", "heart")),
        ask("triangle", ("star", "square", "heart", "circle")),
    ]


def action_antonym() -> list[Riddle]:
    """A change, its reverse, and no change."""

    def film(answer: int, rng: Generator, sizes: bool) -> Film:
        actor = Actor(one_of(rng, tuple(SHAPES)), one_of(rng, tuple(COLOURS)))
        start, end = ((0.0, 1.0), (1.0, 0.0), (0.5, 0.5))[answer]

        def draw(canvas: Canvas, now: float) -> None:
            value = start + (end - start) * progress(now, 0.3, 3.7)
            if sizes:
                replace(actor, radius=9 + 26 * value).draw(canvas)
            else:
                replace(actor, y=98 - 76 * value).draw(canvas)

        return Film(4.0, draw, background(rng))

    return [
        Riddle(
            "What is the object doing?",
            ("Rising.", "Falling.", "Staying where it is."),
            lambda answer, rng: film(answer, rng, sizes=False),
        ),
        Riddle(
            "What is happening to the object?",
            ("It is growing.", "It is shrinking.", "It keeps its size."),
            lambda answer, rng: film(answer, rng, sizes=True),
        ),
    ]


def fine_grained_action() -> list[Riddle]:
    """Four ways of moving, over and over."""
    actions = ("jump", "spin", "shake", "slide")

    def ask(shape: str) -> Riddle:
        def film(answer: int, rng: Generator) -> Film:
            script = one_after_another([actions[answer]] * 4, 0.2, 1.2)
            whole = performance(Actor(shape, one_of(rng, PLAIN)), script, 5.0, background(rng), (0, 5))
            return replace(whole, bounds=None)

        options = ("Jumping.", "Spinning.", "Shaking.", "Gliding to and fro.")
        return Riddle(f"Which word describes best what the {shape} does?", options, film)

    return [ask("square"), ask("triangle")]


def unexpected_action() -> list[Riddle]:
    """Something odd that happens to a shape on its way."""

    def ask(shape: str, other: str) -> Riddle:
        def film(answer: int, rng: Generator) -> Film:
            colour = one_of(rng, tuple(COLOURS))
            where = moving([(15, 70), (145, 70)], 0.0, 5.0)

            def draw(canvas: Canvas, now: float) -> None:
                x, y = where(now)
                odd = progress(now, 2.2, 3.4)
                if odd == 0 or (answer == 3 and odd == 1):
                    canvas.shape(shape, colour, x, y)
                elif answer == 0:
                    for i in range(6):
                        dx, dy = 34 * odd * np.cos(i * np.pi / 3), 34 * odd * np.sin(i * np.pi / 3)
                        canvas.shape("triangle", colour, 80 + float(dx), y + float(dy), 5, 200 * odd)
                elif answer == 1:
                    canvas.shape(other, colour, x, y)
                elif answer == 2:
                    for side in (-1, 1):
                        canvas.shape(shape, colour, x, y + side * 24 * odd, 10)

            return Film(5.0, draw, background(rng))

        options = (
            "It breaks into pieces.",
            f"It turns into a {other}.",
            "It splits in two.",
            "It is gone for a while.",
        )
        return Riddle(f"What unexpected thing happens to the {shape}?", options, film)

    return [ask("circle", "square"), ask("star", "heart")]


def moving_direction() -> list[Riddle]:
    """Where one of three moving shapes goes."""

    def ask(colour: str, shape: str, ways: Sequence[tuple[str, float, float]]) -> Riddle:
        def film(answer: int, rng: Generator) -> Film:
            rest = shuffled(rng, [c for c in PLAIN if c != colour])[:2]
            cast = [(shape, colour, ways[answer])]
            cast += [(one_of(rng, tuple(SHAPES)), tint, ways[int(rng.integers(4))]) for tint in rest]
            middles = [(80 + float(dx), 60.0) for dx in rng.permutation([-25, 0, 25])]
            paths = [
                moving([(x - 36 * dx, y - 36 * dy), (x + 36 * dx, y + 36 * dy)], 0.2, 4.4)
                for (x, y), (_, _, (_, dx, dy)) in zip(middles, cast, strict=True)
            ]

            def draw(canvas: Canvas, now: float) -> None:
                for (name, tint, _), path in zip(reversed(cast), reversed(paths), strict=True):
                    canvas.shape(name, tint, *path(now), 11)

            return Film(4.6, draw, background(rng))

        options = tuple(name for name, _, _ in ways)
        return Riddle(f"In which direction does the {colour} {shape} move?", options, film)

    slant = (
        ("Up and to the left.", -1, -1),
        ("Up and to the right.", 1, -1),
        ("Down and to the left.", -1, 1),
        ("Down and to the right.", 1, 1),
    )
    straight = (("Up.", 0, -1), ("Down.", 0, 1), ("To the left.", -1, 0), ("To the right.", 1, 0))
    return [ask("red", "circle", slant), ask("blue", "square", straight)]


def action_localization() -> list[Riddle]:
    """In which part of the bounds something happens."""

    def ask(action: str, does: str, shape: str) -> Riddle:
        def film(answer: int, rng: Generator) -> Film:
            at = ((1.1,), (4.1,), (7.1,), (1.1, 2.6, 4.1, 5.6, 7.1))[answer]
            script = [(action, start, start + 1.5) for start in at]
            return performance(Actor(shape, one_of(rng, PLAIN)), script, 10.0, background(rng), (1.0, 8.8))

        options = ("At the beginning of the video.", "In the middle of the video.", "At the end of the video.")
        return Riddle(
            f"During which part of the video does the {shape} {does}?", (*options, "Throughout the entire video."), film
        )

    return [ask("spin", "spin around", "star"), ask("jump", "jump", "square")]
