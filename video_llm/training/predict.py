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
    most_new: int | None = None,
    reads: bool = True,
) -> list[Predicted]:
    """The head's moments and, if asked for, greedy text for every question of a batch.

    most_new: tokens of a text; None: twice those of the longest answer that is true.
    reads: whether the language model reads anything; else what the head alone sees, and no text.
    """
    model.eval()
    device = looker.device
    on_gpu = device.type == "cuda"
    inputs = looker.inputs(batch).to(device, torch.bfloat16 if on_gpu else torch.float32)
    with torch.autocast("cuda", torch.bfloat16) if on_gpu else nullcontext():
        tokens = model.eyes.tokens(inputs)
        counts = tokens.lengths.tolist()
        unanswered = sequences(tokenizer, [(v, sample.question, "") for v, sample in batch.asked], counts)
        asked = looker.reading(replace(batch, sequences=unanswered))  # the same questions: they name the same
        evidence = None if looker.evidence is None else looker.evidence(inputs, tokens)
        if reads and model.config.hears:
            output = model.read(tokens, model.eyes.rows(tokens), asked, evidence)
            moments, judged = output.moments(), output.judged()
        else:
            look = model.look(tokens, asked, evidence)
            moments, judged = look.moments, look.judged
        texts = [""] * len(batch.asked)
        if write and reads:
            longest = max(map(len, tokenizer.encode_all([sample.answer for _, sample in batch.asked])))
            most = 2 * longest if most_new is None else most_new
            texts = written(model, tokens, model.eyes.rows(tokens), asked, evidence, tokenizer, most)
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
    """Greedy answers to prompts of different lengths, side by side; all that is not done is read anew for every token,
    slower than with a cache and simple."""
    known = model.known(tokens, asked, evidence)
    prompt = model.embed(model.rows_for(tokens, rows, asked, known, evidence), tokens, asked)
    size, longest = asked.ids.shape
    read = torch.nn.functional.pad(prompt, (0, 0, 0, most_new))
    ids = torch.full((size, most_new), tokenizer.end, dtype=asked.ids.dtype, device=asked.ids.device)
    going, table = torch.arange(size, device=ids.device), model.table
    for step in range(most_new):
        last = asked.last_asked[going] + step
        hidden = model.language(inputs_embeds=read[going, : longest + step], use_cache=False).last_hidden_state
        following = torch.nn.functional.linear(hidden[torch.arange(len(going)), last], table).argmax(-1)
        ids[going, step] = following
        read[going, last + 1] = table[following].to(read.dtype)
        going = going[following != tokenizer.end]
        if not len(going):
            break
    texts = []
    for row in ids.tolist():
        end = row.index(tokenizer.end) if tokenizer.end in row else len(row)
        texts.append(tokenizer.decode(row[:end]).strip())
    return texts


def keep(predicted: Iterator[Predicted], path: Path) -> None:
    """One JSON line a question."""
    with path.open("w", encoding="utf-8") as file:
        for each in predicted:
            file.write(json.dumps(each.to_json()) + "\n")
