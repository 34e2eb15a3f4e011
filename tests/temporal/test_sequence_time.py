import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tests.temporal.reduction.videos import a_video, with_padding_of
from tvu.temporal.errors import TvuError
from tvu.temporal.sequence_time import (
    SequenceTimeEmbedding,
    add_sequence_time,
    fill_untrained_seconds,
    fill_untrained_seconds_official,
    resize_frame_positions,
    rounded_to_half,
    whole_seconds,
)


def trained_embedding(channels=4, max_frames=8, max_seconds=40):
    embedding = SequenceTimeEmbedding(channels, max_frames, max_seconds).double()
    for table in embedding.parameters():
        nn.init.normal_(table)
    return embedding


def test_every_token_gets_the_rows_of_its_frame_and_of_its_second():
    embedding, features = trained_embedding(), torch.zeros(2, 3, 5, 4, dtype=torch.float64)
    seconds = torch.tensor([[0, 7, 39], [5, 5, 6]])
    added = embedding(features, seconds)
    by_frame = embedding.video_frame_position_embedding.weight
    for video, frame in [(0, 0), (0, 2), (1, 1)]:
        row = by_frame[frame] + embedding.video_time_position_embedding[seconds[video, frame]]
        assert torch.equal(added[video, frame], row.expand(5, 4))


def test_a_gather_is_the_official_product_with_one_hot_vectors():
    embedding, features = trained_embedding(), torch.randn(2, 3, 5, 4, dtype=torch.float64)
    seconds = torch.tensor([[0, 7, 39], [5, 5, 6]])
    product = nn.functional.one_hot(seconds, 40).double() @ embedding.video_time_position_embedding
    expected = features + (embedding.video_frame_position_embedding.weight[:3] + product)[:, :, None]
    torch.testing.assert_close(embedding(features, seconds), expected)


def test_an_untrained_embedding_changes_nothing():
    tokens = a_video(dtype=torch.float32)
    assert torch.equal(add_sequence_time(tokens, SequenceTimeEmbedding(4)).features, tokens.features)


def test_without_seconds_only_the_frame_counts():
    embedding = SequenceTimeEmbedding(4, max_frames=8, max_seconds=0)
    assert set(embedding.state_dict()) == {"video_frame_position_embedding.weight"}
    features = torch.randn(1, 3, 5, 4)
    assert torch.equal(embedding(features, torch.tensor([[0, 10**6, -5]])), features)


def test_tokens_get_the_second_at_which_their_span_starts_and_padding_may_hold_anything():
    embedding, tokens = trained_embedding(), a_video(lengths=[7, 4])
    added = add_sequence_time(with_padding_of(tokens, torch.nan), embedding).features
    expected = embedding(tokens.features, whole_seconds(tokens.spans[..., 0]))
    assert torch.equal(added[tokens.mask], expected[tokens.mask])


@pytest.mark.parametrize("seconds", [40, -1])
def test_a_second_beyond_the_table_is_an_error_not_another_second(seconds):
    with pytest.raises(TvuError, match="knows the seconds 0 to 39"):
        trained_embedding()(torch.zeros(1, 1, 1, 4), torch.tensor([[seconds]]))


def test_more_frames_than_the_table_are_an_error():
    with pytest.raises(TvuError, match="9 frames are more than the 8"):
        trained_embedding()(torch.zeros(1, 9, 1, 4), torch.zeros(1, 9, dtype=torch.int64))


@given(st.floats(0, 8191, allow_nan=False))
def test_seconds_round_as_python_rounds_twice(seconds):
    assert whole_seconds(torch.tensor([[seconds]], dtype=torch.float64)).item() == round(round(seconds, 1))


def test_halves_round_to_even():
    times = torch.tensor([[0.5, 1.5, 2.5, 120.5, 1.46, 2.55]], dtype=torch.float64)
    assert whole_seconds(times).tolist() == [[0, 2, 2, 120, 2, 2]]  # 1.46 becomes 1.5; the double 2.55 lies below it


def numbered(*trained, rows=12):
    """A table whose trained rows hold their own number."""
    table = torch.zeros(rows, 1, dtype=torch.float64)
    table[list(trained), 0] = torch.tensor(trained, dtype=torch.float64)
    return table


def test_the_official_filling_exchanges_its_weights_and_runs_away_at_the_end():
    filled = fill_untrained_seconds_official(numbered(1, 3, 6)).flatten()
    expected = [1, 1, 2, 3, 5, 4, 6, -5.76, -7.22, -8.69, -10.16, -4.29]
    assert [round(value, 2) for value in filled.tolist()] == expected


def test_the_corrected_filling_is_linear_and_holds_at_both_ends():
    filled = fill_untrained_seconds(numbered(2, 3, 6)).flatten()
    assert filled.tolist() == pytest.approx([2, 2, 2, 3, 4, 5, 6, 6, 6, 6, 6, 6], abs=1e-12)


@pytest.mark.parametrize("fill", [fill_untrained_seconds, fill_untrained_seconds_official])
@given(trained=st.sets(st.integers(0, 11)))
def test_filling_keeps_what_was_trained_and_an_empty_table_empty(fill, trained):
    table = torch.zeros(12, 2, dtype=torch.float64)
    table[sorted(trained)] = torch.rand(len(trained), 2, dtype=torch.float64) + 0.1
    before = table.clone()
    filled = fill(table)
    assert torch.equal(table, before) and torch.equal(filled[sorted(trained)], table[sorted(trained)])
    assert filled.isfinite().all()
    if not trained:
        assert (filled == 0).all()
    elif fill is fill_untrained_seconds:
        assert (filled > 0).all() and filled.max() <= table.max() + 1e-12


def test_frame_positions_are_resized_to_the_nearest_row():
    table = torch.arange(4.0)[:, None]
    assert resize_frame_positions(table, 6).flatten().tolist() == [0, 0, 1, 2, 2, 3]
    assert resize_frame_positions(table, 2).flatten().tolist() == [0, 2]
    assert torch.equal(resize_frame_positions(table, 4), table)


def test_rounding_to_half_keeps_the_dtype():
    table = torch.tensor([[0.1, 1.0, 65504.0]])
    assert rounded_to_half(table).tolist() == [[0.0999755859375, 1.0, 65504.0]]
