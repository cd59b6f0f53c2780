"""Defaults that are published constants or decide what a run repeats."""

import dataclasses

from wildmiddle.models.settings import Training


def test_objectives_have_the_published_constants() -> None:
    training = Training()
    # EDM: Karras et al. 2022, Table 1. DDPM: Ho et al. 2020, Section 4.
    assert (training.log_sigma_mean, training.log_sigma_std) == (-1.2, 1.2)
    assert (training.timesteps, training.beta_start, training.beta_end) == (1000, 1e-4, 0.02)


def test_no_remedy_is_on_unless_asked_for() -> None:
    training = Training()
    assert (training.gap, training.flips, training.dummy, training.seed) == ((), False, False, 0)
    assert training.mixed_precision == "no"
    assert dataclasses.replace(training, gap=((1.0, 2.0),)).gap == ((1.0, 2.0),)
