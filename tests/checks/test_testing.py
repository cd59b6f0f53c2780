"""The assertions for other people's tests: how often they fail on true claims and on false ones."""

import numpy as np
import pytest

from wildmiddle.testing import assert_mean_in, assert_rate_below, assert_same_distribution

TRIALS = 200


def failures(assertion, draw, seed: int = 0) -> int:
    rng, count = np.random.default_rng(seed), 0
    for _ in range(TRIALS):
        try:
            assertion(draw(rng))
        except AssertionError:
            count += 1
    return count


@pytest.mark.parametrize(
    ("assertion", "draw"),
    [
        (lambda x: assert_rate_below(x, 0.3, alpha=0.1), lambda rng: rng.random(80) < 0.3),
        (lambda x: assert_mean_in(x, 0.5, 0.6, alpha=0.1), lambda rng: rng.random(80)),
        (
            lambda x: assert_same_distribution(x[0], x[1], alpha=0.1),
            lambda rng: rng.normal(size=(2, 60)),
        ),
    ],
)
def test_a_true_claim_fails_no_more_often_than_said(assertion, draw, expect_rate) -> None:
    expect_rate(failures(assertion, draw), TRIALS, "<=", 0.1, seed=0, what="failures")


@pytest.mark.parametrize(
    ("assertion", "draw"),
    [
        (lambda x: assert_rate_below(x, 0.1), lambda rng: rng.random(200) < 0.4),
        (lambda x: assert_mean_in(x, 0.6, 0.7), lambda rng: rng.random(1500)),
        (lambda x: assert_mean_in(x, 0.2, 0.4), lambda rng: rng.random(1500)),
        (
            lambda x: assert_same_distribution(x[0], x[1]),
            lambda rng: np.array([[0], [1]]) + rng.normal(size=(2, 400)),
        ),
    ],
)
def test_a_false_claim_fails(assertion, draw) -> None:
    assert failures(assertion, draw) == TRIALS


def test_the_message_says_what_was_seen_and_what_could_have_been() -> None:
    with pytest.raises(AssertionError, match=r"0\.75 \[0\.\d+, 0\.\d+\], not <= 0\.1: n = 200"):
        assert_rate_below([True] * 150 + [False] * 50, 0.1)
    with pytest.raises(AssertionError, match="differ by 1 at"):
        assert_same_distribution(np.arange(100.0), np.arange(200.0, 300.0))


def test_too_few_draws_for_an_effect_are_refused_with_the_number_that_is_needed() -> None:
    with pytest.raises(ValueError, match="give at least") as refusal:
        assert_rate_below([False] * 50, 0.1, effect=0.1)
    needed = int(str(refusal.value).rpartition(" ")[2])
    assert_rate_below([False] * needed, 0.1, effect=0.1)
    with pytest.raises(ValueError, match="give at least"):
        assert_rate_below([False] * (needed // 2), 0.1, effect=0.1)


@pytest.mark.parametrize(
    "use",
    [
        lambda: assert_rate_below([], 0.1),
        lambda: assert_rate_below([0.5], 0.1),
        lambda: assert_mean_in([2.0], 0, 1),
        lambda: assert_mean_in([0.5], 1, 0),
        lambda: assert_same_distribution([np.nan], [1.0]),
        lambda: assert_same_distribution([[1.0]], [1.0]),
    ],
)
def test_values_that_are_none_are_refused(use) -> None:
    with pytest.raises(ValueError, match="give"):
        use()
