"""New words for a pretrained language model: time tokens and the places of a video."""

from typing import Any

import torch
from tokenizers import AddedToken

from tvu.temporal.time_tokens.codec import TimeCodec

VIDEO_START, VIDEO, VIDEO_END = "<|video_start|>", "<|video|>", "<|video_end|>"
"""Before the visual rows of a video, in the place of each, and after them."""


def add_tokens(tokenizer: Any, codec: TimeCodec) -> None:
    """What `tokenizer` does not have yet: the time tokens of `codec`, which are text, and the three of a video.

    One without a padding token, as Llama's and Mistral's, pads with its end of text from now on.
    """
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in codec.added_tokens])
    video = [AddedToken(token, normalized=False, special=True) for token in (VIDEO_START, VIDEO, VIDEO_END)]
    tokenizer.add_tokens(video, special_tokens=True)


@torch.no_grad()
def grow_vocabulary(language_model: Any, known: int, needed: int) -> None:
    """Rows for the ids `known` .. `needed - 1`, each the mean of the `known` rows, in the input and the output table.

    A mean token is as likely as an average word, so the growth changes what the model says as little as can be (Hewitt
    2021). Tables that are tied stay tied; rows that a table has in reserve, as Qwen's do, are used. Ids that a
    tokenizer knows and the tables do not have are new too.
    """
    known = min(known, len(language_model.get_input_embeddings().weight))
    if needed > len(language_model.get_input_embeddings().weight):
        language_model.resize_token_embeddings(needed, mean_resizing=False)
    for table in (language_model.get_input_embeddings(), language_model.get_output_embeddings()):
        for rows in (table.weight, getattr(table, "bias", None)):
            if rows is not None:
                rows[known:needed] = rows[:known].mean(dim=0, dtype=torch.float32).to(rows.dtype)
