"""No check draws the same noise twice: neither a stream's name and block, nor a torch seed."""

import sys
from collections import Counter
from typing import Any
from zlib import crc32

import numpy as np
import pytest
import torch

from wildmiddle.checks import statistics
from wildmiddle.checks.memorization import model_peak
from wildmiddle.checks.registry import checks
from wildmiddle.checks.settings import Settings
from wildmiddle.checks.statistics import settle
from wildmiddle.checks.study import Study
from wildmiddle.empirical import noise
from wildmiddle.models import EmpiricalDenoiser

SEED = 20261126


class Spy:
    """Counts what every random generator was started from, under the name of its stream."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.starts: Counter[tuple[str, int]] = Counter()
        starts, names = self.starts, {}
        hash_name, sequence, generator = crc32, np.random.SeedSequence, torch.Generator

        def spied_hash(name: bytes) -> int:
            code = hash_name(name)
            assert names.setdefault(code, name.decode()) == name.decode(), "one code of two names"
            return code

        def spied_sequence(entropy: list[int]) -> np.random.SeedSequence:
            _, code, block = entropy
            starts[names[code], block] += 1
            return sequence(entropy)

        class SpiedGenerator:
            def manual_seed(self, seed: int) -> torch.Generator:
                starts["torch", seed] += 1
                return generator().manual_seed(seed)

        patch.setattr(noise, "crc32", spied_hash)
        patch.setattr(np.random, "SeedSequence", spied_sequence)
        patch.setattr(torch, "Generator", SpiedGenerator)

    @property
    def twice(self) -> set[str]:
        """Names of the streams of which some block was drawn more than once."""
        return {name for (name, _), times in self.starts.items() if times > 1}


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> Spy:
    # Rounds so short that nothing is settled by the first: each name is seen to differ.
    monkeypatch.setattr(statistics, "FIRST_DRAWS", 16)
    return Spy(monkeypatch)


def study(shape: tuple[int, int], c: float) -> Study:
    images = np.random.default_rng(SEED).uniform(-1, 1, (50, *shape))
    return Study(images[:30], images[30:], Settings(c=c, samples=200, seed=SEED, device="cpu"))


def run(study: Study, *claims: str) -> None:
    _ = study.curves
    for claim in claims:
        list(checks()[claim](study, 1e-7))
    model_peak(study, EmpiricalDenoiser(study.train, "cpu"), 1e-7, outputs=20)


def test_no_noise_is_drawn_twice(spy: Spy) -> None:
    # In 16 dimensions, at this c, an instance of Definition 4.7 is that of the images.
    run(study((4, 4), 1.0), *checks())
    assert len(spy.starts) > 300
    assert not spy.twice


def test_no_noise_is_drawn_twice_in_the_dimension_of_an_instance(spy: Spy) -> None:
    run(study((2, 2), 0.9), "4.5")
    assert not spy.twice


def test_noise_drawn_twice_is_seen_in_every_check(
    spy: Spy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given one name for all of its rounds, each comparison that is settled draws noise twice."""
    settled = []

    def settle_in_one_stream(draw: Any, *given: Any, stream: str, **options: Any) -> Any:
        settled.append(stream)
        return settle(lambda n, _, open_: draw(n, stream, open_), *given, stream=stream, **options)

    for name, module in list(sys.modules.items()):
        if name.startswith("wildmiddle.checks.") and getattr(module, "settle", None) is settle:
            monkeypatch.setattr(module, "settle", settle_in_one_stream)
    run(study((4, 4), 0.9), *checks())
    assert len(settled) > 50
    assert len(set(settled)) == len(settled)
    unseen = [name for name in settled if not any(s.startswith(name) for s in spy.twice)]
    assert not unseen


def test_what_a_block_draws_besides_its_noise_is_its_own() -> None:
    first, second = noise.blocks(SEED, "test", 2 * noise.BLOCK, 3)
    drawn = [
        block.generator(name).random() for block in (first, second) for name in ("sets", "other")
    ]
    assert len(set(drawn)) == 4
    assert first.generator("sets").random() == drawn[0]
