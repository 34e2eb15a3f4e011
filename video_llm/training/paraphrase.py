"""More ways to put a question, written by SmolLM2 and checked: `python -P -m tvu.video_llm.training.paraphrase`.

The language model sees pairs of phrasings, each about an event of its own, and completes the last pair. What it writes
is kept only if it has the words of the event once, to the letter, if nothing but words of questions is left around
them, if it begins as a question or a request does, and if it means what the phrasing means. It takes SmolLM2 and MiniLM
(`tvu models pull smollm2-135m minilm-l6`), minutes on a CPU, and writes `paraphrased.json` beside this file. Held-out
phrasings are never shown to the model.
"""

import argparse
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator

from tvu.video_llm.training.phrasings import expanded, filled, one_of, patterns, shuffled
from tvu.video_llm.training.scenes import Wording

SECTIONS = ("moment", "presence", "counting", "moments", "after", "doing", "highlights", "before")
"""What is paraphrased: the questions that are asked most."""

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

REFUSED = frozenset(("What's {noun}?", "Does someone say whether {statement}?", "Does someone say that {statement}?"))
"""What passes every check and asks something else: all that is kept was read by a person."""
_TWICE = re.compile(r"\b(\w+)\s+\1\b")
_TOKEN = re.compile(r"[a-z']+")
_SLOT = re.compile(r"\{(\w+)\}")
_DOUBTFUL = re.compile(r"\b(not|never|no|without|except|unless|don't|doesn't|isn't|didn't|can't|won't|\w+n't)\b|\d")


@dataclass(frozen=True)
class ParaphraseConfig:
    """How much is written, and what is kept.

    prompts: for each section; lines: written after each of them; pairs: shown before the one to complete;
    least_cosine: of a line with the phrasing that it is to say in other words; most: kept of a section; longest: words.
    """

    prompts: int = 3
    lines: int = 48
    pairs: int = 5
    least_cosine: float = 0.8
    most: int = 60
    longest: int = 18
    temperature: float = 0.9
    seed: int = 0


def vocabulary(lines: Sequence[tuple[str, str]]) -> frozenset[str]:
    """Every word that phrasings of a section are made of, the held-out ones left out, and `EXTRA_WORDS`."""
    told = (each for mark, line in lines if mark != "~" for each in expanded(line))
    return frozenset(EXTRA_WORDS.split()).union(*(_TOKEN.findall(_SLOT.sub(" ", each.lower())) for each in told))


def as_pattern(line: str, event: Wording, shown: Sequence[str], words: frozenset[str], longest: int = 22) -> str | None:
    """A line about an event as a pattern with a slot; None unless it is a question about that event and nothing else.

    shown: the patterns that the line goes on from; it needs one of their slots, once, or none if they have none, and it
    must not be one of them. Negations, numbers, braces, a word twice in a row, a single word beside the slot, and words
    outside `words` are no paraphrase.
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
    if _TWICE.search(rest) or len(_TOKEN.findall(rest)) < 2 or pattern in REFUSED:
        return None
    if re.search(r"[^\w\s?.,'\":;-]", rest) or pattern.count('"') % 2:
        return None
    is_known = _bare(pattern) in {_bare(each) for each in shown}
    return None if is_known or not pattern[-1:].isascii() else pattern


def paraphrases(
    section: str,
    lines: Sequence[tuple[str, str]],
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
    words = vocabulary(lines)
    openings = {_bare(each).split()[0] for line in told for each in expanded(line)}
    kept: dict[str, float] = {}
    written = 0
    for _ in range(config.prompts):
        shown = [one_of(rng, list(expanded(line))) for line in shuffled(rng, told)[: 2 * config.pairs + 1]]
        event = one_of(rng, EVENTS)
        for line in _completed(_prompt(rng, shown, event), model, tokenizer, config, rng):
            written += 1
            pattern = as_pattern(line, event, shown, words, config.longest)
            if pattern is None or _bare(pattern) in known or _bare(pattern).split()[0] not in openings:
                continue
            known.add(_bare(pattern))
            vectors = encoder.embed([filled(each, event) for each in (pattern, shown[-1])])
            cosine = float(vectors[1] @ vectors[0])
            if cosine >= config.least_cosine:
                kept[pattern] = cosine
    return sorted(kept, key=lambda pattern: -kept[pattern])[: config.most], written


def _prompt(rng: Generator, shown: Sequence[str], event: Wording) -> str:
    """Pairs of phrasings about one event each, and the last phrasing, about `event`, whose pair is to come."""
    others = [each for each in EVENTS if each is not event]
    text = "The same question in other words:\n"
    for first, second in zip(shown[:-1:2], shown[1:-1:2], strict=True):
        other = one_of(rng, others)
        text += f"{filled(first, other)} => {filled(second, other)}\n"
    return f"{text}{filled(shown[-1], event)} =>"


def _completed(prompt: str, model: Any, tokenizer: Any, config: ParaphraseConfig, rng: Generator) -> list[str]:
    """`config.lines` ways to go on to the end of the line; the prompt is read once for all of them."""
    import torch

    chance = torch.Generator().manual_seed(int(rng.integers(2**31)))
    rows: list[list[int]] = [[] for _ in range(config.lines)]
    with torch.inference_mode():
        output = model(**tokenizer(prompt, return_tensors="pt"), use_cache=True)
        cache = output.past_key_values
        cache.batch_repeat_interleave(config.lines)
        logits = output.logits[:, -1].repeat(config.lines, 1)
        for _ in range(2 * config.longest):
            best, ids = (logits.float() / config.temperature).topk(40, dim=-1)
            chosen = ids.gather(1, torch.multinomial(best.softmax(-1), 1, generator=chance))
            for row, token in zip(rows, chosen.flatten().tolist(), strict=True):
                row.append(token)
            if all("\n" in tokenizer.decode(row) for row in rows):
                break
            logits = model(input_ids=chosen, past_key_values=cache, use_cache=True).logits[:, -1]
    return [tokenizer.decode(row).split("\n")[0].strip() for row in rows]


def _bare(text: str) -> str:
    """What makes two phrasings the same: letters and slots."""
    return " ".join(re.findall(r"[a-z{}_]+", text.lower()))


def main() -> None:
    """Write `paraphrased.json`."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from tvu.video_llm.sentence import SentenceEncoder
    from tvu.weights.load import located

    parser = argparse.ArgumentParser(description="Paraphrase the phrasings of training questions by SmolLM2.")
    parser.add_argument("--prompts", type=int, default=ParaphraseConfig.prompts, help="for each sort of question")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("paraphrased.json"))
    told = parser.parse_args()
    config = ParaphraseConfig(prompts=told.prompts, seed=told.seed)
    text = Path(__file__).with_name("phrasings.txt").read_text("utf-8")
    folder = located("smollm2-135m")
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    encoder, sections = SentenceEncoder(), patterns(text)
    made: dict[str, list[str]] = {}
    total = 0
    for section in SECTIONS:
        made[section], written = paraphrases(section, sections[section], model, tokenizer, encoder, config)
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
