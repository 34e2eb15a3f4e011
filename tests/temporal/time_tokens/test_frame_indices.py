"""Which frames the published models look at."""

import pytest

from tvu.temporal.sampling import lita_frame_indices, videochat_t_frame_indices, vtg_llm_frame_indices

RULES = [lita_frame_indices, vtg_llm_frame_indices, videochat_t_frame_indices]


def test_published_indices():
    assert lita_frame_indices(150)[:8].tolist() == [0, 2, 3, 5, 6, 8, 9, 11]
    assert lita_frame_indices(150)[-3:].tolist() == [146, 147, 149]
    assert vtg_llm_frame_indices(300)[:6].tolist() == [0, 3, 6, 9, 12, 15]
    assert vtg_llm_frame_indices(300)[-1] == 296
    assert videochat_t_frame_indices(300)[:8].tolist() == [1, 3, 6, 8, 10, 13, 15, 17]
    assert videochat_t_frame_indices(3000)[:4].tolist() == [11, 34, 58, 81]


def test_a_short_video_gives_frames_twice_or_fewer_frames():
    assert lita_frame_indices(2, 4).tolist() == [0, 0, 1, 1]
    assert vtg_llm_frame_indices(2, 4).tolist() == [0, 1]
    assert videochat_t_frame_indices(2, 4).tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("rule", RULES)
def test_indices_are_frames_of_the_video_in_order(rule):
    for num_frames in (1, 2, 7, 96, 97, 1000, 20_000):
        indices = rule(num_frames).tolist()
        assert indices == sorted(indices) and indices[0] >= 0 and indices[-1] < num_frames
    for wrong in [(0, 8), (8, 0)]:
        with pytest.raises(ValueError):
            rule(*wrong)
