"""all-MiniLM-L6-v2 in torch: what each word of a sentence means in it, beside the meaning of the whole.

`sentence.py` has the vectors of sentences through ONNX Runtime, which is all that `scout` needs; `lite` reads the words
one by one, and in training thousands of sentences a second on a GPU.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from tvu.weights.load import located

WIDTH, HEADS, LAYERS, INNER = 384, 12, 6, 1536
KNOWN_WORDS, PLACES, EPS = 30522, 512, 1e-12
WORDS = 48  # of a sentence are read, the marks at both ends among them
FILE = "words.safetensors"


@dataclass(frozen=True)
class Sentences:
    """n sentences: ids int64 `[n, W]`, padded on the right, is_word bool `[n, W]`."""

    ids: NDArray[np.int64]
    is_word: NDArray[np.bool_]


class MiniLM(nn.Module):
    """Ids to the last hidden states. BERT (Devlin et al. 2019, arXiv 1810.04805) with norms after each part."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(KNOWN_WORDS, WIDTH), nn.Embedding(PLACES, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, EPS)
        self.layers = nn.ModuleList(_Layer() for _ in range(LAYERS))

    def forward(self, ids: Tensor, is_word: Tensor) -> Tensor:
        """ids int64 `[n, W]`, is_word bool `[n, W]`; float `[n, W, 384]`."""
        x = self.norm(self.words(ids) + self.places.weight[: ids.shape[1]])
        for layer in self.layers:
            x = layer(x, is_word[:, None, None])
        return x

    @classmethod
    def load(cls, folder: Path, device: torch.device | str = "cpu") -> "MiniLM":
        """From the folder of its weights; in half precision on a GPU."""
        from safetensors.torch import load_file

        network = cls()  # on "meta" it would cost nothing, and the first use of that a second
        dtype = torch.float16 if torch.device(device).type == "cuda" else torch.float32
        published = {name: each.to(device, dtype) for name, each in load_file(folder / FILE).items()}
        network.load_state_dict(from_published(published), assign=True)
        return network.eval().requires_grad_(False)


class _Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, INNER), nn.Linear(INNER, WIDTH)
        self.norm_1, self.norm_2 = nn.LayerNorm(WIDTH, EPS), nn.LayerNorm(WIDTH, EPS)

    def forward(self, x: Tensor, is_word: Tensor) -> Tensor:
        q, k, v = (each.unflatten(-1, (HEADS, -1)).transpose(1, 2) for each in self.qkv(x).chunk(3, dim=-1))
        mixed = functional.scaled_dot_product_attention(q, k, v, is_word).transpose(1, 2).flatten(2)
        x = self.norm_1(x + self.out(mixed))
        return self.norm_2(x + self.down(functional.gelu(self.up(x))))


def from_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of `MiniLM` out of those of transformers' `BertModel`. Raises KeyError where one is missing."""
    told = {
        "words.weight": state["embeddings.word_embeddings.weight"],
        # Every token is of the first type here.
        "places.weight": state["embeddings.position_embeddings.weight"]
        + state["embeddings.token_type_embeddings.weight"][0],
        "norm.weight": state["embeddings.LayerNorm.weight"],
        "norm.bias": state["embeddings.LayerNorm.bias"],
    }
    names = {
        "out": "attention.output.dense",
        "norm_1": "attention.output.LayerNorm",
        "up": "intermediate.dense",
        "down": "output.dense",
        "norm_2": "output.LayerNorm",
    }
    for number in range(LAYERS):
        theirs, ours = f"encoder.layer.{number}", f"layers.{number}"
        for kind in ("weight", "bias"):
            qkv = [state[f"{theirs}.attention.self.{name}.{kind}"] for name in ("query", "key", "value")]
            told[f"{ours}.qkv.{kind}"] = torch.cat(qkv)
            told |= {f"{ours}.{our}.{kind}": state[f"{theirs}.{their}.{kind}"] for our, their in names.items()}
    return told


class SentenceReader:
    """Sentences to ids, and ids to vectors. Raises WeightsError where the weights are missing or damaged.

    device: where the network is; None: there is none, sentences are only made ids of.
    """

    name = "minilm-l6"

    def __init__(self, device: torch.device | str | None = "cpu") -> None:
        from tokenizers import Tokenizer

        folder = located(self.name)
        self._tokenizer: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(WORDS)
        self._tokenizer.no_padding()
        self._network = None if device is None else MiniLM.load(folder, device)

    def ids(self, texts: Sequence[str]) -> Sentences:
        """Of at least one sentence, of which the first `WORDS` tokens count."""
        told = [encoded.ids for encoded in self._tokenizer.encode_batch(list(texts))]
        ids = np.zeros((len(told), max(map(len, told))), np.int64)
        is_word = np.zeros(ids.shape, np.bool_)
        for row, some in enumerate(told):
            ids[row, : len(some)] = some
            is_word[row, : len(some)] = True
        return Sentences(ids, is_word)

    @torch.no_grad()
    def read(self, ids: Tensor, is_word: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors float32 `[n, 384]` of length 1, and of the words `[n, W, 384]` in the precision of the network."""
        if self._network is None:
            raise RuntimeError("this reader has no network")
        words = self._network(ids, is_word)
        mean = (words.float() * is_word[..., None]).sum(1) / is_word.sum(1, keepdim=True)
        return functional.normalize(mean, dim=-1), words
