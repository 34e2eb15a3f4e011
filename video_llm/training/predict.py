"""What a model answers on held-out scenes, beside what is true."""

import json
import math
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tvu.temporal.types import VisualTokens
from tvu.video_llm.lite.head import scored_spans
from tvu.video_llm.lite.model import LiteModel, Reading
from tvu.video_llm.lite.options import options_of, words_of
from tvu.video_llm.lite.prior import Evidence
from tvu.video_llm.lite.prompt import LiteTokenizer, sequences
from tvu.video_llm.training.data import Batch, Looker
from tvu.video_llm.training.tasks import Sample


@dataclass(frozen=True)
class Predicted:
    """One question about one video.

    spans: (start, end, score) of the head, best first; present: its probability that the event is there.
    text: what the model wrote; chosen: the likeliest of the answers that the question allows, empty where these cannot
    be listed.
    """

    source: str
    seconds: float
    sample: Sample
    spans: tuple[tuple[float, float, float], ...]
    present: float
    text: str
    chosen: str = ""

    @property
    def answer(self) -> str:
        """What it says: an answer that it judged right before one that it wrote."""
        return self.chosen or self.text

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@torch.inference_mode()
def predict(
    model: LiteModel,
    looker: Looker,
    batch: Batch,
    tokenizer: LiteTokenizer,
    *,
    write: bool = True,
    most_new: int = 24,
    reads: bool = True,
) -> list[Predicted]:
    """The head's moments and, if asked for, greedy text for every question of a batch.

    reads: whether the language model reads anything; else what the head alone sees, and no text.
    """
    model.eval()
    device = looker.device
    on_gpu = device.type == "cuda"
    inputs = looker.inputs(batch).to(device, torch.bfloat16 if on_gpu else torch.float32)
    with torch.autocast("cuda", torch.bfloat16) if on_gpu else nullcontext():
        tokens, rows = model.eyes(inputs)
        counts = tokens.lengths.tolist()
        unanswered = sequences(tokenizer, [(v, sample.question, "") for v, sample in batch.asked], counts)
        asked = looker.reading(replace(batch, sequences=unanswered))  # the same questions: they name the same
        evidence = None if looker.evidence is None else looker.evidence(inputs, tokens)
        if reads:
            output = model.read(tokens, rows, asked, evidence)
            moments, judged = output.moments(), output.judged()
        else:
            look = model.look(tokens, asked, evidence)
            moments, judged = look.moments, look.judged
        texts = [""] * len(batch.asked)
        if write and reads:
            texts = written(model, tokens, rows, asked, evidence, tokenizer, most_new)
    moments = moments.on_cpu()
    present = moments.present.sigmoid().tolist()
    chosen = [""] * len(batch.asked) if judged is None else _chosen(judged, batch)
    return [
        Predicted(
            batch.videos[video].source,
            batch.videos[video].scene.seconds,
            sample,
            tuple(scored_spans(moments, row, most=8)),
            present[row],
            texts[row],
            chosen[row],
        )
        for row, (video, sample) in enumerate(batch.asked)
    ]


def _chosen(judged: Tensor, batch: Batch) -> list[str]:
    """The likeliest option of each question, in words."""
    best: list[tuple[float, str]] = [(-math.inf, "")] * len(batch.asked)
    options = [options_of(sample.question) for _, sample in batch.asked]
    offered = batch.offered
    for row, number, logit in zip(offered.question.tolist(), offered.number.tolist(), judged.tolist(), strict=True):
        of = options[row]
        if of is not None and logit > best[row][0]:
            best[row] = logit, words_of(of, number)
    return [text for _, text in best]


def written(
    model: LiteModel,
    tokens: VisualTokens,
    rows: Tensor,
    asked: Reading,
    evidence: Evidence | None,
    tokenizer: LiteTokenizer,
    most_new: int,
) -> list[str]:
    """Greedy answers to prompts of different lengths, side by side, each read anew for every token.

    Slower than with a cache and simple: answers that are checked are a few tokens long.
    """
    size, longest = asked.ids.shape
    grow = torch.full((size, most_new), tokenizer.end, dtype=asked.ids.dtype, device=asked.ids.device)
    ids, none = torch.cat([asked.ids, grow], 1), torch.zeros_like(grow, dtype=torch.bool)
    is_visual = torch.cat([asked.is_visual, none], 1)
    every = torch.arange(size, device=ids.device)
    last, is_done = asked.last_asked.clone(), torch.zeros(size, dtype=torch.bool, device=ids.device)
    for step in range(most_new):
        width = longest + step
        reading = replace(asked, ids=ids[:, :width], is_visual=is_visual[:, :width], answers=none[:, :0])
        hidden = model.read(tokens, rows, reading, evidence).hidden[every, last]
        following = torch.nn.functional.linear(hidden, model.table).argmax(-1)
        following = torch.where(is_done, tokenizer.end, following)
        is_done = is_done | (following == tokenizer.end)
        last = last + 1
        ids[every, last] = following
        if bool(is_done.all()):
            break
    starts = asked.last_asked.tolist()
    texts = []
    for row, start in enumerate(starts):
        new = ids[row, start + 1 : start + 1 + most_new].tolist()
        end = new.index(tokenizer.end) if tokenizer.end in new else len(new)
        texts.append(tokenizer.decode(new[:end]).strip())
    return texts


def keep(predicted: Iterator[Predicted], path: Path) -> None:
    """One JSON line a question."""
    with path.open("w", encoding="utf-8") as file:
        for each in predicted:
            file.write(json.dumps(each.to_json()) + "\n")
