"""Variance reduction of sharper Monte Carlo forms: ``python benchmarks/variance.py``.

For the largest posterior weight and for the coverage of small synthetic images, at the sigmas where
they vary: the variance of a plain draw over that of one draw's worth of work in each form. Above 1
the form pays. Antithetic: the mean over z and -z, two draws. Stratified: every index equally often.
Radial: the mean over 32 quantiles of |z| with the direction of z kept, one draw (its products
serve all radii). Writes the table to ``benchmarks/README.md``.
"""

import numpy as np
from scipy.stats import chi2
from speed import TABLE, images

from wildmiddle.theory.shells import radii

START, END = "<!-- variance.py -->", "<!-- end of variance.py -->"
N, M, REPEATS, RADII = 200, 100, 40, 32
Array = np.ndarray


def events(x: Array, train: Array, z: Array, sigma: float, own: Array | None) -> Array:
    """Weights (Q, R + 2) or coverage at the radii of z, of -z, and at the radial quantiles."""
    d = train.shape[1]
    length = np.linalg.norm(z, axis=1)
    quantiles = np.sqrt(chi2.ppf((np.arange(RADII) + 0.5) / RADII, d))
    scale = np.column_stack([np.ones(len(z)), -np.ones(len(z)), quantiles / length[:, None]])
    norms = [np.square(a).sum(1) for a in (x, train)]
    squared = norms[0][:, None] + norms[1] - 2 * x @ train.T
    inner = np.einsum("qd,qd->q", z, x)[:, None] - z @ train.T
    results = []
    r_in, r_out = radii(d)
    for factor in scale.T:
        gap = squared + 2 * sigma * factor[:, None] * inner
        if own is not None:
            log_t = -gap / (2 * sigma**2)
            t = np.exp(log_t - log_t.max(1)[:, None])
            results.append(1 / t.sum(1))
        else:
            ratio = gap / sigma**2 + np.square(factor * length)[:, None]
            results.append(((ratio >= r_in**2) & (ratio <= r_out**2)).any(1))
    return np.array(results, np.float64).T


def gains(values: Array, index: Array) -> list[float]:
    """Plain variance over those of the antithetic, the stratified and the radial form."""
    plain = values[:, 0].var()
    antithetic = 2 * values[:, :2].mean(1).var()
    within = np.mean([values[index == i, 0].var(ddof=1) for i in np.unique(index)])
    radial = values[:, 2:].mean(1).var()
    return [plain / other if other > 0 else np.inf for other in (antithetic, within, radial)]


def main() -> None:
    """Print and write the table."""
    train, test = (images(seed, n).astype(np.float64) for seed, n in ((1, N), (2, M)))
    lines = [
        "| quantity | sigma | mean | antithetic | stratified | radial |",
        "|---|---|---|---|---|---|",
    ]
    rng = np.random.default_rng(0)
    for name, points, levels in (
        ("largest weight", train, (2.0, 3.0, 5.0, 8.0)),
        ("coverage", test, (1.5, 2.0, 2.5, 3.5)),
    ):
        index = np.repeat(np.arange(len(points)), REPEATS * N // len(points) // 2)
        for sigma in levels:
            parts = []
            for rows in np.array_split(index, len(index) // 100):
                z = rng.standard_normal((len(rows), train.shape[1]))
                own = rows if name == "largest weight" else None
                parts.append(events(points[rows], train, z, sigma, own))
            values = np.concatenate(parts)
            gain = " | ".join(f"{g:.2f}" for g in gains(values, index))
            lines.append(f"| {name} | {sigma:g} | {values[:, 0].mean():.3f} | {gain} |")
            print(lines[-1], flush=True)
    page = TABLE.read_text()
    before, rest = page.split(START)
    TABLE.write_text(before + START + "\n" + "\n".join(lines) + "\n" + END + rest.split(END)[1])


if __name__ == "__main__":
    main()
