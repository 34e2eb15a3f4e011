"""Language models for tests: real SmolLM2, tiny random ones, and one that says what a table says."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from tvu.video_llm.generation.language import Prefix
from tvu.video_llm.types import Prompt


def smollm2() -> tuple[Any, Any]:
    """The model in float32, and its tokenizer."""
    from tvu.weights.load import located

    folder = located("smollm2-135m")
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval(), AutoTokenizer.from_pretrained(
        folder
    )


def tiny(family: str, seed: int = 0, **options: Any) -> Any:
    """A random model of two layers whose vocabulary is that of `letters`."""
    sizes = {
        "vocab_size": 64,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "initializer_range": 0.5,  # far from uniform
        "bos_token_id": 0,
        "eos_token_id": 0,
    }
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **{**sizes, **options})).eval()
    with torch.no_grad():  # biases and norms are born as zeros and ones, which would hide them
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    return model


def letters(size: int = 64) -> PreTrainedTokenizerFast:
    """Token 0 ends; every other one is a character."""
    characters = "\n 0123456789.,-!?abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"[: size - 1]
    vocabulary = {"</s>": 0, **{character: i for i, character in enumerate(characters, 1)}}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="a"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>")


def sentencepiece(words: Sequence[str]) -> PreTrainedTokenizerFast:
    """As Llama 2 has it: `▁` for blanks, single bytes for what no piece writes, a first blank that is not written."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *words]
    tokenizer = Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, [], byte_fallback=True))
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def text_prompt(rows: Sequence[Sequence[int]]) -> Prompt:
    """Rows of ids, padded on the right."""
    lengths = torch.tensor([len(row) for row in rows])
    ids = torch.full((len(rows), int(lengths.max())), 7)
    for row, given in zip(ids, rows, strict=True):
        row[: len(given)] = torch.tensor(given)
    return Prompt(ids, torch.zeros_like(ids, dtype=torch.bool), lengths)


class TableModel:
    """A language model whose next token depends on the ids so far as `logits_after(ids)` says; it counts its steps."""

    def __init__(
        self, vocab_size: int, logits_after: Callable[[tuple[int, ...]], Tensor], positions: int = 512
    ) -> None:
        self.vocab_size, self.max_positions, self.device = vocab_size, positions, torch.device("cpu")
        self.can_rewind = True
        self.logits_after = logits_after
        self.steps = 0

    def embed(self, ids: Tensor) -> Tensor:
        return ids[..., None].float()

    @contextmanager
    def borrow(self, rows: int, capacity: int) -> Iterator["_TableWorkspace"]:
        yield _TableWorkspace(self, rows)


class _TableWorkspace:
    def __init__(self, model: TableModel, rows: int) -> None:
        self.model = model
        self.rows: list[tuple[int, ...]] = [()] * rows
        self._last = torch.zeros(0)

    def prefill(self, row: int, embeddings: Tensor) -> Tensor:
        self.rows[row] += tuple(int(i) for i in embeddings[:, 0])
        return self.model.logits_after(self.rows[row])

    def step(self, ids: Tensor) -> Tensor:
        self.model.steps += 1
        self._last = ids
        after = [
            [self.model.logits_after((*row, *new[: n + 1])) for n in range(len(new))]
            for row, new in zip(self.rows, ids.tolist(), strict=True)
        ]
        return torch.stack([torch.stack(row) for row in after])

    def advance(self, counts: Sequence[int]) -> None:
        new = self._last.tolist()
        self.rows = [(*row, *ids[:n]) for row, ids, n in zip(self.rows, new, counts, strict=True)]

    def keep(self, row: int, logits: Tensor) -> Prefix:
        return Prefix(len(self.rows[row]), logits, self.rows[row])

    def restore(self, row: int, prefix: Prefix) -> None:
        self.rows[row] = prefix.memory

    def reorder(self, order: Sequence[int], since: int = 0) -> None:
        self.rows = [self.rows[source] for source in order]
