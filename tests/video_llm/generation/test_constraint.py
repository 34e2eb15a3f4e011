"""Answers that cannot be ill-formed, whatever the model would rather say."""

import gc
import weakref

import pytest
import torch

from tests.video_llm.generation.speakers import letters, sentencepiece, smollm2, text_prompt, tiny
from tvu.temporal.time_tokens.lita import LitaTimeTokens
from tvu.temporal.time_tokens.text_times import TextTimes
from tvu.temporal.time_tokens.vtg_llm import VtgLlmTimeTokens
from tvu.video_llm.generate import GenerateConfig, generate
from tvu.video_llm.generation import constraint as constraints
from tvu.video_llm.generation.constraint import GrammarConstraint, OneOf, TimedCaptions
from tvu.video_llm.generation.decoder import FusedDecoder
from tvu.video_llm.generation.next_token import Sampling
from tvu.video_llm.generation.span_scores import read_captions
from tvu.video_llm.generation.vocabulary import pieces_of, spelled_bytes

CODECS = (LitaTimeTokens(), VtgLlmTimeTokens(), TextTimes(), TextTimes(decimals=2))
DURATION = 75.3


@pytest.fixture(scope="module")
def tokenizer():
    """SmolLM2's, with the time tokens of all codecs."""
    _, tokenizer = smollm2()
    tokenizer.add_tokens([token for codec in CODECS for token in codec.added_tokens])
    return tokenizer


@pytest.fixture(scope="module")
def untrained(tokenizer):
    return FusedDecoder(tiny("llama", vocab_size=len(tokenizer), max_position_embeddings=1024))


def answers(language, tokenizer, limits, *, tokens=96, prompt=(5, 6, 7), **sampling):
    config = GenerateConfig(tokens, Sampling(**sampling))
    return generate(text_prompt([list(prompt)] * len(limits)), language, tokenizer, config, constraints=limits)


@pytest.mark.weights
@pytest.mark.parametrize("codec", CODECS, ids=str)
def test_an_untrained_model_gives_spans_inside_the_video(codec, tokenizer, untrained):
    limits = [GrammarConstraint.of(codec, DURATION, tokenizer)] * 4
    for said in [
        *answers(untrained, tokenizer, limits[:1]),
        *answers(untrained, tokenizer, limits, temperature=3.0, seed=1),
    ]:
        assert said.stop == "end"
        (span,) = codec.decode_spans(said.text, DURATION)
        assert 0 <= span.start_seconds < span.end_seconds <= DURATION


@pytest.mark.weights
def test_lists_of_spans_end_by_themselves(tokenizer, untrained):
    codec = TextTimes()
    limits = [GrammarConstraint.of(codec, DURATION, tokenizer, max_spans=3)] * 6
    told = [codec.decode_spans(said.text, DURATION) for said in answers(untrained, tokenizer, limits, temperature=2.0)]
    assert all(1 <= len(spans) <= 3 for spans in told)


@pytest.mark.parametrize("codec", [LitaTimeTokens(5), TextTimes()], ids=str)
def test_captions_are_lines_of_a_span_and_a_text(codec):
    tokenizer = letters()
    tokenizer.add_tokens(list(codec.added_tokens))
    language = FusedDecoder(tiny("llama", vocab_size=len(tokenizer), max_position_embeddings=1024))
    limits = [TimedCaptions.of(codec, DURATION, tokenizer, max_captions=3)] * 6
    told = [
        read_captions(said, limits[0], tokenizer)
        for said in answers(language, tokenizer, limits, tokens=300, temperature=3.0, seed=3)
    ]
    assert all(1 <= len(captions) <= 3 for captions in told)
    assert max(map(len, told)) > 1
    for caption in (caption for captions in told for caption in captions):
        assert 0 <= caption.span.start_seconds < caption.span.end_seconds <= DURATION
        assert not any(barred in caption.text for barred in ("\n", *codec.added_tokens))


def test_captions_end_where_a_text_or_a_line_ends_and_nowhere_else():
    codec, tokenizer = LitaTimeTokens(5), letters()
    tokenizer.add_tokens(list(codec.added_tokens))
    ids = tokenizer.get_vocab()
    limit = TimedCaptions.of(codec, DURATION, tokenizer, max_captions=2)
    may_end = []
    for piece in ("<t0>", "<t3>", "a", " ", "b", "\n", "<t1>", "<t2>", "c"):
        may_end.append(ids["</s>"] in limit.allowed())
        assert ids[piece] in limit.allowed()
        limit = limit.after(ids[piece])
    assert may_end == [False, False, False, True, True, True, True, False, False]
    assert ids["</s>"] in limit.allowed()
    assert ids["\n"] not in limit.allowed()  # there is no third line
    assert ids["<t1>"] not in limit.allowed()
    assert [span.start_seconds for span in limit.spans] == [0, DURATION / 4]


@pytest.mark.weights
def test_one_of_several_answers_is_given_exactly(tokenizer, untrained):
    texts = ["yes", "no", "not at all", "not"]
    told = {
        answers(untrained, tokenizer, [OneOf.of(texts, tokenizer)], prompt=(n,), temperature=4.0, seed=n)[0].text
        for n in range(40)
    }
    assert told == set(texts)


def test_the_probabilities_of_answers_are_those_among_them():
    tokenizer = letters()
    ids = [tokenizer.convert_tokens_to_ids(letter) for letter in "ab"]
    model = tiny("llama")
    said = generate(
        text_prompt([[9, 8]]),
        FusedDecoder(model),
        tokenizer,
        GenerateConfig(8),
        constraints=[OneOf([[i] for i in ids], [0])],
    )[0]
    with torch.inference_mode():
        expected = model(torch.tensor([[9, 8]])).logits[0, -1, ids].log_softmax(-1)
    assert said.stop == "end"
    assert said.log_probs[0] == pytest.approx(float(expected.max()), abs=1e-5)


@pytest.mark.parametrize("given", [[], [[]], [[1], []]])
def test_there_must_be_answers_to_choose_from(given):
    with pytest.raises(ValueError, match="answers"):
        OneOf(given, [0])


@pytest.mark.weights
def test_pieces_of_byte_level_vocabularies_are_read_as_text(tokenizer):
    pieces, bytes_of = pieces_of(tokenizer, ["<t0>"]), spelled_bytes(tokenizer)
    ids = tokenizer.get_vocab()
    assert (pieces[ids["Ġseconds"]], pieces[ids["Ċ"]], pieces[ids["<t0>"]]) == (" seconds", "\n", "<t0>")
    assert pieces[tokenizer.eos_token_id] is None
    text = "Ägypten: 12.5 - 30 s 🙂 数"
    written = tokenizer(text).input_ids
    assert b"".join(bytes_of[i] for i in written).decode() == text
    assert None in [pieces[i] for i in written]  # a part of 🙂
    whole = [i for i, piece in enumerate(pieces) if piece is not None and i not in tokenizer.added_tokens_decoder]
    assert all(tokenizer.decode([i]) == pieces[i] for i in whole[::97])


def test_pieces_of_sentencepiece_vocabularies_are_read_as_text():
    tokenizer = sentencepiece(["▁a", "b", "▁", "ä", "▁▁"])
    pieces = pieces_of(tokenizer)
    assert pieces[:3] == [None] * 3
    assert pieces[3 + 10] == "\n"
    assert pieces[3 + 0xE4] is None
    assert pieces[-5:] == [" a", "b", " ", "ä", "  "]
    assert spelled_bytes(tokenizer)[3 + 0xE4] == b"\xe4"


def test_a_blank_may_come_before_the_first_time_and_only_there():
    codec = TextTimes()
    tokenizer = sentencepiece(["▁", "▁1", "▁-", *"0123456789.-,econds", "▁seconds"])
    ids = tokenizer.get_vocab()
    limit = GrammarConstraint.of(codec, DURATION, tokenizer)
    assert {ids["▁"], ids["▁1"], ids["1"]} <= set(limit.allowed())
    assert ids["▁-"] not in limit.allowed()
    for beginning in (["▁", "1"], ["▁1"], ["1"]):
        state = limit
        for piece in [*beginning, ".", "5", "▁-", "▁", "2", ".", "0", "▁seconds"]:
            state = state.after(ids[piece])
        assert state.is_final
        assert [(s.start_seconds, s.end_seconds) for s in state.spans] == [(1.5, 2.0)]
    led = limit.after(ids["▁"])
    assert ids["▁"] not in led.allowed()
    with pytest.raises(ValueError, match="may not follow"):
        led.after(ids["▁"])


def test_a_token_that_ends_answers_is_not_allowed_within_one():
    tokenizer = letters()
    ids = tokenizer.get_vocab()
    limit = GrammarConstraint.of(TextTimes(), 30.0, tokenizer, stop_ids=[ids["5"]])
    for piece in "12.0 - 14.0 seconds":
        assert ids["5"] not in limit.allowed()
        limit = limit.after(ids[piece])
    assert {ids["5"], ids["</s>"]} <= set(limit.allowed())


def test_every_answer_has_a_constraint_of_its_own():
    with pytest.raises(ValueError, match="1 constraints for 2 prompts"):
        generate(text_prompt([[1], [2]]), FusedDecoder(tiny("llama")), letters(), constraints=[None])


def test_pieces_beyond_a_hole_in_the_vocabulary_are_found():
    tokenizer = letters()
    tokenizer.get_vocab = lambda: {"a": 12, "</s>": 0, "<t0>": 70}
    assert pieces_of(tokenizer, ["<t0>"])[69:] == [None, "<t0>"]


def test_a_vocabulary_without_the_time_tokens_is_refused():
    with pytest.raises(ValueError, match="cannot write a time"):
        GrammarConstraint.of(LitaTimeTokens(), DURATION, letters())


def test_a_vocabulary_is_read_once_and_forgotten_with_its_tokenizer(monkeypatch):
    codec, tokenizer = LitaTimeTokens(4), letters()
    tokenizer.add_tokens(list(codec.added_tokens))
    first = GrammarConstraint.of(codec, 10.0, tokenizer)
    monkeypatch.setattr(constraints, "pieces_of", lambda *_: pytest.fail("read again"))
    assert GrammarConstraint.of(codec, 20.0, tokenizer).pieces.tree is first.pieces.tree
    gone = weakref.ref(tokenizer)
    del tokenizer
    gc.collect()
    assert gone() is None
