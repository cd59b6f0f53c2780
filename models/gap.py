"""A gap for anyone's training loop: the noise levels that it leaves out, in its own terms of time.

A loop draws a noise level for each image. It leaves the gap out either by never drawing from it
(:meth:`Gap.timesteps`, :meth:`Gap.sample_sigmas`, :meth:`Gap.sample_flow_times`), or, where it must
not draw differently, by giving those images no weight (:meth:`Gap.weight`).
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from numpy.typing import ArrayLike

from wildmiddle.models.objectives import FLOW_ENDS, LEAST_SHARE
from wildmiddle.theory.regimes import PredictedZone, Zone

FORMAT = "wildmiddle-gap/1"


def lowered(zone: Zone) -> Zone:
    """The zone an octave lower.

    A model that has begun to copy is supervised, and copies, below the zone of the held-out images.
    """
    return Zone(zone.start / 2, zone.end / 2)


@dataclass(frozen=True)
class Gap:
    """Noise levels ``low <= sigma < high`` that a training leaves out.

    ``value_range`` is the range of the pixels that sigma refers to: the noisy image is ``x + sigma
    z``. Raises ValueError unless 0 <= low < high.

    >>> gap = Gap(0.2, 0.8)
    >>> gap.keep(torch.tensor([0.1, 0.2, 0.5, 0.8]))
    tensor([ True, False, False,  True])
    """

    low: float
    high: float
    value_range: tuple[float, float] = (-1.0, 1.0)

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high:
            raise ValueError(f"gap {self.low:g} to {self.high:g}: need 0 <= low < high")
        _require_range(self.value_range)

    @classmethod
    def of_zone(
        cls, zone: PredictedZone, value_range: tuple[float, float] = (-1.0, 1.0)
    ) -> "Gap | None":
        """The gap for a danger zone: the possible zone :func:`lowered`; None where there is none.

        What it does and what it costs: docs/findings.md.
        """
        possible = zone.possible
        if possible.empty or not math.isfinite(possible.end) or possible.start <= 0:
            return None
        return cls(*lowered(possible), value_range)

    @classmethod
    def load(cls, path: str | Path) -> "Gap":
        """Read a gap that :meth:`save` or ``wildmiddle zone`` wrote; ValueError for other files."""
        try:
            found = json.loads(Path(path).read_text(encoding="utf-8"))
            if found["format"] != FORMAT:
                raise ValueError(f"format {found['format']!r}")
            low, high = (float(found["sigma"][end]) for end in ("low", "high"))
            first, last = map(float, found["value_range"])
            return cls(low, high, (first, last))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is no gap of wildmiddle zone ({error})") from None

    def save(self, path: str | Path) -> None:
        """Write the gap as JSON."""
        found = {
            "format": FORMAT,
            "sigma": {"low": self.low, "high": self.high},
            "value_range": list(self.value_range),
        }
        Path(path).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")

    def rescaled(self, value_range: tuple[float, float]) -> "Gap":
        """The same gap for pixels in another range, as for a loop that takes them in [0, 1]."""
        _require_range(value_range)
        (a, b), (c, d) = self.value_range, value_range
        factor = (d - c) / (b - a)
        return Gap(self.low * factor, self.high * factor, value_range)

    def keep(self, sigma: ArrayLike | torch.Tensor) -> torch.Tensor:
        """Which noise levels lie outside of the gap, a mask of the shape of ``sigma``."""
        levels = torch.as_tensor(sigma)
        return (levels < self.low) | (levels >= self.high)

    def weight(self, sigma: ArrayLike | torch.Tensor) -> torch.Tensor:
        """1 outside of the gap and 0 inside, to multiply the losses of single images with."""
        levels = torch.as_tensor(sigma)
        kind = levels.dtype if levels.is_floating_point() else torch.get_default_dtype()
        return self.keep(levels).to(kind)

    def timesteps(self, scheduler: Any) -> torch.Tensor:
        """The timesteps outside of the gap of a scheduler of diffusers, rising, (T,), to draw from.

        By ``alphas_cumprod``, or ``sigmas`` of a flow-matching scheduler. Raises ValueError where
        it has neither, or fewer than a thousandth of the timesteps are left.
        """
        alphas = getattr(scheduler, "alphas_cumprod", None)
        if alphas is not None:
            table = torch.as_tensor(alphas).double()
            levels = ((1 - table) / table).sqrt()
            numbers = torch.arange(len(levels))
        elif "FlowMatch" in type(scheduler).__name__:
            # Its images are (1 - s) x + s z, which is x + sigma z with sigma = s / (1 - s), scaled.
            share = torch.as_tensor(scheduler.sigmas).double()
            levels, numbers = share / (1 - share), torch.as_tensor(scheduler.timesteps)
            levels = levels[: len(numbers)]
        else:
            raise ValueError(
                f"{type(scheduler).__name__} has no alphas_cumprod; give a scheduler of DDPM, DDIM "
                "or flow matching, or use keep(sigma)"
            )
        left = numbers[self.keep(levels)].sort().values
        self._require(len(left) / len(levels), "the timesteps")
        return left

    def sample_sigmas(
        self,
        n: int,
        *,
        mean: float = -1.2,
        std: float = 1.2,
        generator: torch.Generator | None = None,
        device: str | torch.device = "cpu",
    ) -> torch.Tensor:
        """``n`` sigmas of ``log sigma ~ N(mean, std^2)`` outside of the gap, float32, (n,).

        By the inverse of the distribution function: one uniform number each. Raises ValueError
        where less than a thousandth of the distribution is left. Source: Karras et al. 2022.
        """
        ends = torch.tensor([self.low, self.high], dtype=torch.float64, device=device)
        low, high = torch.special.ndtr((ends.log() - mean) / std).tolist()
        place = self._place(n, low, high, "sigma", generator, device)
        return (mean + std * torch.special.ndtri(place)).exp().float()

    def sample_flow_times(
        self,
        n: int,
        *,
        generator: torch.Generator | None = None,
        device: str | torch.device = "cpu",
    ) -> torch.Tensor:
        """``n`` uniform flow times t outside of the gap, ``x_t = t x + (1 - t) z``, float32, (n,).

        ``sigma = (1 - t) / t``, so t = 1 is the data. Raises ValueError where less than a
        thousandth of the times is left. Source: Section A.2.
        """
        first, last = FLOW_ENDS
        low, high = 1 / (1 + self.high), 1 / (1 + self.low)
        shares = [(min(max(t, first), last) - first) / (last - first) for t in (low, high)]
        place = self._place(n, shares[0], shares[1], "the flow time", generator, device)
        return (first + (last - first) * place).float()

    def _place(
        self,
        n: int,
        low: float,
        high: float,
        what: str,
        generator: torch.Generator | None,
        device: str | torch.device,
    ) -> torch.Tensor:
        # Uniform on [0, 1] without [low, high).
        if n < 0:
            raise ValueError(f"n = {n} must not be below 0")
        left = 1 - (high - low)
        self._require(left, f"the distribution of {what}")
        place = left * torch.rand(n, generator=generator, dtype=torch.float64, device=device)
        return torch.where(place < low, place, place + (high - low))

    def _require(self, left: float, what: str) -> None:
        if left < LEAST_SHARE:
            raise ValueError(
                f"gap {self.low:g} to {self.high:g} leaves {left:.2g} of {what}, which is nothing "
                "to train on; give a narrower one"
            )


def _require_range(value_range: tuple[float, float]) -> None:
    if len(value_range) != 2 or not -math.inf < value_range[0] < value_range[1] < math.inf:
        shown = ", ".join(map(str, value_range))
        raise ValueError(f"range ({shown}): give two numbers, the lower one first")
