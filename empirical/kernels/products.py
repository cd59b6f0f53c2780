"""The matrix products that every estimate shares, their precision, their rounding and their size.

By ``|x + sigma z - x_j|^2 = |x - x_j|^2 + 2 sigma <z, x - x_j> + sigma^2 |z|^2`` one product for
the distances and one for the noise serve every sigma. Points are centred first, in float64, since
the rounding of a product grows with the norms of its rows.

In 256 dimensions and more the products are nearly all of the work and are in float32
(:func:`product_dtype`). What their rounding could decide is computed again in float64 from the
differences of points; each caller knows what that is. In fewer dimensions the products cost little
and are in float64. A product always has ``BLOCK`` rows, since its last bits depend on the shape.
Distances of bytes are whole numbers, and exact at a quarter of the cost (:func:`distance_dtype`).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import torch

from wildmiddle.empirical.kernels.device import working_dtype
from wildmiddle.empirical.kernels.threads import for_each
from wildmiddle.empirical.noise import BLOCK, Block

LARGE = 10**12
"""Products beyond which no matrix of all pairs, or of all pixels, is taken unless it is asked for:
some twenty seconds on two cores."""

MIDDLE = 128
"""What bytes are centred about, to fit into int8."""

_SINGLE_FROM = 256
_FEWEST, _COLUMNS, _WIDE = 32, 1024, 4096
_ENTRIES = 2**18
_ROWS = 64
_CLOSE = 1e4
_BYTE_PIXELS = 2**31 // 255**2
"""Most pixels of images of bytes whose squared distances fit into 32 bits."""
_MEAN = 1024  # rows whose mean is near enough to all


@dataclass(frozen=True)
class Sizes:
    """How much is worked on at once; results do not depend on it but for rounding."""

    columns: int
    """Training points of one tile."""
    queries: int
    """Queries whose noise is held at once, a multiple of ``BLOCK``."""
    threads: int
    """Blocks that are worked on at the same time."""


def plan(memory: int, points: int, dimension: int, *, wide: bool = False) -> Sizes:
    """Sizes whose buffers fit into ``memory`` bytes; ValueError where not even one block does.

    Counted as if all were in float64: a tile with its copies, a query's noise and distances with
    what marks the close ones, and for each thread one block's rows, terms and buffers. ``wide``
    tiles are for many rows that are centred anew for each of them.
    """
    most = memory // (24 * dimension)
    columns = min(points, _COLUMNS, max(_FEWEST, most // 8))
    if wide and most // 4 > _COLUMNS:
        columns = min(points, _WIDE, most // 4)
    fit = (memory - 44 * BLOCK * dimension) // (24 * dimension + 89 * BLOCK)  # beside one block
    columns = min(columns, max(_FEWEST, fit))
    tile = 24 * dimension * columns
    block = BLOCK * (36 * dimension + 56 * columns)
    query = 8 * dimension + 33 * columns
    threads = max(1, min(torch.get_num_threads(), (memory // 2 - tile) // block))
    left = memory - tile - threads * block
    if left < BLOCK * query:
        need = tile + block + BLOCK * query
        raise ValueError(f"memory = {memory} bytes; d = {dimension} needs at least {need}")
    return Sizes(columns, left // (BLOCK * query) * BLOCK, threads)


def product_dtype(dimension: int, device: torch.device) -> torch.dtype:
    """Precision of the products: float32 from d = 256 on, unless torch may lower that (TF32)."""
    work = working_dtype(device)
    exact = torch.get_float32_matmul_precision() == "highest"
    return torch.float32 if dimension >= _SINGLE_FROM and exact else work


def distance_dtype(a: torch.Tensor, b: torch.Tensor) -> torch.dtype:
    """Precision of the products for the distances of two sets of rows.

    As :func:`product_dtype`, but int8 for bytes on a processor that multiplies these exactly; they
    are about :data:`MIDDLE` then, and the distances whole numbers in float32.
    """
    dtype, d = product_dtype(a.shape[1], a.device), a.shape[1]
    whole = a.dtype == b.dtype == torch.uint8 and a.device.type == "cpu" and d <= _BYTE_PIXELS
    return torch.int8 if whole and dtype == torch.float32 and _multiplies_bytes() else dtype


@cache
def _multiplies_bytes() -> bool:
    # torch has no public function for products of bytes, and where oneDNN does not take them they
    # are slower than those of float32. Processors with AVX512 but without its instructions for
    # bytes (VNNI) saturate sums of two products.
    ends = torch.tensor([-128, -128, -128, 127, 127, 127], dtype=torch.int8).repeat(64, 11)
    turned = ends.roll(1, 1)
    fast = torch.backends.mkldnn.is_available()
    if not fast or torch.backends.cpu.get_cpu_capability() != "AVX512":
        return False
    try:
        found = torch._int_mm(ends, turned.T)
    except (AttributeError, RuntimeError):
        return False
    return torch.equal(found.long(), ends.long() @ turned.long().T)


def rounding(dimension: int, dtype: torch.dtype) -> float:
    """Bound on the error of a dot product of centred rows, in units of the product of their norms.

    ``(1 + u)^(d + 8) - 1``, u the unit roundoff: in whichever order and with whatever partial sums
    a processor adds d products, none is rounded more than d times (Higham 2002, Section 3.1). Eight
    more are those of the rows themselves, of their norms and of what is added to the product, so
    that it bounds the error of a squared distance too, in units of ``(|a| + |b|)^2``.
    """
    return math.expm1((dimension + 8) * torch.finfo(dtype).eps / 2)


def distance_error(
    dimension: int, dtype: torch.dtype, own: torch.Tensor, longest: torch.Tensor | float
) -> torch.Tensor:
    """Bound on the error of :func:`squared_distances` in ``dtype``, by :func:`rounding`.

    Of rows with the squared norms ``own`` to rows whose norms are at most ``longest``.
    """
    return rounding(dimension, dtype) * (own.sqrt() + longest).square()


def typical_rounding(dimension: int, dtype: torch.dtype) -> float:
    """What the error of a dot product is seldom above, in the units of :func:`rounding`.

    ``2 sqrt(d) u``, as of roundings without a common sign (Higham and Mary 2019). Where they have
    one, as in a bright pixel before many equal ones, the error has been seen ten times larger.
    """
    return float(dimension**0.5 * torch.finfo(dtype).eps)


def cancellation_limit(dimension: int, dtype: torch.dtype) -> float:
    """Squared distance, in units of the product of the norms, below which cancellation counts.

    It is 1e4 times the :func:`typical_rounding`: above it six digits are right as a rule, and three
    at least in all that has been seen.
    """
    return 4 * _CLOSE * typical_rounding(dimension, dtype)


def mean_of(rows: torch.Tensor) -> torch.Tensor:
    """Mean of some rows, (d,), in their own precision but rounded to float32, as an origin.

    Of all rows or, where these are many, of a thousand or two at equal steps. Any point near the
    rows would do; one that is the same for float32 and float64 rows makes the results the same too.
    Of bytes it is whole numbers, so that no centred row is rounded.
    """
    work = working_dtype(rows.device)
    rows = rows[:: max(1, len(rows) // _MEAN)]
    total = torch.zeros(rows.shape[1], dtype=work, device=rows.device)
    buffer = torch.empty(min(_ROWS, len(rows)), rows.shape[1], dtype=work, device=rows.device)
    for start, end in tiles(len(rows), _ROWS):
        total += buffer[: end - start].copy_(rows[start:end]).sum(0)
    return (total / len(rows)).float().to(rows.dtype)


def origin_of(rows: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """What rows are centred about for products in ``dtype``: near their mean, or at 128."""
    return torch.full_like(rows[0], MIDDLE) if dtype == torch.int8 else mean_of(rows)


def centre(rows: torch.Tensor, origin: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Rows about ``origin`` in ``dtype``, rounded once."""
    wide = torch.promote_types(rows.dtype, dtype)
    return (rows.to(wide) - origin.to(wide)).to(dtype)


def tiles(count: int, columns: int) -> Iterator[tuple[int, int]]:
    """Ends of consecutive tiles."""
    for start in range(0, count, columns):
        yield start, min(start + columns, count)


def evenly(count: int, most: int) -> torch.Tensor:
    """Numbers of so many rows, or of ``most`` of them, evenly spaced."""
    return torch.linspace(0, count - 1, min(count, most), dtype=torch.float64).long()


class Tile(NamedTuple):
    """Some training points about the origin, (T, d), with their squared norms (T,)."""

    start: int
    points: torch.Tensor
    norms: torch.Tensor
    threads: int

    def part(self, start: int, end: int) -> "Tile":
        """The points of these columns alone."""
        points, norms = self.points[start:end], self.norms[start:end]
        return Tile(self.start + start, points, norms, self.threads)

    def find(self, numbers: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Which of the points of these numbers are in the tile, and in which column each stands."""
        end = self.start + len(self.points)
        row = torch.nonzero((numbers >= self.start) & (numbers < end)).squeeze(1)
        return row, numbers[row] - self.start


def tile_of(
    rows: torch.Tensor,
    ends: tuple[int, int],
    origin: torch.Tensor,
    dtype: torch.dtype,
    threads: int,
) -> Tile:
    """The tile ``rows[start:end]``, about the origin and in ``dtype``."""
    start, count = ends[0], ends[1] - ends[0]
    origin = origin.to(torch.promote_types(rows.dtype, dtype))
    points = torch.empty(count, rows.shape[1], dtype=dtype, device=rows.device)
    norms = torch.empty(count, dtype=working_dtype(rows.device), device=rows.device)

    def fill(part: tuple[int, int]) -> None:
        own = slice(*part)
        torch.sub(rows[start + part[0] : start + part[1]], origin, out=points[own])
        norms[own] = squared_norms(points[own])

    for_each(fill, tiles(count, BLOCK), rows.device, threads)
    return Tile(start, points, norms, threads)


def groups(batch: Sequence[Block], width: int) -> Iterator[list[Block]]:
    """Blocks of a batch that share one elementwise operation on ``width`` numbers a query."""
    together = max(1, _ENTRIES // (BLOCK * width))
    for first in range(0, len(batch), together):
        yield list(batch[first : first + together])


def stack_noise(group: Sequence[Block], like: torch.Tensor) -> torch.Tensor:
    """Noise (R, d) of consecutive blocks, in the precision and on the device of ``like``."""
    parts = [torch.as_tensor(block.noise).to(like) for block in group]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def product(
    a: torch.Tensor, b: torch.Tensor, *, scale: float = 1.0, plus: torch.Tensor | None = None
) -> torch.Tensor:
    """``scale * a @ b.T + plus`` by products of ``BLOCK`` rows, the last one padded; plus (B,)."""
    out = torch.empty(len(a), len(b), dtype=a.dtype, device=a.device)
    base = out.new_zeros(()) if plus is None else plus.to(a.dtype)
    beta = 0 if plus is None else 1
    for start, end in tiles(len(a), BLOCK):
        part = a[start:end]
        if end - start == BLOCK:
            torch.addmm(base, part, b.T, beta=beta, alpha=scale, out=out[start:end])
        else:
            padded = torch.nn.functional.pad(part, (0, 0, 0, BLOCK - len(part)))
            whole = torch.addmm(base, padded, b.T, beta=beta, alpha=scale)
            out[start:end] = whole[: len(part)]
    return out


def squared_norms(rows: torch.Tensor) -> torch.Tensor:
    """``|a_i|^2`` of rows in the device's working precision, (A,)."""
    work = working_dtype(rows.device)
    norms = torch.empty(len(rows), dtype=work, device=rows.device)
    buffer = torch.empty(min(_ROWS, len(rows)), rows.shape[1], dtype=work, device=rows.device)
    for start, end in tiles(len(rows), _ROWS):
        part = buffer[: end - start].copy_(rows[start:end])
        torch.linalg.vecdot(part, part, out=norms[start:end])
    return norms


def norms_about(rows: torch.Tensor, origin: torch.Tensor) -> torch.Tensor:
    """Distance of each row from ``origin``, (A,), in the device's working precision."""
    work = working_dtype(rows.device)
    parts = (centre(part, origin, work) for part in rows.split(BLOCK))  # bytes would wrap around
    return torch.cat([squared_norms(part) for part in parts]).sqrt_()


def squared_distances(
    a: torch.Tensor,
    b: torch.Tensor,
    a_norms: torch.Tensor | None = None,
    b_norms: torch.Tensor | None = None,
    out: torch.Tensor | None = None,
) -> torch.Tensor:
    """``|a_i - b_j|^2`` of all pairs of rows, (A, B), by one matrix product, never below 0.

    The norms are the :func:`squared_norms` of the rows, where they are known; ``out`` (A, B) is
    filled and returned.
    """
    a_norms = squared_norms(a) if a_norms is None else a_norms
    b_norms = squared_norms(b) if b_norms is None else b_norms
    if a.dtype == torch.int8:
        whole = torch._int_mm(a, b.T).mul_(-2)
        whole += a_norms.to(whole)[:, None]
        whole += b_norms.to(whole)
        return whole.float() if out is None else out.copy_(whole)
    # Squares and sum in float64: beside them the product's own rounding is all there is.
    found = product(a, b).to(working_dtype(a.device))
    torch.add(a_norms[:, None], found, alpha=-2, out=found)
    found += b_norms
    found.clamp_(min=0)
    return found.to(a.dtype) if out is None else out.copy_(found)
