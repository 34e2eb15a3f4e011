"""The narration aligner: what order, padding and length may change, and what they may not."""

import pytest
import torch

from tvu.temporal.alignment.nsva import NsvaAligner, NsvaConfig
from tvu.temporal.alignment.similarity import MASKED

SMALL = NsvaConfig(
    feature_width=12, width=16, similarity_width=6, heads=4, encoder_layers=2, decoder_layers=2, feedforward=32
)


@pytest.fixture
def aligner():
    torch.manual_seed(0)
    aligner = NsvaAligner(SMALL).eval().double()
    for parameter in aligner.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    return aligner


def features(frames=23, texts=5, batch=2):
    generator = torch.Generator().manual_seed(1)
    shapes = (batch, frames, SMALL.feature_width), (batch, texts, SMALL.feature_width)
    return [torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in shapes]


def test_the_published_size_is_that_of_the_official_class():
    with torch.device("meta"):
        aligner = NsvaAligner()
    assert sum(parameter.numel() for parameter in aligner.parameters()) == 9_421_827
    assert len(aligner.state_dict()) == 114
    assert aligner.visual_pos_enc.pe.shape == (1, 5000, 256)


def test_permuting_unordered_texts_permutes_the_answer(aligner):
    video, text = features()
    order = torch.tensor([3, 0, 4, 1, 2])
    torch.testing.assert_close(
        aligner.align(video, text[:, order], ordered=False), aligner.align(video, text, ordered=False)[:, order]
    )


def test_ordered_texts_are_told_their_place(aligner):
    video, text = features()
    same = text[:, :1].expand(-1, 2, -1)
    unordered, ordered = (aligner.align(video, same, ordered=ordered) for ordered in (False, True))
    torch.testing.assert_close(unordered[:, 0], unordered[:, 1])
    assert (ordered[:, 0] - ordered[:, 1]).abs().max() > 1e-3


def test_positions_steer_attention_but_are_never_carried_by_it(aligner):
    video, text = features()
    still = aligner.align(video[:, :1].expand(-1, 9, -1), text, ordered=True)
    torch.testing.assert_close(still, still[..., :1].expand(-1, -1, 9))  # of equal frames none can be told from others
    backwards = aligner.align(video.flip(1), text, ordered=True).flip(2)
    assert (backwards - aligner.align(video, text, ordered=True)).abs().max() > 1e-3


@pytest.mark.parametrize("rubbish", [0.0, 1e4, torch.nan, torch.inf])
@pytest.mark.parametrize("ordered", [False, True])
def test_padding_never_leaks(aligner, rubbish, ordered):
    video, text = features()
    video[1, 14:], text[1, 3:] = rubbish, rubbish
    video_padding, text_padding = torch.zeros(2, 23).bool(), torch.zeros(2, 5).bool()
    video_padding[1, 14:], text_padding[1, 3:] = True, True
    together = aligner.align(video, text, video_padding, text_padding, ordered=ordered)
    alone = aligner.align(video[1:, :14], text[1:, :3], ordered=ordered)
    torch.testing.assert_close(together[1:, :3, :14], alone)
    assert (together[1, 3:] == MASKED).all() and (together[1, :, 14:] == MASKED).all()


def test_a_video_whose_texts_are_all_padding_breaks_nothing(aligner):
    video, text = features()
    padding = torch.tensor([[True] * 5, [False] * 5])
    logits = aligner.align(video, text, text_padding=padding, ordered=True)
    assert logits.isfinite().all() and (logits[0] == MASKED).all()
    torch.testing.assert_close(logits[1:], aligner.align(video[1:], text[1:], ordered=True))


def test_one_second_and_one_text_are_enough(aligner):
    video, text = features(frames=1, texts=1)
    assert aligner.align(video, text, ordered=True).shape == (2, 1, 1)


def test_every_decoder_layer_has_a_similarity_and_the_last_one_answers(aligner):
    video, text = features()
    vectors = aligner(video, text, ordered=True)
    cosine = vectors.cosine()
    assert cosine.shape == (2, 2, 5, 23)
    assert vectors.cosine_across_batch().shape == (2, 10, 46)
    torch.testing.assert_close(cosine[-1] / 0.07, aligner.align(video, text, ordered=True))
    torch.testing.assert_close(vectors.cosine_across_batch()[:, 5:, 23:], cosine[:, 1])


def test_a_video_longer_than_the_table_is_seen_in_windows_that_cover_it(aligner):
    short = NsvaAligner(NsvaConfig(**{**vars(SMALL), "max_frames": 8})).eval().double()
    short.load_state_dict({**aligner.state_dict(), "visual_pos_enc.pe": short.visual_pos_enc.pe})
    video, text = features(frames=19)
    video_padding = torch.arange(19) >= torch.tensor([[19], [9]])
    logits = short.align(video, text, video_padding, ordered=True)
    assert (logits[0] > MASKED).all()
    # windows of 8 every 4: the first four frames are seen once, the next four twice
    first, second = (aligner.align(video[:1, start : start + 8], text[:1], ordered=True) for start in (0, 4))
    torch.testing.assert_close(logits[:1, :, :4], first[:, :, :4])
    torch.testing.assert_close(logits[:1, :, 4:8], (first[:, :, 4:] + second[:, :, :4]) / 2)
    alone = short.align(video[1:, :9], text[1:], ordered=True)
    torch.testing.assert_close(logits[1, :, :4], alone[0, :, :4])
    assert logits[1, :, :9].isfinite().all() and (logits[1, :, 9:] == MASKED).all()


def test_a_video_within_the_table_is_seen_in_one_pass(aligner):
    short = NsvaAligner(NsvaConfig(**{**vars(SMALL), "max_frames": 19})).eval().double()
    short.load_state_dict({**aligner.state_dict(), "visual_pos_enc.pe": short.visual_pos_enc.pe})
    video, text = features(frames=19)
    torch.testing.assert_close(short.align(video, text, ordered=True), aligner.align(video, text, ordered=True))


def test_more_than_the_tables_hold_is_refused(aligner):
    video, text = features(frames=3, texts=1025)
    with pytest.raises(ValueError, match="1025 texts"):
        aligner(video, text, ordered=True)
    assert aligner(video, text, ordered=False).cosine().shape == (2, 2, 1025, 3)


def test_half_precision_features_are_what_their_cast_would_be(aligner):
    video, text = features()
    aligner.float()
    half = aligner.align(video.bfloat16(), text.half(), ordered=True)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, aligner.align(video.bfloat16().float(), text.half().float(), ordered=True))


def test_gradients_reach_all_that_is_used(aligner):
    video, text = features()
    aligner.train()
    aligner(video, text, ordered=True).cosine().square().sum().backward()
    untrained = {name.split(".")[0] for name, parameter in aligner.named_parameters() if parameter.grad is None}
    assert untrained == {"alignable_head", "timestamp_head"}


@pytest.mark.parametrize("wrong", [{"width": 15, "heads": 3}, {"heads": 5}, {"decoder_layers": 0}])
def test_sizes_that_give_no_model_are_refused(wrong):
    with pytest.raises(ValueError):
        NsvaConfig(**{**vars(SMALL), **wrong})
