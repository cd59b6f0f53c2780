"""The claims as pytest items, one a claim and instance: ``pytest --claims``.

Registered as a pytest plugin when wildmiddle is installed; does nothing without ``--claims``. A
``conftest.py`` may point it at other images or at a trained model:

    def pytest_wildmiddle_data(config):
        return train, test            # arrays (N, ...) and (M, ...) in the units of sigma

    def pytest_wildmiddle_denoiser(config):
        return denoiser               # denoiser(x, sigma) -> x_hat

    def pytest_wildmiddle_most_copies(config):
        return 0.01                   # of its samples; an item fails where there are more

The items are named after their claim, so that ``-k 4.2`` picks them; bound, estimate, interval and
slack are properties in JUnit XML. The checks run while pytest collects.
"""

from collections.abc import Iterator
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import pytest

from wildmiddle.checks.settings import Settings, arguments, option

if TYPE_CHECKING:
    from wildmiddle.checks.records import Record
    from wildmiddle.models import Denoiser


class Hooks:
    """What a ``conftest.py`` may define."""

    @pytest.hookspec(firstresult=True)
    def pytest_wildmiddle_data(self, config: pytest.Config) -> tuple[Any, Any] | None:
        """Images to check the claims on, ``(train, test)``; the digits without it."""

    @pytest.hookspec(firstresult=True)
    def pytest_wildmiddle_denoiser(self, config: pytest.Config) -> "Denoiser | None":
        """A model trained on those images, whose memorization peak must lie by the danger zone."""

    @pytest.hookspec(firstresult=True)
    def pytest_wildmiddle_most_copies(self, config: pytest.Config) -> float | None:
        """Share of that model's samples that may be copies; without it no item asks."""


class ViolatedError(AssertionError):
    """A comparison that contradicts its claim."""


class RecordItem(pytest.Item):
    """One comparison: passes if it holds, is skipped if inconclusive, fails if violated."""

    def __init__(self, *, record: "Record", **kwargs: Any):
        super().__init__(**kwargs)
        self.record = record
        for name in (
            "bound",
            "estimate",
            "low",
            "high",
            "slack",
            "n",
            "alpha",
            "detectable",
            "seed",
        ):
            self.user_properties.append((name, getattr(record, name)))

    def runtest(self) -> None:
        """Turn the verdict into pytest's."""
        if self.record.verdict == "violated":
            raise ViolatedError(str(self.record))
        if self.record.verdict == "inconclusive":
            pytest.skip(str(self.record))

    def repr_failure(self, excinfo: Any, style: Any = None) -> Any:
        """The record in one line, without a traceback."""
        if isinstance(excinfo.value, ViolatedError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Any, int | None, str]:
        """Where pytest says that it stands."""
        return self.path, None, self.name


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Make the two hooks known."""
    pluginmanager.add_hookspecs(Hooks)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--claims`` and what it runs with."""
    group = parser.getgroup("wildmiddle")
    group.addoption(
        "--claims",
        nargs="?",
        const="all",
        metavar="4.2,4.8",
        help="collect the claims of arXiv 2602.17846 as tests: all, or those named after =",
    )
    for each in fields(Settings):
        group.addoption("--claims-" + option(each.name)[2:], **arguments(each.name))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Run the checks and add their records to what was collected."""
    if config.getoption("--claims") is None:
        return
    try:
        records = list(_records(config))
    except ValueError as error:
        raise pytest.UsageError(str(error)) from error
    for record in records:
        name = f"{record.claim}: {record.instance}: {record.quantity} {record.relation}"
        items.append(RecordItem.from_parent(session, name=name, record=record))


def _records(config: pytest.Config) -> Iterator["Record"]:
    from wildmiddle.checks.memorization import copies_among_samples, model_peak
    from wildmiddle.checks.registry import checks
    from wildmiddle.checks.study import Study
    from wildmiddle.checks.verify import checked_claims
    from wildmiddle.empirical.data import load

    wanted = config.getoption("--claims")
    claims = checked_claims(None if wanted == "all" else wanted)
    denoiser = config.hook.pytest_wildmiddle_denoiser(config=config)
    most_copies = config.hook.pytest_wildmiddle_most_copies(config=config)
    images = config.hook.pytest_wildmiddle_data(config=config)
    if images is None:
        digits = load()
        images = digits.train, digits.test
    settings = Settings(
        **{each.name: config.getoption(f"claims_{each.name}") for each in fields(Settings)}
    )
    if not isinstance(images, tuple | list) or len(images) != 2:
        raise ValueError("pytest_wildmiddle_data returns no pair of training and held-out images")
    if denoiser is not None and not callable(denoiser):
        raise ValueError("pytest_wildmiddle_denoiser returns no denoiser(x, sigma)")
    train, test = images
    study = Study(train, test, settings)
    if most_copies is not None and denoiser is None:
        raise ValueError(
            "pytest_wildmiddle_most_copies is given without pytest_wildmiddle_denoiser, whose "
            "samples it is about; define both"
        )
    alpha = settings.alpha / (len(claims) + (denoiser is not None) + (most_copies is not None))
    for claim in claims:
        yield from checks()[claim.id](study, alpha)
    if denoiser is not None:
        yield model_peak(study, denoiser, alpha)
    if denoiser is not None and most_copies is not None:
        yield copies_among_samples(study, denoiser, most_copies, alpha)
