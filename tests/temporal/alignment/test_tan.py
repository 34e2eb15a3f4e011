"""The aligner with two encoders, its windows, and its text tower."""

import pytest
import torch

from tvu.temporal.alignment.similarity import MASKED
from tvu.temporal.alignment.tan import TanConfig, TemporalAligner
from tvu.temporal.alignment.windows import sliding_windows, windows_by_time
from tvu.temporal.alignment.word_vectors import Word2VecText

SMALL = TanConfig(encoder_layers=2, decoder_layers=3, video_width=10, text_width=6, width=16, heads=2, positions=64)


def build(**changes):
    torch.manual_seed(0)
    aligner = TemporalAligner(TanConfig(**{**vars(SMALL), **changes})).eval().double()
    for parameter in aligner.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    return aligner


def features(frames=20, texts=5, batch=2):
    generator = torch.Generator().manual_seed(1)
    shapes = (batch, frames, 10), (batch, texts, 6)
    return [torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in shapes]


def test_the_published_size_is_that_of_the_official_class():
    with torch.device("meta"):
        aligner = TemporalAligner(TanConfig(), Word2VecText())
    assert round(sum(parameter.numel() for parameter in aligner.parameters()) / 1e6, 2) == 61.47
    assert len(aligner.state_dict()) == 167


def test_each_encoder_gives_one_stage_for_each_block():
    output = build()(*features())
    assert output.dual.cosine().shape == (2, 2, 5, 20)
    assert output.joint.cosine().shape == (3, 2, 5, 20)
    assert output.dual_alignability.shape == (2, 5) and output.joint_alignability.shape == (3, 2, 5)


def test_texts_of_the_dual_encoder_have_not_seen_the_video():
    aligner = build()
    (video, text), (other, _) = features(), features(frames=9)
    dual, joint = (getattr(aligner(video, text), name).text[-1] for name in ("dual", "joint"))
    dual_other, joint_other = (getattr(aligner(other, text), name).text[-1] for name in ("dual", "joint"))
    torch.testing.assert_close(dual, dual_other)
    assert (joint - joint_other).abs().max() > 1e-3


def test_text_positions_reach_the_joint_encoder_only_where_they_are_used():
    video, text = features()
    same = text[:, :1].expand(-1, 2, -1)
    for use in (False, True):
        output = build(use_text_pos_enc=use)(video, same)
        differs = (output.joint.text[-1][:, 0] - output.joint.text[-1][:, 1]).abs().max() > 1e-3
        assert bool(differs) == use
        torch.testing.assert_close(output.dual.text[:, :, 0], output.dual.text[:, :, 1])


@pytest.mark.parametrize("rubbish", [1e4, torch.nan])
def test_padding_never_leaks(rubbish):
    aligner = build(use_text_pos_enc=True)
    video, text = features()
    video[1, 14:], text[1, 3:] = rubbish, rubbish
    video_padding = torch.arange(20) >= torch.tensor([[20], [14]])
    text_padding = torch.arange(5) >= torch.tensor([[5], [3]])
    together, seen = aligner.align(video, text, video_padding, text_padding)
    alone, seen_alone = aligner.align(video[1:, :14], text[1:, :3])
    torch.testing.assert_close(together[1:, :3, :14], alone)
    torch.testing.assert_close(seen[1:, :3], seen_alone)
    assert (together[1, 3:] == MASKED).all() and (together[1, :, 14:] == MASKED).all()


def test_the_answer_is_the_mean_of_both_encoders_and_alignability_is_of_the_third_stage():
    aligner = build()
    video, text = features()
    output = aligner(video, text)
    logits, seen = aligner.align(video, text)
    torch.testing.assert_close(logits, (output.dual.cosine()[-1] + output.joint.cosine()[-1]) / 0.14)
    torch.testing.assert_close(seen, output.joint_alignability[2])


def test_without_the_head_nothing_is_said_of_alignability():
    aligner = build(alignability_head=False)
    video, text = features()
    assert aligner.align(video, text)[1] is None
    assert aligner.align_in_windows(video[0], text[0], sliding_windows(20, 5, 64, 16))[1] is None


@pytest.mark.parametrize("pos_enc", ["learned", "sine"])
def test_a_stretched_table_of_as_many_rows_as_frames_is_the_table(pos_enc):
    aligner = build(pos_enc=pos_enc, use_text_pos_enc=True)
    video, text = features()
    stretched = aligner(video, text, interpolate_video_from=20, interpolate_text_from=5)
    torch.testing.assert_close(stretched.joint.cosine(), aligner(video, text).joint.cosine())


def test_a_video_longer_than_the_table_wants_a_stretched_one():
    aligner = build()
    video, text = features(frames=70)
    with pytest.raises(ValueError, match="64 positions"):
        aligner(video, text)
    assert aligner(video, text, interpolate_video_from=64).dual.cosine().shape[-1] == 70


def test_a_random_start_is_for_training_only():
    aligner = build(random_pos_start=True)
    video, text = features(frames=40)
    torch.testing.assert_close(aligner(video, text).dual.video, build()(video, text).dual.video)
    aligner.train()
    starts = [aligner(video, text).dual.video for _ in range(6)]
    assert any((start - starts[0]).abs().max() > 1e-3 for start in starts)
    assert aligner(video[:, :1], text[:, :1]).dual.video.shape[2] == 1  # the official draw from [0, 0) raises


def test_windows_start_every_quarter_until_the_last_half():
    assert [w.frames for w in sliding_windows(100, 7, 64, 16)] == [
        range(64),
        range(16, 80),
        range(32, 96),
        range(48, 100),
        range(64, 100),
    ]
    assert sliding_windows(100, 7, 64, 16)[0].texts == range(7)


@pytest.mark.parametrize("frames", [1, 31, 32, 33, 64, 65, 1199, 1200, 1201, 1800, 1801])
@pytest.mark.parametrize(("length", "hop"), [(64, 16), (1200, 600)])
def test_windows_cover_every_frame(frames, length, hop):
    windows = sliding_windows(frames, 1, length, hop)
    assert set().union(*(window.frames for window in windows)) == set(range(frames))


def test_windows_meet_the_texts_from_the_first_to_the_last_trusted_one_around_them():
    # one text every 20 s; the times of texts 0 to 3, 9 and 10 may not be looked at
    mids = 20.0 * torch.arange(20)
    trusted = torch.ones(20).bool()
    trusted[[0, 1, 2, 3, 9, 10]] = False
    windows = {w.frames.start: w.texts for w in windows_by_time(400, mids, trusted)}
    assert windows[0] == range(7)  # 4 to 6 lie in [-64, 128]; the first windows reach back to text 0
    assert windows[64] == range(4, 9)  # [0, 192] would hold 9 too, which is not trusted
    assert windows[128] == range(4, 13)  # [64, 256]
    assert windows[352] == range(15, 20)  # [288, 480]
    assert 32 in windows and windows[48] == range(9)


def test_windows_without_a_trusted_text_are_left_out():
    mids, trusted = torch.tensor([10.0, 300.0]), torch.tensor([True, False])
    assert [w.frames.start for w in windows_by_time(400, mids, trusted)] == [0, 16, 32, 48, 64]
    assert windows_by_time(400, mids, torch.zeros(2).bool()) == []


def test_one_window_is_the_full_pass():
    aligner = build()
    video, text = features(frames=30)
    logits, seen = aligner.align_in_windows(video[0], text[0], sliding_windows(30, 5, 64, 16))
    whole, seen_whole = aligner.align(video[:1], text[:1])
    torch.testing.assert_close(logits, whole[0])
    torch.testing.assert_close(seen, seen_whole[0])


def test_windows_are_averaged_by_coverage_and_what_none_saw_is_masked():
    aligner = build()
    video, text = (tensor[0] for tensor in features(frames=100, texts=3))
    windows = sliding_windows(100, 3, 64, 16)[:2]
    windows = [windows[0], type(windows[1])(windows[1].frames, range(1, 3))]
    logits, seen = aligner.align_in_windows(video, text, windows)
    (first, seen_first), (second, seen_second) = (
        aligner.align(video[None, a:b], text[None, c:]) for a, b, c in [(0, 64, 0), (16, 80, 1)]
    )
    torch.testing.assert_close(logits[0, :64], first[0, 0])
    torch.testing.assert_close(logits[1:, 16:64], (first[0, 1:, 16:] + second[0, :, :48]) / 2)
    torch.testing.assert_close(logits[1:, 64:80], second[0, :, 48:])
    assert (logits[0, 64:] == MASKED).all() and (logits[:, 80:] == MASKED).all()
    torch.testing.assert_close(seen[1:], (seen_first[0, 1:] + seen_second[0]) / 2)


def test_no_window_is_no_answer():
    video, text = (tensor[0] for tensor in features())
    with pytest.raises(ValueError, match="no window"):
        build().align_in_windows(video, text, [])


def test_gradients_reach_all_that_is_used():
    aligner = build(use_text_pos_enc=True)
    output = aligner(*features())
    parts = [*vars(output.dual).values(), *vars(output.joint).values(), output.joint_alignability]
    sum((part * torch.randn_like(part)).sum() for part in parts).backward()
    assert {name for name, p in aligner.named_parameters() if p.grad is None} == {"mlp.weight", "mlp.bias"}


def test_the_order_of_words_and_their_padding_do_not_matter():
    torch.manual_seed(0)
    tower = Word2VecText(vocabulary=9, word_width=4, hidden=7, width=3)
    long, short = tower(torch.tensor([[3, 1, 5, 0, 0]])), tower(torch.tensor([[5, 3, 1]]))
    torch.testing.assert_close(long, short)
    torch.testing.assert_close(tower(torch.tensor([[4]])), tower.each_word(torch.tensor([[4]]))[:, 0])


def test_a_sentence_of_unknown_words_is_still_a_vector():
    assert Word2VecText(9, 4, 7, 3)(torch.zeros(2, 5, dtype=torch.int64)).isfinite().all()


@pytest.mark.parametrize("wrong", [{"encoder_layers": 0}, {"heads": 3}, {"pos_enc": "none"}])
def test_sizes_that_give_no_model_are_refused(wrong):
    with pytest.raises(ValueError):
        TanConfig(**{**vars(SMALL), **wrong})
