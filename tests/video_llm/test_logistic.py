"""From features to probabilities."""

import numpy as np
import pytest

from tvu.video_llm.logistic import Logistic, fit_logistic, fit_signed, logit, sigmoid, signs_of


def drawn(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Two features, the second against an answer and ten times as large as the first."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, 2))
    y = rng.random(count) < sigmoid(0.5 + 2 * x[:, 0] - x[:, 1])
    return x * [1, 10] + [0, 3], y.astype(float)


def test_a_fit_finds_the_weights_that_labels_were_drawn_by():
    x, y = drawn(20000)
    assert fit_logistic(x, y) == pytest.approx((0.5 + 0.3, 2.0, -0.1), abs=0.1)  # of 20,000 coins


def test_a_fit_of_what_is_parted_entirely_is_finite():
    assert np.isfinite(fit_logistic(np.array([[-1.0], [1.0]]), np.array([0.0, 1.0]))).all()


def test_a_feature_that_never_changes_gets_no_weight():
    x, y = drawn(500)
    found = fit_logistic(np.column_stack([x, np.full(500, 7.0)]), y)
    assert found[3] == 0 and found[:3] == pytest.approx(fit_logistic(x, y))


def test_a_feature_with_a_sign_that_makes_no_sense_is_left_out():
    x, y = drawn(2000)
    found = fit_signed(x, y, signs_of(("a", "b"), speak_for=("a", "b"), speak_against=()))
    assert found[1] > 0 and found[2] == 0
    assert found[:2] == pytest.approx(fit_logistic(x[:, :1], y))
    both = fit_signed(x, y, signs_of(("a", "b"), speak_for=("a",), speak_against=("b",)))
    assert both == pytest.approx(fit_logistic(x, y))


def test_features_that_are_not_to_be_used_have_no_weight():
    x, y = drawn(2000)
    used = np.array([False, True])
    assert fit_signed(x, y, np.zeros(2), used=used)[1] == 0 and used.tolist() == [False, True]


class Pair(Logistic):
    """Of two features."""

    names = ("a", "b")


def test_a_regression_tells_probabilities_and_wants_a_weight_a_feature():
    told = Pair(1.0, (2.0, -1.0)).probability(np.array([[0.0, 1.0], [500.0, 0.0], [0.0, 900.0]]))
    assert told[0] == 0.5 and told[1] == pytest.approx(1) and 0 < told[2] < 1e-20
    with pytest.raises(ValueError, match="2 features"):
        Pair(1.0, (2.0,))


@pytest.mark.parametrize("p", [1e-5, 0.2, 0.5, 0.999])
def test_logits_are_undone(p):
    assert sigmoid(logit(p)) == pytest.approx(p)


def test_certainty_has_a_finite_logit():
    assert -14 < logit(0.0) < logit(1.0) < 14
