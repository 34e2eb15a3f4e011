"""What is known without training: how much the classes that a picture looks like speak for a question.

The numbers are those of `scout`'s pictures (`scout/visual.py`): the meaning of the question weighs the 1000 classes of
EfficientNet-Lite0, every half second has standardised logits, and their product says how many standard deviations it
is above an unrelated question. The head is told these numbers, and the meaning of the question as MiniLM has it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tvu.temporal.types import VisualTokens
from tvu.video_llm.cache import FeatureCache
from tvu.video_llm.lite.content import content_of
from tvu.video_llm.lite.found import NAMES, TOLD_SHOTS
from tvu.video_llm.lite.inputs import STEPS_PER_SECOND, LiteInputs
from tvu.video_llm.lite.options import Offered
from tvu.video_llm.lite.shots import Shots, find_shots
from tvu.video_llm.minilm import SentenceReader
from tvu.video_llm.scout.visual import CLOSE, ClassLogitScorer, class_vectors, usual_features
from tvu.video_llm.sentence import SentenceEncoder
from tvu.weights.store import cache_root

SHOT_SECONDS = 4.0  # of a video count as one of scout's shots when its usual look is told from that of all pictures


@dataclass(frozen=True)
class Meaning:
    """Of S texts: vectors float32 `[S, 384]` of unit length; classes float32 `[S, K]`, how much each class speaks for
    them; words floating `[S, W, 384]`, what each word means in them, is_word bool `[S, W]`."""

    vectors: Tensor
    classes: Tensor
    words: Tensor
    is_word: Tensor

    def first(self, count: int) -> "Meaning":
        """Of the first texts alone."""
        return Meaning(*(each[:count] for each in vars(self).values()))


class Meanings:
    """From texts to their meaning.

    class_texts: float32 `[K, 384]` each, sentence vectors of the texts of every class, which count equally.
    """

    def __init__(self, reader: SentenceReader, class_texts: Sequence[NDArray[np.float32]], device: Any = "cpu") -> None:
        self._reader = reader
        self._classes = [torch.from_numpy(np.array(texts)).to(device) for texts in class_texts]
        self._device = device

    def __call__(self, texts: Sequence[str]) -> Meaning:
        """Of texts that hold nothing but what they mean: see `content_of`."""
        told = self._reader.ids(texts)
        return self.of(torch.from_numpy(told.ids).to(self._device), torch.from_numpy(told.is_word).to(self._device))

    def of(self, ids: Tensor, is_word: Tensor) -> Meaning:
        """Of texts as the reader's ids int64 `[S, W]`."""
        with torch.autocast(ids.device.type, enabled=False):
            vectors, words = self._reader.read(ids, is_word)
            return Meaning(vectors, class_weights(self._classes, vectors), words, is_word)


def class_weights(class_texts: Sequence[Tensor], vectors: Tensor) -> Tensor:
    """float32 `[S, K]`: `scout.visual.class_weights` of many sentence vectors `[S, 384]` at once."""
    close = torch.stack([_standard(vectors @ texts.T) for texts in class_texts]).sum(0)
    return torch.nn.functional.normalize((_standard(close) - CLOSE).clamp(min=0.0), dim=-1)


def _standard(values: Tensor) -> Tensor:
    deviation = values.std(-1, keepdim=True, unbiased=False).clamp(min=1e-9)
    return (values - values.mean(-1, keepdim=True)) / deviation


def texts_of(questions: Sequence[str], clauses: Sequence[str], offered: Offered | None = None) -> list[str]:
    """What is to be understood for a reading, in its order: what each question is about, what questions name, and the
    options, alone and after their questions, and what they name in an order."""
    told = [*map(content_of, questions), *map(content_of, clauses)]
    return told if offered is None else [*told, *offered.alone, *offered.joined, *offered.named]


def texts_of_classes(lite0: Path) -> Sequence[NDArray[np.float32]]:
    """Sentence vectors of the texts of the classes of EfficientNet-Lite0, kept in the cache. Raises WeightsError where
    MiniLM is missing."""
    names = json.loads((lite0 / "classes.json").read_text("utf-8"))
    return class_vectors(names, _Lazily(), FeatureCache(cache_root() / "texts"))


class _Lazily:
    """What the cache has needs no encoder."""

    name = SentenceEncoder.name

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return SentenceEncoder().embed(texts)


@dataclass(frozen=True)
class Evidence:
    """What B videos show, without training: classes float32 `[B, V, K]`, standardised over the K classes, zeros where a
    token has no picture; their shots; and of those what is told in words."""

    classes: Tensor
    shots: Shots
    told: "ToldShots"


@dataclass(frozen=True)
class ToldShots:
    """Of B videos the longest shots, in order of time: spans float32 `[B, TOLD_SHOTS, 2]` seconds, classes int64
    `[B, TOLD_SHOTS, NAMES]` that each looks like, the likest first, -1 where there is no picture, is_shot bool
    `[B, TOLD_SHOTS]`."""

    spans: Tensor
    classes: Tensor
    is_shot: Tensor

    @classmethod
    def of(cls, classes: Tensor, shots: Shots, is_real: Tensor) -> "ToldShots":
        """classes `[B, V, K]`, is_real bool `[B, V]` of the tokens."""
        count = shots.alike.shape[1]
        lengths = (shots.edges[:, 1:] - shots.edges[:, :-1]).masked_fill(~shots.is_shot, -1.0)
        most = min(TOLD_SHOTS, count)
        chosen = lengths.topk(most, dim=1).indices.sort(dim=1).values
        member = (shots.of_token[:, None] == chosen[..., None]) & is_real[:, None]  # `[B, M, V]`
        looks = torch.einsum("bmv,bvk->bmk", member.float(), classes)
        is_seen = (looks != 0).any(-1, keepdim=True)
        best = torch.where(is_seen, looks.topk(NAMES, dim=-1).indices, -1)
        spans = torch.stack([shots.edges.gather(1, chosen), shots.edges.gather(1, chosen + 1)], dim=-1)
        there = shots.is_shot.gather(1, chosen) & member.any(-1)
        lacking = TOLD_SHOTS - most
        pad = torch.nn.functional.pad
        return cls(pad(spans, (0, 0, 0, lacking)), pad(best, (0, 0, 0, lacking), value=-1), pad(there, (0, lacking)))


class ClassEvidence(nn.Module):
    """What the pictures of each visual token say for each class; nothing of it is trained, or saved with a model."""

    weight: Tensor
    bias: Tensor
    usual: Tensor
    usual_look: Tensor

    def __init__(self, weight: Tensor, bias: Tensor, usual_features: Tensor) -> None:
        """weight `[K, 1280]` and bias `[K]` of the classifier; usual_features `[1280]`: those of pictures at large."""
        super().__init__()
        self.register_buffer("weight", weight.float(), persistent=False)
        self.register_buffer("bias", bias.float(), persistent=False)
        self.register_buffer("usual", weight.float() @ usual_features.float() + bias.float(), persistent=False)
        self.register_buffer("usual_look", usual_features.float(), persistent=False)

    @classmethod
    def load(cls, lite0: Path) -> "ClassEvidence":
        """From the folder of EfficientNet-Lite0."""
        weight, bias, usual = _classifier(lite0)
        return cls(weight, bias, usual)

    @torch.no_grad()
    def forward(self, inputs: LiteInputs, tokens: VisualTokens) -> "Evidence":
        """Of videos, and of their tokens, whose spans count from the first step."""
        with torch.autocast(inputs.slow.device.type, enabled=False):  # half precision would cost two decimals of three
            there = inputs.has_slow & inputs.is_real
            looks = inputs.slow.float().mean(2) - self.usual_look
            classes, shots = self._standardised(inputs, tokens), find_shots(looks, there, inputs.lengths, tokens)
            return Evidence(classes, shots, ToldShots.of(classes, shots, tokens.mask))

    @torch.no_grad()
    def chances(self, inputs: LiteInputs, edges: Sequence[int]) -> NDArray[np.float32]:
        """float32 `[N, K]`: how likely the classifier holds each class to be in the mean of the steps between each of
        N + 1 edges and the next, of the first video; zeros where none of them has a picture."""
        with torch.autocast(inputs.slow.device.type, enabled=False):
            likely = (inputs.slow[0].float().mean(1) @ self.weight.T + self.bias).softmax(-1)
            there = inputs.has_slow[0] & inputs.is_real[0]
            parts = [likely[a : max(b, a + 1)][there[a : max(b, a + 1)]] for a, b in pairwise(edges)]
            means = [part.mean(0) if len(part) else likely.new_zeros(likely.shape[-1]) for part in parts]
            return torch.stack(means).cpu().numpy()

    def _standardised(self, inputs: LiteInputs, tokens: VisualTokens) -> Tensor:
        there = inputs.has_slow & inputs.is_real
        logits = inputs.slow.float().mean(2) @ self.weight.T + self.bias
        count = there.sum(1).clamp(min=1)[:, None, None]
        mean = (logits * there[..., None]).sum(1, keepdim=True) / count
        shots = count / (STEPS_PER_SECOND * SHOT_SECONDS)
        prior = ClassLogitScorer.PRIOR_SHOTS
        unusual = (logits - (shots * mean + prior * self.usual) / (shots + prior)) * there[..., None]

        edges = (tokens.spans * STEPS_PER_SECOND).round().long().clamp(0, logits.shape[1])  # `[B, V, 2]`
        total = torch.nn.functional.pad(unusual.cumsum(1), (0, 0, 1, 0))
        pictures = torch.nn.functional.pad(there.float().cumsum(1), (1, 0))
        rows = torch.arange(len(logits), device=logits.device)[:, None]
        held = pictures[rows, edges[..., 1]] - pictures[rows, edges[..., 0]]
        of_tokens = (total[rows, edges[..., 1]] - total[rows, edges[..., 0]]) / held.clamp(min=1)[..., None]
        deviation = of_tokens.std(-1, keepdim=True, unbiased=False).clamp(min=1e-6)
        return (of_tokens - of_tokens.mean(-1, keepdim=True)) / deviation * (held > 0)[..., None]


def prior_of(evidence: Tensor, classes: Tensor, video: Tensor) -> Tensor:
    """float32 `[S, V]`, standard deviations above an unrelated question: evidence `[B, V, K]`, classes `[S, K]`, and
    which of the videos each question is about, `[S]`."""
    with torch.autocast(evidence.device.type, enabled=False):
        return torch.einsum("svk,sk->sv", evidence[video].float(), classes.float())


@lru_cache(maxsize=1)
def _classifier(lite0: Path) -> tuple[Tensor, Tensor, Tensor]:
    from safetensors import safe_open

    with safe_open(lite0 / "model.safetensors", framework="pt") as tensors:
        weight, bias = (tensors.get_tensor(f"classifier.{name}") for name in ("weight", "bias"))
    return weight, bias, torch.from_numpy(usual_features(lite0))
