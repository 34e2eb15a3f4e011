"""What the ids of a tokenizer of transformers write, and which of them end an answer."""

from collections.abc import Iterable
from functools import cache
from typing import Any


def end_ids(tokenizer: Any, more: Iterable[int] = ()) -> tuple[int, ...]:
    """The ids that end an answer: the tokenizer's own, and those of a generation config."""
    return tuple(dict.fromkeys([*([] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]), *more]))


def pieces_of(tokenizer: Any, time_tokens: Iterable[str] = ()) -> list[str | None]:
    """The text of every id, None where it is none of its own: special tokens, and parts of a character.

    Time tokens stay whole, even where the vocabulary calls them special.
    """
    whole = set(time_tokens)
    return [
        name if name in whole else _decoded(spelled)
        for name, spelled in zip(_names(tokenizer), spelled_bytes(tokenizer), strict=True)
    ]


def spelled_bytes(tokenizer: Any) -> list[bytes | None]:
    """What every id adds to a text that is under way, in UTF-8; None for special tokens and ids without a name.

    Byte-level BPE writes a letter for every byte (`Ġa` is " a", `Ċ` a new line), sentencepiece vocabularies write `▁`
    for a blank and `<0x0A>` for a byte; added tokens, and everything in other vocabularies, stand for themselves.
    """
    names = _names(tokenizer)
    added = tokenizer.added_tokens_decoder
    special = {*tokenizer.all_special_ids, *(i for i, token in added.items() if token.special)}
    letters = {letter for i, name in enumerate(names) if name and i not in added for letter in name}
    spell = _byte_level if letters <= _byte_letters().keys() else _sentencepiece
    return [
        None if name is None or i in special else name.encode() if i in added else spell(name)
        for i, name in enumerate(names)
    ]


def _names(tokenizer: Any) -> list[str | None]:
    """Of every id; None for those that a vocabulary with holes leaves out, which its length does not count."""
    names: list[str | None] = [None] * (1 + max(tokenizer.get_vocab().values()))
    for name, token_id in tokenizer.get_vocab().items():
        names[token_id] = name
    return names


def _byte_level(name: str) -> bytes:
    letters = _byte_letters()
    return bytes(letters[letter] for letter in name)


def _sentencepiece(name: str) -> bytes:
    if len(name) == 6 and name.startswith("<0x") and name.endswith(">"):
        return bytes.fromhex(name[3:5])
    return name.replace("▁", " ").encode()


@cache
def _byte_letters() -> dict[str, int]:
    """The bytes that byte-level BPE writes as letters: printable ones as themselves, the others from U+0100 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + n): byte for n, byte in enumerate(others)}


def _decoded(spelled: bytes | None) -> str | None:
    try:
        return None if spelled is None else spelled.decode()
    except UnicodeDecodeError:
        return None
