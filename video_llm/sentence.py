"""Sentences as vectors whose cosine is closeness in meaning (all-MiniLM-L6-v2), through ONNX Runtime."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tvu.video_llm.runtime import onnx_session
from tvu.weights.load import located

MAX_TOKENS = 256  # what its authors cut sentences to; it was trained on 128
BATCH = 32


class SentenceEncoder:
    """`embed` turns sentences into unit vectors of 384 numbers.

    Raises WeightsError where the weights are missing or damaged.
    """

    name = "minilm-l6"
    width = 384

    def __init__(self) -> None:
        from tokenizers import Tokenizer

        folder = located(self.name)
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.no_padding()
        self._session = onnx_session(folder / "sentence.onnx")

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """`[n, 384]` float32, each row of length 1; sentences of any length, of which the first 256 tokens count."""
        found = np.empty((len(texts), self.width), np.float32)
        tokens = [encoded.ids for encoded in self._tokenizer.encode_batch(list(texts))]
        by_length = sorted(range(len(tokens)), key=lambda i: len(tokens[i]))  # neighbours need little padding
        for start in range(0, len(by_length), BATCH):
            rows = by_length[start : start + BATCH]
            input_ids = np.zeros((len(rows), len(tokens[rows[-1]])), np.int64)
            attention_mask = np.zeros_like(input_ids)
            for row, i in enumerate(rows):
                input_ids[row, : len(tokens[i])] = tokens[i]
                attention_mask[row, : len(tokens[i])] = 1
            (found[rows],) = self._session.run(None, {"input_ids": input_ids, "attention_mask": attention_mask})
        return found
