"""Vectors side by side."""

import numpy as np
import pytest

from tvu.video_llm.index.shards import BLOCK, COLUMNS, FAN, Shard, ShardStore, to_merge

RNG = np.random.default_rng(0)


def drawn(count, width=100):
    vectors = RNG.standard_normal((count, width)).astype(np.float32)
    return vectors, Shard.of(vectors, np.zeros((count, 2)))


@pytest.mark.parametrize("count", [1, 7, BLOCK, BLOCK + 3])
def test_products_are_those_of_the_vectors_to_the_rounding(count):
    vectors, shard = drawn(count)
    weights = RNG.standard_normal((100, 2)).astype(np.float32)
    weights /= np.linalg.norm(weights, axis=0)
    # rounding to 1/127 of the largest number, about 3, errs by 0.007 a dimension and so does the product
    np.testing.assert_allclose(shard.products(weights), weights.T @ vectors.T, atol=0.05)


def test_rows_that_no_query_weighs_are_not_read():
    vectors, shard = drawn(5)
    weights = np.zeros((100, 1), np.float32)
    assert not shard.products(weights).any()
    weights[[3, 70]] = 0.7
    np.testing.assert_allclose(shard.products(weights)[0], vectors @ weights[:, 0], atol=0.05)


def test_weights_of_another_width_are_refused():
    with pytest.raises(ValueError, match="99 weights"):
        drawn(2)[1].products(np.ones((99, 1), np.float32))


def test_a_vector_of_zeros_and_no_vectors_at_all_are_kept(tmp_path):
    store = ShardStore(tmp_path)
    zero = Shard.of(np.zeros((1, 4), np.float32), np.zeros((1, 2)))
    back = store.load(store.add([zero, Shard.of(np.zeros((0, 4), np.float32), np.zeros((0, 2)))]))
    np.testing.assert_array_equal(back.vectors(np.array([0])), np.zeros((1, 4)))


def test_a_shard_that_is_gone_or_damaged_is_none(tmp_path):
    store = ShardStore(tmp_path)
    name = store.add([drawn(3)[1]])
    assert store.missing([name, "never"]) == {"never"}
    next(tmp_path.rglob("scales.npy")).write_bytes(b"")
    assert store.load(name) is None
    assert store.missing([name]) == {name}


def test_small_shards_become_one_and_large_ones_stay():
    small = {f"small {i}": 1 for i in range(FAN)}
    large = {f"large {i}": COLUMNS for i in range(20)}
    assert to_merge({"small 0": 1} | large) == []
    assert sorted(to_merge(small | large)) == sorted(small)


def test_ten_thousand_videos_are_in_few_shards():
    sizes = {}
    for number in range(10_000):
        sizes[str(number)] = 10
        while names := to_merge(sizes):
            sizes[f"{number} {names[0]}"] = sum(sizes.pop(name) for name in names)
    assert len(sizes) < 40
    assert sum(sizes.values()) == 100_000
