"""Sentences as vectors and as words, held against transformers and against what ONNX Runtime makes of them."""

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from tvu.video_llm.minilm import KNOWN_WORDS, WORDS, MiniLM, SentenceReader, from_published


@pytest.fixture(scope="module")
def bert() -> BertModel:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=KNOWN_WORDS, hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536
    )
    return BertModel(config, add_pooling_layer=False).eval()


@torch.no_grad()
def test_words_are_those_of_bert(bert):
    network = MiniLM()
    network.load_state_dict(from_published(bert.state_dict()))
    ids, is_word = torch.randint(1000, 20000, (3, 11)), torch.ones(3, 11, dtype=torch.bool)
    is_word[1, 7:] = False
    right = bert(input_ids=ids, attention_mask=is_word.long()).last_hidden_state
    torch.testing.assert_close(network(ids, is_word)[is_word], right[is_word], atol=1e-4, rtol=1e-4)


@pytest.mark.weights
def test_sentences_are_those_of_onnx_runtime():
    from tvu.video_llm.sentence import SentenceEncoder

    texts = ["a dog jumps", "When does the man in the red shirt throw the ball over the fence?", "x"]
    reader = SentenceReader()
    told = reader.ids(texts)
    vectors, words = reader.read(torch.from_numpy(told.ids), torch.from_numpy(told.is_word))
    assert words.shape == (*told.ids.shape, 384) and not vectors.requires_grad
    np.testing.assert_allclose(vectors, SentenceEncoder().embed(texts), atol=2e-3)


@pytest.mark.weights
def test_a_long_sentence_is_cut_and_a_reader_without_network_makes_ids():
    reader = SentenceReader(None)
    told = reader.ids(["word " * 200, "word"])
    assert told.ids.shape == (2, WORDS) and told.is_word.sum(1).tolist() == [WORDS, 3]
    with pytest.raises(RuntimeError, match="network"):
        reader.read(torch.from_numpy(told.ids), torch.from_numpy(told.is_word))
