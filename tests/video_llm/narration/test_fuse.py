"""Signals to places: what they agree on, what they say of lines that are not shown, and what order adds."""

from itertools import product

import numpy as np
import pytest

from tvu.temporal.types import Span
from tvu.video_llm.narration import fuse as fusing
from tvu.video_llm.narration.fuse import FusionConfig, Place, Posterior, decide_order, fuse, fused_lines
from tvu.video_llm.narration.types import Candidate, Line, Script

CONFIG = FusionConfig()


def script(count):
    return Script(tuple(Line(f"line {i}") for i in range(count)), "txt")


def seen(*places, evidence="visual"):
    return tuple(Candidate(Span(a, b), p, evidence) for a, b, p in places)


def test_one_signal_is_believed_as_it_is():
    told = fuse(script(2), {"visual": (seen((0, 5, 0.9)), seen((5, 9, 0.3)))}, "free", 20.0, CONFIG)
    assert told[0].span == Span(0, 5)
    assert told[0].confidence == pytest.approx(0.9, abs=0.02)
    assert told[0].evidence == ("visual",)
    assert told[1].span is None, "less likely shown than not"
    assert told[1].confidence == pytest.approx(0.3, abs=0.05), "the probability that it is shown at all"


def test_signals_that_agree_are_surer_than_each_and_the_sharper_one_gives_the_span():
    signals = {"visual": (seen((0, 10, 0.7)),), "speech": (seen((2, 4, 0.8), evidence="speech"),)}
    (line,) = fuse(script(1), signals, "free", 60.0, CONFIG)
    assert line.span == Span(2, 4)
    assert line.confidence > 0.9
    assert line.evidence == ("speech", "visual")


def test_where_signals_disagree_the_surer_one_is_believed():
    signals = {"visual": (seen((0, 10, 0.6)),), "speech": (seen((30, 32, 0.97), evidence="speech"),)}
    (line,) = fuse(script(1), signals, "free", 60.0, CONFIG)
    assert line.span == Span(30, 32)
    assert line.evidence == ("speech",)


def test_a_line_may_be_said_while_something_else_is_shown():
    speech = (seen((28, 30, 0.95), evidence="speech"),)
    for visual in (seen((22, 26, 0.99)), ()):  # it is seen a moment before, or not at all
        (line,) = fuse(script(1), {"speech": speech, "visual": (visual,)}, "free", 60.0, CONFIG)
        assert line.span == Span(28, 30)
        assert line.confidence > 0.7


def test_what_is_seen_decides_between_two_places_where_a_line_is_heard():
    speech = (seen((10, 12, 0.5), (40, 42, 0.45), evidence="speech"),)
    (line,) = fuse(script(1), {"speech": speech, "visual": (seen((38, 45, 0.9)),)}, "free", 60.0, CONFIG)
    assert line.span == Span(40, 42)
    assert line.evidence == ("visual", "speech")


def test_a_place_that_is_surely_heard_all_but_rules_out_others():
    speech = (seen((30, 32, 0.99), (24, 25, 0.2), evidence="speech"),)
    (line,) = fuse(script(1), {"speech": speech, "visual": (seen((22, 26, 0.99)),)}, "free", 60.0, CONFIG)
    assert line.span == Span(30, 32)


def test_a_line_that_is_not_heard_is_told_where_it_is_seen():
    speech = (*(seen((5 * i, 5 * i + 2, 0.9), evidence="speech") for i in range(5)), seen((3, 4, 0.05)))
    visual = ((),) * 5 + (seen((40, 45, 0.95)),)
    told = fuse(script(6), {"speech": speech, "visual": visual}, "free", 60.0, CONFIG)
    assert told[5].span == Span(40, 45)


def test_a_signal_that_finds_nothing_at_all_changes_nothing():
    visual = (seen((0, 5, 0.9)), seen((5, 9, 0.8)))
    alone = fuse(script(2), {"visual": visual}, "free", 20.0, CONFIG)
    assert fuse(script(2), {"visual": visual, "speech": ((), ())}, "free", 20.0, CONFIG) == alone


def test_a_line_that_is_not_said_is_doubted_where_the_others_are():
    visual = tuple(seen((5 * i, 5 * i + 5, 0.55)) for i in range(6))
    speech = (*(seen((5 * i + 1, 5 * i + 2, 0.95), evidence="speech") for i in range(5)), ())
    with_speech = fused_lines(script(6), {"visual": visual, "speech": speech}, "free", 30.0, CONFIG)
    alone = fused_lines(script(6), {"visual": visual}, "free", 30.0, CONFIG)
    assert with_speech[5].shown < alone[5].shown - 0.2


def test_nothing_is_told_where_no_signal_says_anything():
    told = fuse(script(2), {"visual": ((), ())}, "monotone", 20.0, CONFIG)
    assert [line.span for line in told] == [None, None]
    assert fuse(script(0), {}, "monotone", 20.0, CONFIG) == ()


def test_a_signal_about_another_text_is_refused():
    with pytest.raises(ValueError, match="speaks of 1 lines"):
        fuse(script(2), {"visual": ((),)}, "free", 20.0, CONFIG)


def test_order_decides_between_places_that_look_alike():
    visual = (
        seen((0, 5, 0.9)),
        seen((20, 25, 0.5), (7, 12, 0.45)),
        seen((14, 19, 0.9)),
    )
    free = fuse(script(3), {"visual": visual}, "free", 30.0, CONFIG)
    ordered = fuse(script(3), {"visual": visual}, "monotone", 30.0, CONFIG)
    assert free[1].span == Span(20, 25)
    assert ordered[1].span == Span(7, 12)
    assert ordered[1].confidence > 0.6


def test_lines_may_share_a_place_but_never_go_back():
    visual = (seen((0, 10, 0.9)), seen((0, 10, 0.9)), seen((12, 15, 0.9)), seen((0, 10, 0.6)))
    told = fuse(script(4), {"visual": visual}, "monotone", 20.0, CONFIG)
    assert [line.span for line in told] == [Span(0, 10), Span(0, 10), Span(12, 15), None]


def drawn(rng, lines):
    posteriors = []
    for _ in range(lines):
        p = rng.dirichlet(np.ones(4))
        starts = rng.integers(0, 12, 2)
        spans = [Span(float(a), float(a + rng.integers(1, 6))) for a in starts]
        posteriors.append(
            Posterior(
                tuple(Place(s, float(q), (("visual", 0.5),)) for s, q in zip(spans, p, strict=False)), float(p[3])
            )
        )
    return posteriors


def in_time(spans):
    now = -np.inf
    for span in spans:
        now = max(now, span.start_seconds)
        if now >= span.end_seconds:
            return False
    return True


@pytest.mark.parametrize("seed", range(8))
def test_the_best_path_and_its_probabilities_are_those_of_trying_every_path(seed):
    posteriors = drawn(np.random.default_rng(seed), 5)
    weights = [np.append(fusing._weights(p), p.absent) for p in posteriors]
    total, best = np.zeros((5, 3)), (-1.0, ())
    for path in product(range(3), repeat=5):
        if in_time([posteriors[i].places[j].span for i, j in enumerate(path) if j < 2]):
            weight = float(np.prod([weights[i][j] for i, j in enumerate(path)]))
            for i, j in enumerate(path):
                total[i, j] += weight
            best = max(best, (weight, path))
    total /= total.sum(axis=1, keepdims=True)
    chosen = fusing._best_path(fusing._lattice(posteriors))
    assert [j if j >= 0 else 2 for j in chosen] == list(best[1])
    for i, marginal in enumerate(fusing._marginals(posteriors, -np.inf, 1.0)):
        assert marginal.absent == pytest.approx(total[i, 2])
        looked = sum(p.probability for p in posteriors[i].places) / (1 - posteriors[i].absent)
        assert [p.probability for p in marginal.places] == pytest.approx(total[i, :2] * looked)


def test_a_long_text_in_blocks_is_placed_as_in_one(monkeypatch):
    visual = tuple(seen((3 * i, 3 * i + 3, 0.8), ((7 * i) % 90, (7 * i) % 90 + 3, 0.15)) for i in range(30))
    whole = fuse(script(30), {"visual": visual}, "monotone", 93.0, CONFIG)
    monkeypatch.setattr(fusing, "LINES_AT_ONCE", 7)
    monkeypatch.setattr(fusing, "LINES_AROUND", 5)
    blocks = fuse(script(30), {"visual": visual}, "monotone", 93.0, CONFIG)
    assert [line.span for line in blocks] == [line.span for line in whole]
    assert [line.confidence for line in blocks] == pytest.approx([line.confidence for line in whole], abs=0.01)


def test_thousands_of_lines_are_placed_within_seconds():
    speech = tuple(seen((i, i + 1, 0.9), evidence="speech") for i in range(4000))
    told = fuse(script(4000), {"speech": speech}, "monotone", 4001.0, CONFIG)
    assert [line.span.start_seconds for line in told] == list(range(4000))


def test_the_order_of_the_text_is_told_from_chance():
    visual = tuple(seen((5 * i, 5 * i + 5, 0.8)) for i in range(12))
    shuffled = tuple(visual[i] for i in np.random.default_rng(1).permutation(12))
    assert decide_order(script(12), {"visual": visual}, 60.0, CONFIG) == "monotone"
    assert decide_order(script(12), {"visual": shuffled}, 60.0, CONFIG) == "free"


def test_what_ships_is_a_valid_configuration():
    assert 0 < fusing.shipped_config().not_shown < 1
