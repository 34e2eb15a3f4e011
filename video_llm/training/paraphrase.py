"""More ways to put a question, written by SmolLM2 and checked: `python -P -m tvu.video_llm.training.paraphrase`.

A list of phrasings about one event is given to the language model to go on with. A line of what it writes is kept only
if it has the words of the event once, to the letter, if nothing but words of questions is left around them, and if it
means what the phrasings mean. It takes SmolLM2 and MiniLM (`tvu models pull smollm2-135m minilm-l6`), minutes on a CPU,
and writes `paraphrased.json` beside this file. Held-out phrasings are never shown to the model.
"""

import argparse
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator

from tvu.video_llm.training.phrasings import expanded, filled, one_of, patterns, shuffled
from tvu.video_llm.training.scenes import Wording

SECTIONS: Mapping[str, str] = {
    "moment": "Different ways to ask at what time something happens in a video",
    "moments": "Different ways to ask for all times at which something happens in a video",
    "presence": "Different ways to ask whether something happens in a video",
    "captions": "Different ways to ask for a list of all events of a video with their times",
    "highlights": "Different ways to ask for the best moments of a video about something",
    "counting": "Different ways to ask how often something happens in a video",
    "after": "Different ways to ask what happens next in a video, after something else",
    "before": "Different ways to ask what happened before something else in a video",
    "which_true": "Different ways to ask what happens in a video",
    "doing": "Different ways to ask what somebody or something does in a video",
    "direction": "Different ways to ask in which direction something moves in a video",
    "localise": "Different ways to ask in which part of a video something happens",
}
"""What is paraphrased, and how it is told to the model."""

EVENTS = (
    Wording("a woman", "open", "opens", "opening", "the wooden box"),
    Wording("a red kite", "drop", "drops", "dropping", "into the lake"),
    Wording("the old tram", "turn", "turns", "turning", "around"),
    Wording("a brown horse", "jump", "jumps", "jumping", "over a fence"),
)
EXTRA_WORDS = """
a an the is are was were be been do does did can could would will should may might it its this that these
those there here i we you me us my our your and or of in on at to for from with by as into about if whether
when where what which who how why whenever while during through please kindly just only any some all every
each first last next video clip film footage recording scene scenes part parts moment moments time times point
exactly precisely show shows shown see sees seen find locate identify tell give happen happens happening occur
occurs occurring take takes place appear appears appearing start starts end ends begin begins watch look know
want like need
"""
"""Words of questions that may be missing among the phrasings."""

_NUMBERED = re.compile(r"^\s*\d+[.)]\s*(.+?)\s*$")
_TOKEN = re.compile(r"[a-z']+")
_SLOT = re.compile(r"\{(\w+)\}")
_DOUBTFUL = re.compile(r"\b(not|never|no|without|except|unless|don't|doesn't|isn't|didn't|can't|won't|\w+n't)\b|\d")


@dataclass(frozen=True)
class ParaphraseConfig:
    """How much is written, and what is kept.

    lists: written for each section; shown: phrasings at the start of a list; least_cosine: of a line with the shown
    phrasing that it is nearest to, about the same event; most: kept of a section; longest: words.
    """

    lists: int = 32
    shown: int = 4
    least_cosine: float = 0.8
    most: int = 60
    longest: int = 22
    temperature: float = 0.8
    seed: int = 0


def vocabulary(text: str) -> frozenset[str]:
    """Every word that phrasings are made of, the held-out ones left out."""
    told = (each for lines in patterns(text).values() for mark, line in lines if mark != "~" for each in expanded(line))
    return frozenset(EXTRA_WORDS.split()).union(*(_TOKEN.findall(_SLOT.sub(" ", each.lower())) for each in told))


def as_pattern(line: str, event: Wording, shown: Sequence[str], words: frozenset[str], longest: int = 22) -> str | None:
    """A line about an event as a pattern with a slot; None unless it is a question about that event and nothing else.

    shown: the patterns that the line goes on from; it needs one of their slots, once, or none if they have none, and it
    must not be one of them. Negations, numbers, braces and words outside `words` are no paraphrase.
    """
    slots = {slot for each in shown for slot in _SLOT.findall(each)}
    line = line.strip().strip('"').strip()
    if "{" in line or "}" in line or not 2 <= len(line.split()) <= longest:
        return None
    pattern = line
    if slots:
        for slot in sorted(slots, key=lambda name: -len(filled(f"{{{name}}}", event))):
            told = re.compile(re.escape(filled(f"{{{slot}}}", event)), re.IGNORECASE)
            if len(told.findall(line)) == 1:
                pattern = told.sub(f"{{{slot}}}", line)
                break
        else:
            return None
    rest = _SLOT.sub(" ", pattern).lower()
    if _DOUBTFUL.search(rest) or not words.issuperset(_TOKEN.findall(rest)) or not rest.strip(" ?.,!\"'"):
        return None
    if re.search(r"[^\w\s?.,'\":;-]", rest) or pattern.count('"') % 2:
        return None
    is_known = _bare(pattern) in {_bare(each) for each in shown}
    return None if is_known or not pattern[-1:].isascii() else pattern


def paraphrases(
    section: str,
    lines: Sequence[tuple[str, str]],
    words: frozenset[str],
    model: Any,
    tokenizer: Any,
    encoder: Any,
    config: ParaphraseConfig,
) -> tuple[list[str], int]:
    """(Kept patterns of a section, best first; how many lines were written.)

    model, tokenizer: SmolLM2 as transformers loads them; encoder: a `SentenceEncoder`.
    """
    rng = np.random.default_rng((config.seed, sum(map(ord, section))))
    known = {_bare(each) for _, line in lines for each in expanded(line)}
    told = [line for mark, line in lines if mark != "~" and line]
    kept: dict[str, float] = {}
    seen: set[str] = set()
    written = 0
    for shown, event, text in _lists(section, told, model, tokenizer, config, rng):
        for line in text.splitlines()[:-1] or [text]:
            number = _NUMBERED.match(line)
            if not number:
                break
            written += 1
            pattern = as_pattern(number[1], event, shown, words, config.longest)
            if pattern is None or _bare(pattern) in known or _bare(pattern) in seen:
                continue
            seen.add(_bare(pattern))
            vectors = encoder.embed([filled(each, event) for each in (pattern, *shown)])
            cosine = float((vectors[1:] @ vectors[0]).max())
            if cosine >= config.least_cosine:
                kept[pattern] = round(cosine, 3)
    best = sorted(kept, key=lambda pattern: -kept[pattern])
    return best[: config.most], written


def _lists(
    section: str,
    told: Sequence[str],
    model: Any,
    tokenizer: Any,
    config: ParaphraseConfig,
    rng: Generator,
    batch: int = 32,
) -> Iterator[tuple[list[str], Wording, str]]:
    """What the model goes on with, and from which patterns about which event."""
    import torch

    tokenizer.padding_side = "left"
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    torch.manual_seed(int(rng.integers(2**31)))
    for _ in range(0, config.lists, batch):
        asked = []
        for _ in range(batch):
            lines = shuffled(rng, told)[: config.shown]
            shown, event = [one_of(rng, list(expanded(line))) for line in lines], one_of(rng, EVENTS)
            listed = "".join(f"{i}. {filled(each, event)}\n" for i, each in enumerate(shown, start=1))
            asked.append((shown, event, f"{SECTIONS[section]}:\n{listed}{len(shown) + 1}."))
        inputs = tokenizer([prompt for _, _, prompt in asked], return_tensors="pt", padding=True)
        with torch.inference_mode():
            ids = model.generate(
                **inputs,
                max_new_tokens=64,
                do_sample=True,
                temperature=config.temperature,
                top_p=0.95,
                pad_token_id=tokenizer.pad_token_id,
            )
        for (shown, event, _), row in zip(asked, ids[:, inputs["input_ids"].shape[1] :], strict=True):
            yield shown, event, f"{len(shown) + 1}.{tokenizer.decode(row, skip_special_tokens=True)}"


def _bare(text: str) -> str:
    """What makes two phrasings the same: letters and slots."""
    return " ".join(re.findall(r"[a-z{}_]+", text.lower()))


def main() -> None:
    """Write `paraphrased.json`."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from tvu.video_llm.sentence import SentenceEncoder
    from tvu.weights.load import located

    parser = argparse.ArgumentParser(description="Paraphrase the phrasings of training questions by SmolLM2.")
    parser.add_argument("--lists", type=int, default=ParaphraseConfig.lists, help="written for each sort of question")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("paraphrased.json"))
    told = parser.parse_args()
    config = ParaphraseConfig(lists=told.lists, seed=told.seed)
    text = Path(__file__).with_name("phrasings.txt").read_text("utf-8")
    folder = located("smollm2-135m")
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    encoder, words, sections = SentenceEncoder(), vocabulary(text), patterns(text)
    made: dict[str, list[str]] = {}
    total = 0
    for section in SECTIONS:
        made[section], written = paraphrases(section, sections[section], words, model, tokenizer, encoder, config)
        total += written
        print(f"{section}: {len(made[section])} of {written} lines kept", flush=True)
        about = {
            "made_by": "python -P -m tvu.video_llm.training.paraphrase",
            "model": "SmolLM2-135M-Instruct, Apache-2.0",
            "config": asdict(config),
            "written": total,
            "kept": sum(map(len, made.values())),
        }
        told.out.write_text(json.dumps({"about": about, "phrasings": made}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
