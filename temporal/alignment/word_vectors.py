"""Sentences as bags of word vectors: the text tower that TAN takes from MIL-NCE."""

import torch
from torch import Tensor, nn


class Word2VecText(nn.Module):
    """A sentence vector from word vectors, whatever the order of the words (Miech et al. 2020, MIL-NCE's text tower).

    Word vector, linear, ReLU, maximum over the words, linear. The word vectors are not trained.
    """

    def __init__(self, vocabulary: int = 66_250, word_width: int = 300, hidden: int = 2048, width: int = 512) -> None:
        """vocabulary: rows of the table; row 0 is padding and unknown words."""
        super().__init__()
        self.word_embd = nn.Embedding(vocabulary, word_width)
        self.word_embd.weight.requires_grad_(False)
        self.fc1 = nn.Linear(word_width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, ids: Tensor, kept: Tensor | None = None) -> Tensor:
        """`[..., width]` of ids `[..., W]` int64.

        kept: `[..., W]` bool, the words that count; all but id 0 if None. Where none is kept, every position counts.
        """
        kept = ids != 0 if kept is None else kept
        hidden = self._hidden(ids).masked_fill(~(kept | ~kept.any(dim=-1, keepdim=True))[..., None], -torch.inf)
        return self.fc2(hidden.amax(dim=-2))

    def each_word(self, ids: Tensor) -> Tensor:
        """`[..., W, width]`: the vector that each word would give alone."""
        return self.fc2(self._hidden(ids))

    def _hidden(self, ids: Tensor) -> Tensor:
        return self.fc1(self.word_embd(ids)).relu()
