"""The published test protocol: which frames, which crops, in which order, and how they become one answer."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tvu.temporal.squeezetime.network import squeeze_time
from tvu.temporal.squeezetime.views import (
    HMDB51_TEST,
    KINETICS_TEST,
    KINETICS_VALIDATION,
    MEAN,
    STD,
    Protocol,
    clip_indices,
    crop_corners,
    mean_probabilities,
    normalise,
    resize,
    short_side_size,
    views_of,
)


def test_ten_clips_of_300_frames_start_where_the_published_code_starts_them():
    indices = clip_indices(300, KINETICS_TEST)
    assert indices[:, 0].tolist() == [0, 27, 53, 80, 106, 133, 159, 186, 212, 239]
    assert indices[9].tolist() == list(range(239, 300, 4))


def test_one_clip_is_in_the_middle():
    assert clip_indices(300, KINETICS_VALIDATION)[:, 0].tolist() == [119]


def test_halves_round_to_even():
    assert clip_indices(62, Protocol(3, 1, 224, 224))[:, 0].tolist() == [0, 0, 1]
    assert clip_indices(64, Protocol(3, 1, 224, 224))[:, 0].tolist() == [0, 2, 3]


def test_a_short_video_starts_again_at_its_first_frame():
    assert clip_indices(10, HMDB51_TEST)[1].tolist() == [0, 4, 8, 2, 6] * 3 + [0]
    assert clip_indices(1, HMDB51_TEST).tolist() == [[0] * 16] * 2


@given(st.integers(1, 2000), st.integers(1, 12), st.integers(1, 32), st.integers(1, 12))
def test_clips_stay_inside_the_video_and_reach_its_end(num_frames, clips, length, interval):
    indices = clip_indices(num_frames, Protocol(clips, 1, 8, 8, length, interval))
    assert indices.shape == (clips, length)
    assert indices.min() >= 0 and indices.max() < num_frames
    if clips > 1 and num_frames > (length - 1) * interval:
        assert indices[0, 0] == 0 and indices[-1, -1] == num_frames - 1


def test_the_short_side_gets_its_size_and_the_long_one_its_share():
    assert short_side_size(360, 640, 224) == (224, 398)
    assert short_side_size(640, 360, 256) == (455, 256)
    assert short_side_size(240, 320, 286) == (286, 381)
    assert short_side_size(1, 1, 224) == (224, 224)


@pytest.mark.parametrize("size", [(224, 398), (90, 160), (37, 53), (286, 381)])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_resizing_is_within_a_level_of_opencv(size, layout):
    cv2 = pytest.importorskip("cv2")
    pictures = np.random.default_rng(0).integers(0, 256, (3, 120, 213, 3), dtype=np.uint8)
    ours = resize(torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous(memory_format=layout), *size)
    assert ours.dtype == torch.uint8
    for picture, resized in zip(pictures, ours, strict=True):
        theirs = cv2.resize(picture, size[::-1], interpolation=cv2.INTER_LINEAR)
        assert np.abs(resized.permute(1, 2, 0).numpy().astype(int) - theirs).max() <= 1


def test_frames_of_the_right_size_are_not_resized():
    frames = torch.zeros(2, 3, 7, 9, dtype=torch.uint8)
    assert resize(frames, 7, 9) is frames


def test_three_crops_are_left_right_middle_and_for_tall_videos_top_bottom_middle():
    assert crop_corners(224, 399, KINETICS_TEST) == [(0, 0), (0, 174), (0, 87)]  # the right crop ends a column early
    assert crop_corners(398, 224, KINETICS_TEST) == [(0, 0), (174, 0), (87, 0)]
    assert crop_corners(256, 456, KINETICS_VALIDATION) == [(16, 116)]


def test_views_go_crop_after_crop_and_in_each_clip_after_clip():
    protocol = Protocol(num_clips=2, num_crops=3, short_side=2, crop_side=2, num_frames=2)
    frame = torch.arange(4).repeat_interleave(3 * 2 * 6).view(4, 3, 2, 6) * 10  # ten times the frame's number
    column = torch.arange(6).view(1, 1, 1, 6)
    views = views_of((frame + column).to(torch.uint8), protocol)
    assert views.shape == (6, 3, 2, 2, 2)
    assert views[:, 0, :, 0, 0].tolist() == [[0, 10], [20, 30], [4, 14], [24, 34], [2, 12], [22, 32]]


def test_the_published_protocols_make_30_and_6_views():
    assert KINETICS_TEST.num_views == 30 and HMDB51_TEST.num_views == 6
    frames = torch.zeros(32, 3, 286, 300, dtype=torch.uint8)
    assert views_of(frames, HMDB51_TEST).shape == (6, 3, 16, 286, 286)


def test_frames_that_do_not_fit_the_protocol_are_refused():
    for shape in [(31, 3, 286, 300), (32, 3, 285, 300)]:
        with pytest.raises(ValueError, match="do not fit"):
            views_of(torch.zeros(shape, dtype=torch.uint8), HMDB51_TEST)


def test_protocols_check_themselves():
    for wrong in [(0, 1, 8, 8), (1, 2, 8, 8), (1, 3, 9, 8), (1, 1, 7, 8)]:
        with pytest.raises(ValueError):
            Protocol(*wrong)


def test_normalising_takes_each_colours_mean_to_0_and_a_deviation_to_1():
    pixels = torch.tensor([MEAN, [mean + std for mean, std in zip(MEAN, STD, strict=True)]]).T.view(1, 3, 2, 1, 1)
    torch.testing.assert_close(normalise(pixels)[0, :, :, 0, 0], torch.tensor([[0.0, 1.0]] * 3))
    assert normalise(torch.zeros(1, 3, 1, 2, 2, dtype=torch.uint8), torch.bfloat16).dtype == torch.bfloat16


def test_normalised_pixels_are_squeezed_without_a_copy():
    video = normalise(torch.zeros(2, 3, 4, 5, 6, dtype=torch.uint8))
    squeezed = squeeze_time(video)
    assert squeezed.data_ptr() == video.data_ptr() and squeezed.is_contiguous(memory_format=torch.channels_last)


def test_views_are_averaged_as_probabilities_and_not_as_logits():
    logits = torch.tensor([[10.0, 0.0], [0.0, 1.0]])
    expected = (torch.tensor([1 / (1 + np.exp(-10)), 1 / (1 + np.exp(1))])).mean().item()
    assert mean_probabilities(logits)[0].item() == pytest.approx(expected, abs=1e-6)
