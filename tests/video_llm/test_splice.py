import pytest
import torch
from torch import nn

from tests.temporal.reduction.videos import a_video
from tvu.video_llm.splice import VISUAL_ID, rows_of, splice

V = VISUAL_ID


def told(embeddings):
    """The first channel of every row, which is an id for text and 100 and more for a video."""
    return embeddings[..., 0].int().tolist()


def embed(ids):
    return ids.double()[..., None].expand(*ids.shape, 3)


def video(first, rows):
    return embed(torch.arange(first, first + rows))


def test_the_sentinel_becomes_the_rows_of_the_video():
    prompt = splice(torch.tensor([[1, 3, V, 6]]), embed, [[video(100, 3)]], labels=torch.tensor([[-100, 3, 5, 6]]))
    assert told(prompt.embeddings) == [[1, 3, 100, 101, 102, 6]]
    assert prompt.labels.tolist() == [[-100, 3, -100, -100, -100, 6]]
    assert prompt.is_visual.tolist() == [[False, False, True, True, True, False]]
    assert prompt.attention_mask.all()


def test_shorter_prompts_are_padded_on_the_right_with_zeros_that_no_loss_sees():
    ids = torch.tensor([[1, V, 4, 5], [1, V, 7, 0]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    prompt = splice(ids, embed, [[video(100, 4)], [video(200, 1)]], mask, labels=ids.clone())
    assert told(prompt.embeddings) == [[1, 100, 101, 102, 103, 4, 5], [1, 200, 7, 0, 0, 0, 0]]
    assert prompt.attention_mask.tolist() == [[1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0, 0]]
    assert prompt.labels[1].tolist() == [1, -100, 7, 0, -100, -100, -100]
    assert prompt.attention_mask.dtype == mask.dtype


def test_a_prompt_may_hold_several_videos_or_none():
    prompt = splice(torch.tensor([[V, 2, V], [5, 6, 7]]), embed, [[video(100, 2), video(200, 1)], []])
    assert told(prompt.embeddings) == [[100, 101, 2, 200], [5, 6, 7, 0]]
    assert prompt.labels is None


def test_padding_on_the_left_stays_where_it_is():
    prompt = splice(torch.tensor([[0, 0, 3, V]]), embed, [[video(100, 2)]], torch.tensor([[0, 0, 1, 1]]))
    assert prompt.attention_mask.tolist() == [[0, 0, 1, 1, 1]]


def test_gradients_reach_the_text_and_the_video():
    table, rows = nn.Embedding(8, 3), torch.randn(2, 3, requires_grad=True)
    splice(torch.tensor([[1, V, 2]]), table, [[rows]]).embeddings.sum().backward()
    assert (rows.grad == 1).all()
    assert table.weight.grad.sum(dim=1).tolist() == [0, 3, 3, 0, 0, 0, 0, 0]


def test_visual_rows_take_the_dtype_of_the_text():
    prompt = splice(torch.tensor([[1, V]]), lambda ids: embed(ids).bfloat16(), [[video(100, 2)]])
    assert prompt.embeddings.dtype == torch.bfloat16


def test_another_number_of_videos_than_places_is_refused():
    with pytest.raises(ValueError, match="place for 1 videos, and 2 were given"):
        splice(torch.tensor([[1, V]]), embed, [[video(100, 2), video(200, 2)]])
    with pytest.raises(ValueError, match="2 prompts"):
        splice(torch.tensor([[1, V], [2, V]]), embed, [[video(100, 2)]])


def test_rows_of_a_video_are_its_real_tokens_frame_by_frame():
    tokens = a_video(frames=3, grid=(2, 2), lengths=[3, 1])
    first, second = rows_of(tokens)
    assert torch.equal(first, tokens.features[0].flatten(0, 1))
    assert torch.equal(second, tokens.features[1, 0])
