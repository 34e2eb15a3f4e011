"""Shots where the picture changes for good, and what a question is told of them."""

from math import log

import pytest
import torch
from torch import Tensor

from tvu.temporal.types import VisualTokens
from tvu.video_llm.lite.shots import NEAR, SHOT_NUMBERS, Shots, candidates, features_of, find_shots, neighbours

LOOKS = {  # a letter is a picture, and "." none
    "A": (1.0, 0.0, 0.0),
    "B": (0.0, 1.0, 0.0),
    "C": (0.0, 0.0, 1.0),
    "a": (0.8, 0.6, 0.0),  # a cosine of 0.8 with A: no cut
    "h": (0.5, 0.75**0.5, 0.0),  # half like A, which is a cut
    ".": (9.0, 9.0, 9.0),
}


def tokens_of(steps: list[int], start: float = 0.0) -> VisualTokens:
    """A token for every two steps, half a second."""
    counts = [(each + 1) // 2 for each in steps]
    starts = start + torch.arange(max(counts), dtype=torch.float64) / 2
    spans = torch.stack([starts, starts + 0.5], -1).expand(len(steps), -1, -1)
    return VisualTokens.from_frames(torch.zeros(*spans.shape[:2], 1, 1), spans, (1, 1), torch.tensor(counts))


def shots_of(*videos: str, start: float = 0.0) -> Shots:
    """A letter is a quarter second."""
    steps = [len(video) for video in videos]
    padded = [video.ljust(max(steps), ".") for video in videos]
    features = torch.tensor([[LOOKS[letter] for letter in video] for video in padded])
    there = torch.tensor([[letter != "." for letter in video] for video in padded])
    return find_shots(features * 7, there, torch.tensor(steps), tokens_of(steps, start))  # how bright: no matter


def edges_of(video: str) -> list[float]:
    shots = shots_of(video)
    return shots.edges[0, : int(shots.counts[0]) + 1].tolist()


# --- where shots meet ---


def test_a_cut_is_where_the_picture_changes_for_good():
    assert edges_of("AAAAAABBBBAA") == [0.0, 1.5, 2.5, 3.0]


@pytest.mark.parametrize("video", ["AAAABAAAAAAA", "AAAABBAAAAAA", "AAAABCAAAAAA"])
def test_a_frame_or_two_that_flicker_are_no_cut(video):
    assert edges_of(video) == [0.0, 3.0]


def test_a_picture_that_changes_little_is_no_cut():
    assert edges_of("AAAAaaaaAAAA") == [0.0, 3.0]


@pytest.mark.parametrize("video", ["AAAA..AAAAAA", "AAAA..BBBBBB", "....AAAAAAAA", "AAAAAAAA....", "............"])
def test_steps_without_pictures_make_no_cut(video):
    assert edges_of(video) == [0.0, 3.0]


@pytest.mark.parametrize("video", ["A", "AA", "."])
def test_a_video_too_short_for_a_cut_is_one_shot(video):
    assert edges_of(video) == [0.0, 0.5]


def test_shots_are_told_in_the_seconds_of_the_tokens():
    assert shots_of("AAAAAABBBB", start=60.0).edges.tolist() == [[60.0, 61.5, 62.5]]


# --- what is known of them ---

HALF = "AAAAhhhhhhAA"  # shots of 1, 1.5 and 0.5 s; the last is as the first


def test_shots_know_how_much_changes_and_what_is_alike():
    shots = shots_of(HALF)
    assert shots.counts.tolist() == [3] and shots.is_shot.tolist() == [[True] * 3]
    assert shots.edges.tolist() == [[0.0, 1.0, 2.5, 3.0]]
    assert shots.of_token.tolist() == [[0, 0, 1, 1, 1, 2]]
    torch.testing.assert_close(shots.changes, torch.tensor([[0.0, 0.5, 0.5, 0.0]]))
    before_and_after = [[0, 0, 0, 0.5, 1, 0], [0, 0, 0.5, 0.5, 0, 0], [0, 1, 0.5, 0, 0, 0]]
    torch.testing.assert_close(shots.alike[0], torch.tensor(before_and_after))


def test_a_token_whose_middle_is_cut_is_of_the_later_shot():
    assert shots_of("AAABBBBB").of_token.tolist() == [[0, 1, 1, 1]]


def test_a_shorter_video_is_told_the_same_alone_and_in_a_batch():
    both, alone = shots_of("AAAAAABBBBBBCCCCCC", "BBBBAAAA"), shots_of("BBBBAAAA")
    assert both.counts.tolist() == [3, 2]
    assert both.is_shot.tolist() == [[True] * 3, [True, True, False]]
    for name, size in {"edges": 3, "changes": 3, "of_token": 4, "alike": 2}.items():
        torch.testing.assert_close(getattr(both, name)[1, :size], getattr(alone, name)[0])
    assert both.edges[1, 3] == alone.edges[0, -1] and both.changes[1, 3] == 0  # what it has fewer of is empty
    assert not both.alike[1, 2].any() and int(both.of_token[1].max()) == 1


def test_neighbours_are_those_before_and_after_without_oneself():
    assert NEAR == 3
    table = torch.arange(1.0, 10.0).view(1, 3, 3)
    assert neighbours(table)[0].tolist() == [[0, 0, 0, 2, 3, 0], [0, 0, 4, 6, 0, 0], [0, 7, 8, 0, 0, 0]]


def test_a_span_may_begin_and_end_at_edges_near_by_or_else_at_the_first_and_the_last():
    starts, ends = candidates(shots_of(HALF, "AAAABBBB"), torch.tensor([0, 1]))
    assert starts[0, 2].tolist() == [1.0, 0.0, 0.0, 0.0] and ends[0, 2].tolist() == [2.5, 3.0, 3.0, 3.0]
    assert starts[0, 5].tolist() == [2.5, 1.0, 0.0, 0.0] and ends[0, 5].tolist() == [3.0] * 4
    assert starts[1, 0].tolist() == [0.0] * 4 and ends[1, 0].tolist() == [1.0, 2.0, 2.0, 2.0]


# --- what a question is told of them ---

PRIOR = (3.0, 3.0, 6.0, 6.0, 6.0, -3.0)  # standard deviations of each token: 1, 2 and -1 thirds of shots


def told_of(*videos: str, prior: Tensor, video: list[int] | None = None) -> Tensor:
    tokens, of = tokens_of([len(each) for each in videos]), torch.tensor(video or [0])
    return features_of(prior, shots_of(*videos), of, tokens.mask[of], tokens.spans[of])


def test_a_token_is_told_of_its_own_shot_and_those_around_it():
    told = told_of(HALF, prior=torch.tensor([PRIOR]))
    assert told.shape == (1, 6, SHOT_NUMBERS)
    expected = [
        *(0, 0, 1, 2, -1, 0, 0),  # priors: of 3 before, its own, and 3 after
        *(0, 2),  # its own below the best, and the best
        *(0, 0, log(1.25), log(1.75), log(0.75), 0, 0),  # seconds, and a quarter
        *(0, 0, 1, 1, 0, 0),  # where there are shots
        *(0, 0, 0.5, 0.5, 0, 0),  # that are half alike
        *(0.5, 0.5),  # how much changes where it begins and ends
        *(1 / 6, log(1.75)),  # how far the token is in it, and how long it is
    ]
    torch.testing.assert_close(told[0, 2], torch.tensor(expected))


def test_a_shot_in_which_no_token_has_its_middle_is_not_told():
    edges, changes = torch.tensor([[0.0, 0.5, 0.7, 1.5]]), torch.tensor([[0.0, 0.9, 0.9, 0.0]])
    shots = Shots(edges, changes, torch.tensor([[0, 2, 2]]), torch.zeros(1, 3, 2 * NEAR), torch.tensor([3]))
    tokens = tokens_of([6])
    told = features_of(torch.tensor([[-3.0, -6.0, -6.0]]), shots, torch.tensor([0]), tokens.mask, tokens.spans)
    priors, best = told[0, 0, :7], told[0, 0, 8]
    assert priors.tolist() == [0, 0, 0, -1, 0, -2, 0] and best == -1


def test_padding_is_told_nothing_and_changes_nothing():
    two = torch.tensor([PRIOR, (6.0, -3.0, 9.0, 3.0, 99.0, 99.0)])
    told = told_of(HALF, "AAAABBBB", prior=two, video=[0, 1])
    assert not told[1, 4:].any() and told.isfinite().all()
    torch.testing.assert_close(told[:1], told_of(HALF, prior=two[:1]))
    torch.testing.assert_close(told[1:, :4], told_of("AAAABBBB", prior=two[1:, :4]))


def test_questions_about_one_video_are_told_each_its_own():
    told = told_of(HALF, prior=torch.tensor([PRIOR, [-each for each in PRIOR]]), video=[0, 0])
    torch.testing.assert_close(told[0, :, 3], -told[1, :, 3])
    torch.testing.assert_close(told[0, :, 9:], told[1, :, 9:])  # all but the priors
