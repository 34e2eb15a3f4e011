"""Which seconds belong to a text, batches of videos, and what the losses reward."""

import itertools

import pytest
import torch

from tvu.temporal.alignment.loss import (
    AlignmentSample,
    collate,
    mil_nce_loss,
    positive_seconds,
    positive_seconds_half_open,
    text_to_video_loss,
)
from tvu.temporal.alignment.similarity import UnitVectors, unit


def vectors(layers=2, batch=2, texts=3, frames=5):
    generator = torch.Generator().manual_seed(0)
    text, video = (torch.randn(layers, batch, n, 4, generator=generator, dtype=torch.float64) for n in (texts, frames))
    return UnitVectors(unit(text).requires_grad_(), unit(video).requires_grad_())


def targets():
    positives = torch.zeros(2, 3, 5).bool()
    positives[0, 0, 1:3] = positives[0, 2, 4] = positives[1, 1, :2] = True
    return positives


def test_both_ends_of_a_text_count_and_nothing_is_rounded():
    starts, ends = torch.tensor([1.0, 2.25, 0.5]), torch.tensor([3.0, 2.5, 1.0])
    assert positive_seconds(starts, ends, 5).long().tolist() == [[0, 1, 1, 1, 0], [0] * 5, [0, 1, 0, 0, 0]]
    assert positive_seconds_half_open(starts, ends, 5).long().tolist() == [[0, 1, 1, 0, 0], [0] * 5, [0] * 5]


def test_padding_repeats_the_last_vector_and_has_no_positives():
    long = AlignmentSample(torch.arange(6.0).view(3, 2), torch.ones(1, 2), torch.ones(1, 3).bool(), torch.tensor([1]))
    short = AlignmentSample(torch.full((1, 2), 9.0), torch.eye(2), torch.ones(2, 1).bool(), torch.tensor([0, 1]))
    batch = collate([long, short])
    assert batch.video[1].tolist() == [[9, 9]] * 3 and batch.text[0].tolist() == [[1, 1]] * 2
    assert batch.video_padding.tolist() == [[False] * 3, [False, True, True]]
    assert batch.text_padding.tolist() == [[False, True], [False, False]]
    assert batch.positives.sum(dim=(1, 2)).tolist() == [3, 2]
    assert batch.alignable.tolist() == [[1, -100], [0, 1]]
    assert collate([AlignmentSample(long.video, long.text, long.positives)]).alignable is None


def test_the_text_loss_is_its_formula():
    unit_vectors, positives = vectors(), targets()
    padding = torch.tensor([[False] * 5, [False] * 4 + [True]])
    terms = torch.zeros(2, 2, 3, dtype=torch.float64)
    for layer, (b, s) in itertools.product(range(2), positives.any(-1).nonzero().tolist()):
        exponentials = (unit_vectors.video[layer] @ unit_vectors.text[layer, b, s] / 0.07).exp()
        terms[layer, b, s] = (exponentials[~padding].sum() / exponentials[b][positives[b, s]].sum()).log()
    torch.testing.assert_close(text_to_video_loss(unit_vectors, positives, padding), terms.mean(dim=(1, 2)))


def test_a_text_without_positives_adds_nothing_but_stays_in_the_mean():
    unit_vectors, padding = vectors(batch=1, texts=2), torch.zeros(1, 5).bool()
    positives = torch.tensor([[[True, False, False, False, False], [False] * 5]])
    alone = UnitVectors(unit_vectors.text[:, :, :1], unit_vectors.video)
    torch.testing.assert_close(
        text_to_video_loss(unit_vectors, positives, padding), text_to_video_loss(alone, positives[:, :1], padding) / 2
    )


def test_mil_nce_is_its_formula():
    unit_vectors, positives = vectors(), targets()
    text_padding = torch.tensor([[False] * 3, [False, False, True]])
    logits = unit_vectors.text.flatten(1, 2)[:, :5] @ unit_vectors.video.flatten(1, 2).transpose(1, 2) / 0.07
    wanted = torch.block_diag(*positives)[:5].bool()
    weights = logits.exp()
    texts = (weights.sum(2) / (weights * wanted).sum(2)).log()[:, wanted.any(1)]
    frames = (weights.sum(1) / (weights * wanted).sum(1)).log()[:, wanted.any(0)]
    torch.testing.assert_close(mil_nce_loss(unit_vectors, positives, text_padding), (texts.mean() + frames.mean()) / 2)


def test_padded_frames_can_be_kept_out_of_mil_nce():
    unit_vectors, positives = vectors(batch=1), targets()[:1, :, :3]
    real = UnitVectors(unit_vectors.text, unit_vectors.video[:, :, :3])
    padding = torch.tensor([[False, False, False, True, True]])
    padded = torch.nn.functional.pad(positives, (0, 2))
    texts = torch.zeros(1, 3).bool()
    kept = mil_nce_loss(unit_vectors, padded, texts, padding)
    torch.testing.assert_close(kept, mil_nce_loss(real, positives, texts))
    assert mil_nce_loss(unit_vectors, padded, texts) > kept


def test_without_any_positive_there_is_nothing_to_learn():
    none = torch.zeros(2, 3, 5).bool()
    assert mil_nce_loss(vectors(), none, torch.zeros(2, 3).bool()) == 0
    assert (text_to_video_loss(vectors(), none, torch.zeros(2, 5).bool()) == 0).all()


@pytest.mark.parametrize("name", ["text_to_video", "mil_nce"])
def test_gradients_pull_a_text_towards_its_seconds(name):
    unit_vectors, positives = vectors(layers=1), targets()
    if name == "mil_nce":
        loss = mil_nce_loss(unit_vectors, positives, torch.zeros(2, 3).bool())
    else:
        loss = text_to_video_loss(unit_vectors, positives, torch.zeros(2, 5).bool()).mean()
    gradient = torch.autograd.grad(loss, unit_vectors.text)[0]
    assert gradient.isfinite().all()
    moved = UnitVectors(unit(unit_vectors.text - 0.01 * gradient), unit_vectors.video)
    before, after = (v.cosine()[0][positives].mean() for v in (unit_vectors, moved))
    assert after > before
