"""Small sets for temporal grounding and for the chronology test, drawn: what happens when is known to the picture."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from tvu.video_llm.benchmarks.mini_drawing import BACKGROUNDS, FPS, SHAPES, Canvas, Drawing, Film, moving, write_film
from tvu.video_llm.benchmarks.mini_riddles import Actor, background, shuffled
from tvu.video_llm.benchmarks.mini_scenes import landscape

PLAIN = ("red", "blue", "green", "yellow", "purple")
ENDINGS = (".mp4", ".mkv", ".mp4", ".webm", ".mp4", ".mkv")
LANDSCAPES = {
    "a beach by the sea": "beach",
    "trees in a forest": "forest",
    "a city at night": "city",
    "mountains with snow": "mountains",
}
LATE_SECONDS = 2.5  # of the files whose time stamps do not start at zero


def _actors(rng: Generator, count: int, shapes: Sequence[str] = tuple(SHAPES)) -> list[Actor]:
    """Shapes that differ in colour, and as far as there are enough shapes in shape."""
    forms, colours = shuffled(rng, shapes), shuffled(rng, PLAIN)
    return [Actor(forms[i % len(forms)], colours[i], y=60, radius=22) for i in range(count)]


def _name(actor: Actor) -> str:
    return f"{'an' if actor.colour[0] in 'aeiou' else 'a'} {actor.colour} {actor.shape}"


def write_moments(folder: Path, seed: int = 0) -> None:
    """Write `moments_val_release.jsonl`, in the format of QVHighlights, and `videos/`.

    Every film shows three things, one of them twice: coloured shapes, or in every other film landscapes. One query of
    each asks for a thing that never comes, and its `relevant_windows` are empty. The second film has a variable frame
    rate, and the time stamps of the third do not start at zero: its windows, like all of ours, count from its first
    picture.
    """
    (folder / "videos").mkdir(parents=True)
    lines: list[dict[str, Any]] = []
    for number, ending in enumerate(ENDINGS):
        rng = np.random.default_rng([seed, 1, number])
        cast: list[Actor | str] = []
        cast += shuffled(rng, tuple(LANDSCAPES)) if number % 2 else _actors(rng, 4)
        absent = cast.pop()
        order = [cast[0], cast[1], cast[0], cast[2]] if rng.integers(2) else [cast[1], cast[0], cast[2], cast[0]]
        starts = np.cumsum([0.5, *rng.integers(6, 9, 4) / 2])  # shown for 2.5 to 3.5 s, with 0.5 s between
        scenes = [(who, float(a), float(b) - 0.5) for who, a, b in zip(order, starts[:-1], starts[1:], strict=True)]
        film = Film(float(starts[-1]), _parade(scenes), background(rng))
        times = _uneven_times(film, rng) if number == 1 else None
        write_film(film, folder / "videos" / f"drawn_{number}{ending}", times, LATE_SECONDS if number == 2 else 0.0)
        for who in shuffled(rng, [*cast, absent]):
            windows = [[start, end] for what, start, end in scenes if what == who]
            line = {
                "qid": len(lines),
                "query": who if isinstance(who, str) else _name(who),
                "duration": film.seconds,
                "vid": f"drawn_{number}",
            }
            lines.append({**line, "relevant_windows": windows})
    _write_lines(folder / "moments_val_release.jsonl", lines)


def _parade(scenes: Sequence[tuple[Actor | str, float, float]]) -> Drawing:
    def draw(canvas: Canvas, now: float) -> None:
        for what, start, end in scenes:
            if not start <= now < end:
                continue
            if isinstance(what, str):
                landscape(canvas, LANDSCAPES[what], now - start)
            else:
                replace(what, x=70 + 20 * (now - start) / (end - start)).draw(canvas)

    return draw


def _uneven_times(film: Film, rng: Generator) -> NDArray[np.float64]:
    """All the half seconds, where things begin and end, and any of the other moments."""
    times = film.times()
    is_kept = (np.arange(len(times)) % (FPS // 2) == 0) | (rng.uniform(size=len(times)) < 0.5)
    return times[is_kept]


CORNERED = ("square", "triangle", "star", "heart")  # one sees them spin
_DEEDS = ("rises", "sinks", "spins around", "shakes", "grows")


def write_chronology(folder: Path, seed: int = 0) -> None:
    """Write `chronology.jsonl`, each line `{"video": …, "events": [what happens, in order]}`, and `videos/`.

    Films of two to five events, one after another, with a rest between them.
    """
    (folder / "videos").mkdir(parents=True)
    lines = []
    for number, count in enumerate((2, 2, 3, 3, 4, 4, 5, 5)):
        rng = np.random.default_rng([seed, 2, number])
        cast, deeds = _actors(rng, count, CORNERED), shuffled(rng, _DEEDS)
        film = Film(2.0 * count, _story(cast, deeds), BACKGROUNDS[number % len(BACKGROUNDS)])
        write_film(film, folder / "videos" / f"drawn_{number}.mp4")
        events = [f"{_name(actor)} {deed}" for actor, deed in zip(cast, deeds, strict=False)]
        lines.append({"video": f"videos/drawn_{number}.mp4", "events": events})
    _write_lines(folder / "chronology.jsonl", lines)


def _story(cast: Sequence[Actor], deeds: Sequence[str]) -> Drawing:
    up, down = [(80.0, 95.0), (80.0, 25.0)], [(80.0, 25.0), (80.0, 95.0)]
    actions = {"spins around": "spin", "shakes": "shake"}

    def draw(canvas: Canvas, now: float) -> None:
        which = int(now / 2.0)
        since = now - 2.0 * which - 0.2
        if which >= len(cast) or not 0 <= since < 1.6:
            return
        actor, deed = cast[which], deeds[which]
        if deed in ("rises", "sinks"):
            x, y = moving(up if deed == "rises" else down, 0.0, 1.6)(since)
            actor = replace(actor, x=x, y=y, radius=18)
        elif deed == "grows":
            actor = replace(actor, radius=10 + 16 * since)
        actor.draw(canvas, actions.get(deed, ""), since / 1.6)

    return draw


def _write_lines(path: Path, lines: Sequence[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
