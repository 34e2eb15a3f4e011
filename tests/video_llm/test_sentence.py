import subprocess
import sys

import numpy as np
import pytest

from tvu.video_llm.sentence import SentenceEncoder
from tvu.weights.errors import WeightsError

pytestmark = pytest.mark.weights


@pytest.fixture(scope="module")
def encoder() -> SentenceEncoder:
    try:
        return SentenceEncoder()
    except WeightsError as error:
        pytest.skip(error.message)


def test_a_paraphrase_is_closer_than_another_subject(encoder: SentenceEncoder):
    query, same, other = encoder.embed(["someone plays the guitar", "a man strums his guitar", "a train leaves"])
    assert query @ same > 0.6 > 0.2 > query @ other


def test_vectors_have_length_one_whatever_the_text(encoder: SentenceEncoder):
    vectors = encoder.embed(["", " ", "when?", "été 東京 🙂", "word " * 5000])
    assert vectors.shape == (5, 384) and vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_no_texts_are_no_rows(encoder: SentenceEncoder):
    assert encoder.embed([]).shape == (0, 384)


def test_company_in_the_batch_changes_nothing_but_rounding(encoder: SentenceEncoder):
    texts = [f"a photo of {'very ' * (i % 7)}large animal number {i}" for i in range(70)]
    together = encoder.embed(texts)
    alone = np.concatenate([encoder.embed([text]) for text in texts[::10]])
    np.testing.assert_allclose(together[::10], alone, atol=1e-5)


def test_what_follows_256_tokens_is_not_read(encoder: SentenceEncoder):
    long = "time " * 254  # and one token at either end
    np.testing.assert_array_equal(encoder.embed([long]), encoder.embed([long + "flies like an arrow"]))
    assert not np.array_equal(encoder.embed(["time " * 253 + "flies"]), encoder.embed([long]))


@pytest.mark.alone
def test_loading_needs_neither_torch_nor_transformers_and_little_time():
    code = (
        "import sys, time\n"
        "from tvu.video_llm.sentence import SentenceEncoder\n"
        "start = time.process_time()\n"
        "try: SentenceEncoder().embed(['when does the train leave?'])\n"
        "except Exception as error: sys.exit(error.message)\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)\n"
        "print(time.process_time() - start)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    if "not in the cache" in done.stderr:
        pytest.skip(done.stderr)
    assert float(done.stdout) < 1.0  # CPU seconds of all threads; 0.4 of wall clock on two idle cores
