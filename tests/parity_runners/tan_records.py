"""The word tokenizer's records."""

from typing import Any

from tvu.video_llm.word_tokens import WordTokenizer


def words_and_ids(record: dict[str, Any], content: dict[str, Any]) -> dict[str, Any]:
    tokenizer = WordTokenizer(content["vocabulary"], record["max_words"])
    return {"words": tokenizer.words(record["text"]), "ids": tokenizer.ids(record["text"])}


RECORDS = {"word_tokenizer.texts": words_and_ids}
