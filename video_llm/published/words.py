"""Tokenizers of published Llama and Mistral models, from their vocabulary files and without the sentencepiece library.

Published models were trained with transformers' slow tokenizer, whose treatment of blanks around added tokens changed
between releases. What is built here does not depend on the release that is installed.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from tvu.video_llm.published.files import find_file, read_json
from tvu.weights.errors import WeightsError

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
BLANK = "▁"


@dataclass(frozen=True)
class Piece:
    """One entry of a sentencepiece vocabulary; `kind` as the format numbers them."""

    text: str
    score: float
    kind: int


def read_pieces(path: Path) -> list[Piece]:
    """The vocabulary of a sentencepiece BPE `tokenizer.model`, in the order of its ids.

    Raises WeightsError where the file is none, is cut short, or holds a vocabulary of another kind.
    """
    try:
        data = path.read_bytes()
        fields = list(_fields(data))
        pieces = [_piece(value) for number, value in fields if number == 1 and isinstance(value, bytes)]
        trainer = next((value for number, value in fields if number == 2 and isinstance(value, bytes)), b"")
        kind = next((value for number, value in _fields(trainer) if number == 3), 1)
    except (OSError, ValueError, IndexError, struct.error) as error:
        raise WeightsError(f"{path} is no sentencepiece vocabulary", hint="download it again") from error
    if not pieces or kind != 2:
        what = "no pieces" if not pieces else "another kind of vocabulary than BPE"
        raise WeightsError(f"{path} holds {what}", hint="is it the file of a Llama or Mistral?")
    return pieces


def llama_tokenizer(
    folder: Path, added: Sequence[AddedToken] = (), *, legacy: bool | None = None
) -> PreTrainedTokenizerFast:
    """The tokenizer in `folder` (`tokenizer.model`, or else `tokenizer.json`) with `added` after its pieces.

    legacy: whether text after an added token begins like a new text, with a blank: what transformers' slow Llama
            tokenizer calls so; None reads it in `tokenizer_config.json`, and is true where that is silent.
    Neither adds a beginning by itself: prompts are put together of parts, and only the first one begins.
    Raises WeightsError where there is no tokenizer, or a damaged one.
    """
    path = find_file(folder, "tokenizer.model")
    if path is not None:
        if legacy is None:
            told = path.with_name("tokenizer_config.json")
            legacy = bool(read_json(told).get("legacy", True)) if told.is_file() else True
        tokenizer = _of_pieces(read_pieces(path), legacy)
    else:
        path = find_file(folder, "tokenizer.json")
        if path is None:
            raise WeightsError(f"{folder} has no tokenizer.model or tokenizer.json", hint="download it as well")
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # tokenizers raises nothing narrower
            raise WeightsError(f"{path} cannot be read as a tokenizer", hint="download it again") from error
    tokenizer.add_tokens(list(added))
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    if not all(tokenizer.token_to_id(name) is not None for name in names.values()):
        raise WeightsError(f"{path} lacks one of {', '.join(names.values())}", hint="is it the file of a Llama?")
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<unk>", **names)


def ids_of(tokenizer: PreTrainedTokenizerFast, text: str, *, begins: bool = False) -> list[int]:
    """The ids of a part of a prompt, after the beginning of a text where it `begins` one."""
    ids: list[int] = tokenizer(text, add_special_tokens=False).input_ids
    return [tokenizer.bos_token_id, *ids] if begins else ids


def _of_pieces(pieces: Sequence[Piece], legacy: bool) -> Tokenizer:
    ids = {piece.text: number for number, piece in enumerate(pieces)}
    unknown = next((piece.text for piece in pieces if piece.kind == UNKNOWN), "<unk>")
    tokenizer = Tokenizer(
        models.BPE(ids, _merges(pieces, ids), unk_token=unknown, fuse_unk=True, byte_fallback=True, dropout=None)
    )
    if legacy:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(BLANK), normalizers.Replace(" ", BLANK)])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(BLANK, prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(BLANK, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens(
        [AddedToken(p.text, special=True, normalized=False) for p in pieces if p.kind in (UNKNOWN, CONTROL)]
    )
    tokenizer.add_tokens([AddedToken(p.text, normalized=False) for p in pieces if p.kind == USER_DEFINED])
    return tokenizer


def _merges(pieces: Sequence[Piece], ids: dict[str, int]) -> list[tuple[str, str]]:
    """Which two pieces may become a third, the best piece first: sentencepiece joins whatever gives the best score."""
    found = []
    for number, piece in enumerate(pieces):
        if piece.kind != NORMAL:
            continue
        for cut in range(1, len(piece.text)):
            left, right = piece.text[:cut], piece.text[cut:]
            if left in ids and right in ids:
                found.append((-piece.score, number, ids[left], ids[right], left, right))
    return [(left, right) for *_, left, right in sorted(found)]


def _piece(data: bytes) -> Piece:
    text, score, kind = "", 0.0, NORMAL
    for number, value in _fields(data):
        if number == 1 and isinstance(value, bytes):
            text = value.decode()
        elif number == 2 and isinstance(value, bytes):
            score = struct.unpack("<f", value)[0]
        elif number == 3 and isinstance(value, int):
            kind = value
    return Piece(text, score, kind)


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message of protocol buffers: number, and a whole number or bytes. Raises ValueError."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == 2:
            size, at = _varint(data, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if at + size > len(data):
            raise ValueError("cut short")
        yield number, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise ValueError("a number without end")
