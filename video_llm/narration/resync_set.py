"""A set of subtitles that are out of step in known ways: sound drawn with espeak-ng over music and noise, and cues on a
clock that was shifted, stretched and cut.

The sentences are drawn from a small grammar, so no two films say the same. Nothing here is random from run to run:
a seed gives one film. The development half and the held-out half differ in every seed.
"""

import shutil
import subprocess
import wave
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tvu.video_llm.errors import BackendError
from tvu.video_llm.narration.types import Line, Script

Half = Literal["development", "held-out"]
HALVES: tuple[Half, ...] = ("development", "held-out")

RATE = 16_000
FILM_SECONDS = 330.0  # of film in a drawn recording, advertisements apart
VOICES = (
    "en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-us+f2", "en-gb+f3", "en-us+f4", "en-us+m3", "en-gb+m5",
    "en-us+m7", "en-029", "en-gb-x-gbclan",
)  # fmt: skip
LEAD_SECONDS = 0.12  # a cue comes up at most this long before its words
READING_RATE = 17.0  # characters a second that a cue stays for
GAP_SECONDS = 0.08  # between a cue that stays as long as it can and the next


@dataclass(frozen=True)
class Cue:
    """A line on the clock of the video; start_seconds is when it should come up there."""

    text: str
    start_seconds: float
    end_seconds: float


@dataclass(frozen=True)
class Recording:
    """Drawn sound. breaks: (where an advertisement begins, how long it is), on the clock of the video."""

    name: str
    path: Path
    seconds: float
    cues: tuple[Cue, ...]
    breaks: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Case:
    """Subtitles that are out of step with a recording.

    kind: what was done to them; truth: when each line should come up in the video, None where its scene was cut out.
    recording: None of the cues belong to it where kind is `wrong film`.
    """

    kind: str
    recording: Recording
    script: Script
    truth: tuple[float | None, ...]


# --- words ---

_WHO = (
    "my brother", "the captain", "your neighbour", "an old teacher", "the doctor", "her sister",
    "the boy from the farm",
    "our landlord", "the woman in the red coat", "that detective", "a friend of mine", "the mayor", "the new cook",
    "a stranger", "his grandmother", "the pilot", "the children", "nobody in this town", "the man at the station",
)  # fmt: skip
_DID = (
    "found", "sold", "carried", "forgot", "painted", "repaired", "stole", "buried", "remembered", "wanted", "borrowed",
    "promised me", "dropped", "hid", "opened", "watched", "described", "photographed", "ruined", "cleaned", "bought",
)  # fmt: skip
_WHAT = (
    "the silver watch", "a box of letters", "that broken radio", "the last piece of cake", "an enormous map",
    "the keys to the boat", "a basket of apples", "every window in the house", "the yellow bicycle", "a very small dog",
    "two bottles of wine", "the piano", "a coat with no buttons", "the wrong suitcase", "her mother's ring",
    "a hundred candles", "the garden gate", "some bread and cheese", "the old camera", "a ticket to the mountains",
)  # fmt: skip
_WHERE = (
    "behind the church", "on the way to the harbour", "under the bridge", "at the end of the road", "in the kitchen",
    "near the frozen lake", "inside the theatre", "between the two hills", "by the river", "at the market",
    "on the roof", "in the middle of the forest", "outside the bank", "in a hotel", "down in the cellar",
)  # fmt: skip
_WHEN = (
    "last winter", "this morning", "before the storm", "on Tuesday", "after the wedding", "years ago", "at midnight",
    "during the game", "when I was seven", "just before dinner", "on the first day of school", "yesterday",
)  # fmt: skip
_SHORT = (
    "Wait a minute.", "I don't believe you.", "What did he say?", "Come in, please.", "Not again.", "Are you sure?",
    "Of course.", "Give me that.", "Where are we going?", "I told you so.", "It's cold out here.", "Let's go home.",
    "Who is there?", "That's enough.", "Thank you very much.", "No, never.", "Look at this.", "We have to leave now.",
)  # fmt: skip
_SOUNDS = ("[door slams]", "[thunder]", "(MUSIC PLAYING)", "[dog barking]", "[sighs]", "♪ ♪", "[footsteps]", "[CROWD]")
_GOODS = ("soap", "coffee", "insurance", "tyres", "chocolate", "mattress", "toothpaste", "telephone")
_ADS = (
    "Have you tried the new {0}?", "Nothing works like our {0}, and it costs less.",
    "Buy one {0} and get another free!",
    "Call us today and ask for the {0}.", "Ten thousand families already trust this {0}.", "The {0} that you deserve.",
)  # fmt: skip


def _sentence(rng: np.random.Generator) -> str:
    def one(words: Sequence[str]) -> str:
        return words[int(rng.integers(len(words)))]

    shapes: tuple[Callable[[], str], ...] = (
        lambda: f"{one(_WHO)} {one(_DID)} {one(_WHAT)} {one(_WHERE)}.",
        lambda: f"{one(_WHEN)}, {one(_WHO)} {one(_DID)} {one(_WHAT)}.",
        lambda: f"do you know who {one(_DID)} {one(_WHAT)} {one(_WHEN)}?",
        lambda: f"I saw {one(_WHAT)} {one(_WHERE)}, and {one(_WHO)} {one(_DID)} it.",
        lambda: f"{one(_WHO)} was {one(_WHERE)} {one(_WHEN)}.",
        lambda: f"if {one(_WHO)} {one(_DID)} {one(_WHAT)}, why is it still {one(_WHERE)}?",
        lambda: one(_SHORT),
        lambda: one(_SHORT),
    )
    text = shapes[int(rng.integers(len(shapes)))]()
    return text[0].upper() + text[1:]


# --- sound ---


def _spoken(text: str, voice: str, speed: int) -> NDArray[np.float32]:
    program = shutil.which("espeak-ng")
    if program is None:
        raise BackendError("there is no espeak-ng to draw speech with", hint="install espeak-ng, and run this again")
    try:
        done = subprocess.run(
            [program, "-v", voice, "-s", str(speed), "--stdout", "--stdin"],
            input=text.encode(),
            capture_output=True,
            check=True,
            timeout=60,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise BackendError(f"espeak-ng does not speak: {error}", hint="espeak-ng --voices shows what it has") from error
    pcm = np.frombuffer(done.stdout[44:], "<i2").astype(np.float32) / 32768  # after the header of a wave file
    at = np.arange(0, len(pcm) - 1, 22_050 / RATE)
    sound = np.interp(at, np.arange(len(pcm)), pcm).astype(np.float32)
    loud = np.flatnonzero(np.abs(sound) > 0.01)
    return sound[loud[0] : loud[-1] + 1] if len(loud) else sound


def _music(rng: np.random.Generator, samples: int) -> NDArray[np.float32]:
    """Chords of decaying harmonics, a new one every half second or so."""
    out = np.zeros(samples, np.float32)
    at = 0
    while at < samples:
        hold = int(RATE * rng.uniform(0.3, 0.9))
        t = np.arange(min(int(hold * 1.5), samples - at)) / RATE
        for step in rng.choice([0, 3, 4, 7, 10, 12], 3, replace=False):
            base = 110.0 * 2 ** ((step + 12 * rng.integers(0, 3)) / 12)
            for harmonic in (1, 2, 3):
                out[at : at + len(t)] += (np.sin(2 * np.pi * base * harmonic * t) / harmonic * np.exp(-2.5 * t)).astype(
                    np.float32
                )
        at += hold
    return out / max(1e-6, float(np.sqrt((out**2).mean())))


def _noise(rng: np.random.Generator, samples: int) -> NDArray[np.float32]:
    """Noise that falls with frequency, as rooms and streets have it, swelling slowly."""
    white = rng.standard_normal(samples).astype(np.float32)
    brown = np.convolve(white, np.exp(-np.arange(64) / 12.0).astype(np.float32), "same")
    swell = np.interp(np.arange(samples), np.arange(0, samples + RATE * 8, RATE * 4), _swells(rng, samples))
    return (brown * swell / max(1e-6, float(np.sqrt((brown**2).mean())))).astype(np.float32)


def _swells(rng: np.random.Generator, samples: int) -> NDArray[np.float64]:
    return rng.uniform(0.3, 1.0, len(np.arange(0, samples + RATE * 8, RATE * 4)))


def draw_recording(name: str, seed: int, num_ads: int, folder: Path) -> Recording:
    """A film of `FILM_SECONDS` with so many advertisements in it, as `folder/name.wav`; kept where it is there already.

    Raises BackendError without espeak-ng.
    """
    rng = np.random.default_rng([seed, num_ads])
    speech: list[tuple[float, NDArray[np.float32]]] = []
    spoken: list[tuple[str, float, float]] = []
    beds: list[tuple[float, float, float]] = []  # stretches of music: start, end, loudness
    breaks: list[tuple[float, float]] = []
    cast = rng.choice(len(VOICES), 4, replace=False)
    clock = rng.uniform(8.0, 35.0)  # of music before the first word
    beds.append((0.0, clock, rng.uniform(0.03, 0.1)))
    until_ad = [FILM_SECONDS * (k + 1) / (num_ads + 1) + rng.uniform(-30, 30) for k in range(num_ads)]
    film = clock
    while film < FILM_SECONDS:
        begun = clock
        for _ in range(int(rng.integers(4, 12))):  # a scene
            text = _sentence(rng)
            sound = _spoken(text, VOICES[cast[rng.integers(4)]], int(rng.integers(145, 190)))
            speech.append((clock, sound * np.float32(rng.uniform(0.5, 1.0))))
            spoken.append((text, clock, clock + len(sound) / RATE))
            step = len(sound) / RATE + float(rng.choice([rng.uniform(0.15, 0.6), rng.exponential(2.0) + 0.4]))
            clock, film = clock + step, film + step
        step = rng.uniform(2.0, 11.0)
        if rng.random() < 0.45:
            beds.append((begun if rng.random() < 0.5 else clock, clock + step, rng.uniform(0.01, 0.05)))
        clock, film = clock + step, film + step
        if until_ad and film > until_ad[0]:
            until_ad.pop(0)
            length = rng.uniform(14.0, 32.0)
            goods = _GOODS[rng.integers(len(_GOODS))]
            at, last = clock + rng.uniform(0.3, 1.5), clock + length
            while at < last - 3.0:
                pitch = _spoken(_ADS[rng.integers(len(_ADS))].format(goods), VOICES[rng.integers(len(VOICES))], 185)
                pitch = pitch[: int((last - at) * RATE)]
                speech.append((at, pitch))
                at += len(pitch) / RATE + rng.uniform(0.1, 1.2)
            beds.append((clock, last, rng.uniform(0.04, 0.08)))
            breaks.append((clock, length))
            clock += length
    seconds = clock + 6.0
    path = folder / f"{name}.wav"
    if not path.exists():
        _write(path, _mixed(rng, seconds, speech, beds))
    return Recording(name, path, seconds, _cues(np.random.default_rng([seed, 99]), spoken), tuple(breaks))


def _mixed(
    rng: np.random.Generator,
    seconds: float,
    speech: Sequence[tuple[float, NDArray[np.float32]]],
    beds: Sequence[tuple[float, float, float]],
) -> NDArray[np.float32]:
    samples = int(seconds * RATE)
    sound = _noise(rng, samples) * np.float32(rng.uniform(0.002, 0.02))
    for start, end, level in beds:
        first, last = int(start * RATE), min(samples, int(end * RATE))
        if last - first > RATE:
            sound[first:last] += _music(rng, last - first) * np.float32(level)
    for _ in range(int(seconds / 12)):  # things that fall and slam
        at, length = int(rng.integers(0, samples - RATE)), int(rng.integers(RATE // 20, RATE // 3))
        burst = rng.standard_normal(length) * np.exp(-np.arange(length) / (length / 4)) * rng.uniform(0.03, 0.2)
        sound[at : at + length] += burst.astype(np.float32)
    for at_seconds, words in speech:
        first = int(at_seconds * RATE)
        words = words[: max(0, samples - first)]
        sound[first : first + len(words)] += words * np.float32(0.6)
    return sound.clip(-1.0, 1.0)


def _write(path: Path, sound: NDArray[np.float32]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".writing")
    with wave.open(str(beside), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.rint(sound * 32767).astype("<i2").tobytes())
    beside.replace(path)


def _cues(rng: np.random.Generator, spoken: Sequence[tuple[str, float, float]]) -> tuple[Cue, ...]:
    """What a person would write: a cue comes up with its words, and stays as long as it takes to read."""
    merged: list[tuple[str, float, float]] = []
    for text, start, end in spoken:
        if merged and start - merged[-1][2] < 0.6 and len(merged[-1][0]) + len(text) < 80 and rng.random() < 0.4:
            merged[-1] = (f"{merged[-1][0]}\n{text}", merged[-1][1], end)
        else:
            merged.append((text, start, end))
    cues: list[Cue] = []
    for i, (text, start, end) in enumerate(merged):
        begins = start - rng.uniform(0.0, LEAD_SECONDS)
        if cues and begins < cues[-1].end_seconds + 0.01:
            begins = cues[-1].end_seconds + 0.01
        stays = max(end + rng.uniform(0.1, 0.5), begins + max(1.0, len(text) / READING_RATE))
        if i + 1 < len(merged):
            stays = min(stays, merged[i + 1][1] - LEAD_SECONDS - GAP_SECONDS)
        cues.append(Cue(text, begins, max(stays, begins + 0.3)))
    return tuple(cues)


# --- out of step ---


@dataclass(frozen=True)
class _Placed:
    """A cue on the clock of the subtitles, and when it should come up in the video."""

    text: str
    start: float
    end: float
    truth: float | None


def _source(recording: Recording) -> list[_Placed]:
    """The cues on the clock of the film, which knows nothing of advertisements."""
    placed = []
    for cue in recording.cues:
        shift = sum(length for at, length in recording.breaks if at <= cue.start_seconds)
        placed.append(_Placed(cue.text, cue.start_seconds - shift, cue.end_seconds - shift, cue.start_seconds))
    return placed


def _with_cuts(rng: np.random.Generator, cues: list[_Placed], num_cuts: int) -> list[_Placed]:
    """The film had so many more scenes, with their own lines, which were cut from the video."""
    for k in range(num_cuts):
        middle = len(cues) * (2 * k + 1) // (2 * num_cuts) + int(rng.integers(-4, 5))
        gaps = [(cues[i].start - cues[i - 1].end, i) for i in range(max(1, middle - 6), min(len(cues), middle + 6))]
        at = max(gaps)[1]  # between scenes
        begin = cues[at].start - min(1.0, max(0.2, cues[at].start - cues[at - 1].end) / 2)
        clock, scene = begin + rng.uniform(0.5, 2.0), []
        for _ in range(int(rng.integers(3, 9))):
            text = _sentence(rng)
            lasts = max(1.0, len(text) / READING_RATE)
            scene.append(_Placed(text, clock, clock + lasts, None))
            clock += lasts + rng.uniform(0.1, 2.5)
        length = clock + rng.uniform(0.5, 2.0) - begin
        cues = [
            *cues[:at],
            *scene,
            *(replace(c, start=c.start + length, end=c.end + length) for c in cues[at:]),
        ]
    return cues


def _case(kind: str, recording: Recording, cues: Sequence[_Placed], offset: float = 0.0, rate: float = 1.0) -> Case:
    """video = rate * subtitles + offset, for the first stretch. Times are rounded as files hold them."""
    offset = min(offset, cues[0].start - 0.2)  # no time before 0 in a file of subtitles
    lines = tuple(Line(c.text, round((c.start - offset) / rate, 3), round((c.end - offset) / rate, 3)) for c in cues)
    return Case(kind, recording, Script(lines, "srt"), tuple(c.truth for c in cues))


PAL = 25.0 / 23.976
KINDS = (
    "identity", "offset", "rate", "rate and offset", "free rate", "cut scene", "advertisement", "2 breaks",
    "2 breaks and rate", "3 breaks", "jittered", "missing cues", "hearing-impaired",
)  # fmt: skip
WRONG_FILM = "wrong film"


def draw_cases(half: Half, folder: Path, num_recordings: int = 8) -> list[Case]:
    """The cases of one half; `num_recordings` in multiples of 4: half of them with advertisements, one or two."""
    base = 1000 if half == "development" else 2000
    recordings = [
        draw_recording(f"{half}-{k}", base + k, num_ads=(0, 1, 0, 2)[k % 4], folder=folder)
        for k in range(num_recordings)
    ]
    cases: list[Case] = []
    for k, recording in enumerate(recordings):
        rng = np.random.default_rng([base, k])
        cues = _source(recording)
        some = float(rng.choice([-1, 1]) * rng.uniform(1.5, 45.0))
        film_rate = (PAL, 1 / PAL, 25 / 24, 24 / 23.976)[(k // 2) % 4]
        ads = len(recording.breaks)
        if not ads:
            free = float(rng.choice([-1, 1]) * rng.uniform(0.006, 0.05)) + 1.0
            cases += [
                _case("identity", recording, cues),
                _case("offset", recording, cues, some),
                _case("rate", recording, cues, 0.0, film_rate),
                _case("rate and offset", recording, cues, -some / 2, 1 / film_rate),
                _case("free rate", recording, cues, some / 3, free),
                _case("cut scene", recording, _with_cuts(rng, cues, 1), some / 2),
                _case("2 breaks", recording, _with_cuts(rng, cues, 2), some / 4),
                _case("3 breaks", recording, _with_cuts(rng, cues, 3), -some / 4),
                _case("jittered", recording, _jittered(rng, cues), -some),
                _case("missing cues", recording, [c for c in cues if rng.random() > 0.35], some),
                _case("hearing-impaired", recording, _described(rng, cues), -some),
            ]
            other = recordings[(k + 1) % len(recordings)]
            cases.append(_case(WRONG_FILM, recording, [replace(c, truth=None) for c in _source(other)], some / 2))
            continue
        if ads == 1:
            cases += [
                _case("advertisement", recording, cues, some / 2),
                _case("advertisement", recording, [c for c in cues if rng.random() > 0.15], 0.0),
                _case("2 breaks", recording, _with_cuts(rng, cues, 1), -some / 2),
                _case("2 breaks and rate", recording, _with_cuts(rng, cues, 1), some / 3, film_rate),
                _case("3 breaks", recording, _with_cuts(rng, cues, 2), some / 3),
            ]
        else:
            cases += [
                _case("2 breaks", recording, cues, some / 2),
                _case("2 breaks and rate", recording, cues, -some / 3, 1 / film_rate),
                _case("3 breaks", recording, _with_cuts(rng, cues, 1), some / 3),
                _case("3 breaks", recording, _jittered(rng, _with_cuts(rng, cues, 1)), 0.0),
            ]
    return cases


def _jittered(rng: np.random.Generator, cues: Sequence[_Placed]) -> list[_Placed]:
    """Cues that were typed by hand: each start and end off by 0.15 s or so, in order still."""
    moved: list[_Placed] = []
    for cue in cues:
        start = cue.start + float(np.clip(rng.normal(0.0, 0.15), -0.35, 0.35))
        end = max(start + 0.3, cue.end + float(np.clip(rng.normal(0.0, 0.15), -0.35, 0.35)))
        if moved and start <= moved[-1].start:
            start = moved[-1].start + 0.01
        moved.append(replace(cue, start=start, end=end))
    return moved


def _described(rng: np.random.Generator, cues: Sequence[_Placed]) -> list[_Placed]:
    """Sounds told in brackets where nobody speaks, as for people who cannot hear them."""
    out: list[_Placed] = []
    for i, cue in enumerate(cues):
        before = cues[i - 1].end if i else 0.0
        room = cue.start - before
        if room > 1.5 and rng.random() < 0.6:
            start = before + 0.1 + rng.uniform(0.0, 0.3)
            end = min(cue.start - 0.1, start + rng.uniform(1.0, 4.0))
            shift = 0.0 if cue.truth is None else cue.truth - cue.start
            out.append(_Placed(_SOUNDS[rng.integers(len(_SOUNDS))], start, end, start + shift))
        text = f"MAN: {cue.text}" if rng.random() < 0.3 else cue.text
        out.append(replace(cue, text=text))
    return out
