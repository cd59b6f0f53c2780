"""What the experiments of one scale share: a study of its images, and the trained denoisers."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from wildmiddle.checks.experiments.results import Run
from wildmiddle.checks.experiments.scale import Scale
from wildmiddle.checks.settings import Settings
from wildmiddle.checks.study import Study
from wildmiddle.checks.verify import versions
from wildmiddle.empirical.copies import merge_copies
from wildmiddle.empirical.data import DataSet, load
from wildmiddle.empirical.distinct import distinct
from wildmiddle.empirical.neighbours import Memorization, memorization
from wildmiddle.empirical.regimes import Regime
from wildmiddle.models import checkpoints
from wildmiddle.models.denoisers import Denoiser, EmpiricalDenoiser, GaussianDenoiser
from wildmiddle.models.extractors import Extractor, inception, train_classifier
from wildmiddle.models.images import Images, to_channels_first
from wildmiddle.models.settings import Training
from wildmiddle.models.training import train
from wildmiddle.theory.schedules import ddpm_sigmas, edm_sigmas

Array = NDArray[np.float64]

Trainings = Mapping[str, tuple[int, Mapping[str, Any]]]
"""Trainings by the name of their folder: the number of images, and what differs from the scale's
settings."""


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainedStudy(Study):
    """A study of the images that the memorizing model is trained on, with the trained denoisers.

    What memorization means here is copying of those images.
    """

    data: DataSet
    scale: Scale
    folder: Path
    """Where the models are trained and found again."""
    progress: bool = False
    inception: Path | None = None
    """Weights of the Inception network, for Fréchet distances in its features."""
    tensorboard: bool = False
    """Whether trainings are logged for TensorBoard too, beside their ``log.csv``."""

    @property
    def torch_device(self) -> torch.device:
        """The device of the denoisers; images are kept on the CPU."""
        return torch.device(self.settings.device)

    @property
    def few(self) -> torch.Tensor:
        """Training images of the memorizing model, (N, C, H, W)."""
        return to_channels_first(self.images).float()

    @cached_property
    def seen(self) -> torch.Tensor:
        """Those that training shows: where it flips, the mirrored ones too, (N or 2N, ...)."""
        return torch.cat([self.few, self.few.flip(-1)]) if self.mirrored else self.few

    @property
    def fresh(self) -> torch.Tensor:
        """Held-out images, (M, C, H, W)."""
        return to_channels_first(self.held_out).float()

    @property
    def pool(self) -> torch.Tensor:
        """All training images there are, those of the memorizing model first, (N, C, H, W)."""
        return to_channels_first(self.data.train).float()

    @cached_property
    def different(self) -> Array:
        """All training images there are that differ, as rows, each once, (G, d)."""
        at = self.settings
        train = merge_copies(
            self.data.train, at.copies_within, device=at.device, memory=at.memory
        ).reshape(len(self.data.train), -1)
        return np.asarray(train[distinct(torch.as_tensor(train)).first])

    @property
    def mean(self) -> torch.Tensor:
        """What centring subtracted from every image, (C, H, W); a single 0 without it."""
        mean = self.data.mean
        return torch.zeros(()) if mean is None else to_channels_first(mean[None])[0].float()

    @cached_property
    def timestep_sigmas(self) -> Array:
        """Sigma of each of DDPM's timesteps under the scale's training, rising."""
        at = self.training()
        return ddpm_sigmas(at.timesteps, at.beta_start, at.beta_end)

    @cached_property
    def sigmas(self) -> Array:
        """The sampling schedule, falling: EDM's, or evenly spaced timesteps of DDPM's."""
        steps = self.scale.steps
        if self.scale.method in ("heun", "euler"):
            return edm_sigmas(steps)
        return self.timestep_sigmas[:: len(self.timestep_sigmas) // steps][::-1].copy()

    def regime(self, name: str) -> Regime:
        """A noise regime of the memorizing model's images, read off the curves."""
        return next(regime for regime in self.regimes if regime.name == name)

    @cached_property
    def memorizing(self) -> Denoiser:
        """The denoiser that is trained on few images."""
        return self.train_denoiser(self.scale.memorizing, "memorizing")

    @cached_property
    def generalizing(self) -> Denoiser:
        """The denoiser that is trained on many images."""
        return self.train_denoiser(self.scale.generalizing, "generalizing")

    @cached_property
    def optimum(self) -> Denoiser:
        """The empirical optimal denoiser of the few images as their training shows them."""
        return EmpiricalDenoiser(self.seen, self.torch_device)

    @property
    def mirrored(self) -> bool:
        """Whether training mirrors images, so that a mirrored image is a copy as well."""
        return self.training().flips

    def compare(self, images: Images, count: int | None = None) -> Memorization:
        """Compare images (n, C, H, W) with the memorizing model's, or with the first ``count``."""
        return memorization(
            images,
            self.few if count is None else self.pool[:count],
            device=self.settings.device,
            units=False,
            mirrored=self.mirrored,
        )

    @property
    def denoisers(self) -> dict[str, Denoiser]:
        """The three of Figures 1 and 2 by name: both models, and the optimum of the few images."""
        return {
            "memorizing": self.memorizing,
            "generalizing": self.generalizing,
            "empirical optimum": self.optimum,
        }

    @cached_property
    def gaussian(self) -> Denoiser:
        """The optimal denoiser of the normal distribution with the few images' moments."""
        rows = self.few.double().flatten(1)
        mean, covariance = rows.mean(0), rows.T.cov(correction=0)
        mean = mean.reshape(self.few.shape[1:])
        return GaussianDenoiser(mean.to(self.torch_device), covariance.to(self.torch_device))

    @cached_property
    def extractor(self) -> Extractor:
        """The network whose features Fréchet distances are taken in; ask for it before training.

        Inception, where its weights were given; else a classifier of all training images, always of
        the same seed, so that distances of several runs compare. Raises ValueError where the images
        have no labels to train it on.
        """
        data = self.data
        if self.inception is not None:
            mean = None if data.mean is None else self.mean
            return inception(self.inception, value_range=data.value_range, mean=mean)
        if data.train_labels is None or len(np.unique(data.train_labels)) < 2:
            raise ValueError(
                f"{data.title} has no labels of two classes or more to train a classifier on, in "
                "whose features samples are judged; give weights of the Inception network with "
                "--inception FILE, or images with labels: the digits, CIFAR-10 or an .npz file "
                "with train_labels or labels"
            )
        return train_classifier(self.pool, data.train_labels, data_name=data.title)

    def train_denoiser(
        self, count: int, name: str, *, stop_after: int | None = None, **changes: Any
    ) -> Denoiser:
        """A denoiser of the first ``count`` images; trained, or gone on with, or loaded.

        ``changes`` are values of :class:`~wildmiddle.models.settings.Training` that differ from the
        scale's; ``stop_after`` ends at that step.
        """
        return train(
            self.data.train[:count],
            self.training(**changes),
            self.models / name,
            data=self.data,
            device=self.settings.device,
            progress=self.progress,
            stop_after=stop_after,
            tensorboard=self.tensorboard,
        )

    def checkpoint(self, name: str, step: int) -> Denoiser:
        """A trained denoiser as it was after ``step`` steps, one of :attr:`checkpoint_steps`."""
        return checkpoints.load(self.models / name, step, device=self.settings.device)

    @property
    def checkpoint_steps(self) -> list[int]:
        """The steps whose checkpoints are evaluated, evenly spaced, with the last."""
        training = self.training()
        every = training.checkpoint_every
        return [*range(every, every * self.scale.checkpoints, every), training.steps]

    def run(self) -> Run:
        """What an experiment is run with, for its files and the page."""
        data = self.data
        return Run(
            scale=self.scale.name,
            data=data.title,
            train_size=len(data.train),
            test_size=len(data.test),
            image_shape=tuple(self.few.shape[1:]),
            value_range=data.value_range,
            centred=data.centred,
            sha256=data.sha256,
            memorizing=self.scale.memorizing,
            generalizing=self.scale.generalizing,
            settings=asdict(self.settings),
            versions=versions("diffusers", "accelerate"),
            sizes=self.scale.sha256,
        )

    def training(self, **changes: Any) -> Training:
        """The scale's training with some ``changes``."""
        return self.scale.training_settings(**{"seed": self.settings.seed, **changes})

    @property
    def models(self) -> Path:
        """The folder of the models: a group of experiments with values of its own has its own."""
        return self.folder / "models" / self.scale.group


def trained_study(
    scale: Scale,
    folder: Path,
    settings: Settings | None = None,
    *,
    progress: bool = False,
    inception: Path | None = None,
    tensorboard: bool = False,
) -> TrainedStudy:
    """The study of a scale's images; its models are trained into a folder when they are asked for.

    The seed of the settings is that of the split as well, counted from the scale's own: another
    seed trains and holds out other images.

    Raises ValueError where the data have fewer training images than the generalizing model needs.
    """
    settings = settings or Settings()
    data = load(**{**scale.data, "seed": scale.data.get("seed", 0) + settings.seed})
    if len(data.train) < scale.generalizing:
        raise ValueError(
            f"{data.title} has {len(data.train)} training images; "
            f"generalizing = {scale.generalizing} needs as many"
        )
    return TrainedStudy(
        data.train[: scale.memorizing],
        data.test,
        settings,
        data=data,
        scale=scale,
        folder=folder,
        progress=progress,
        inception=inception,
        tensorboard=tensorboard,
    )
