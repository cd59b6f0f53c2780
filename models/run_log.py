"""The log of a training run: ``log.csv``, one row a step, cut back to where a run goes on from."""

import csv
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

Row = tuple[int, float, float]
NAME = "log.csv"
COLUMNS = ("step", "loss", "learning_rate")


@contextmanager
def open_log(folder: Path, start: int, write: bool) -> Iterator[Callable[[Iterable[Row]], None]]:
    """A function that appends rows (step, loss, learning rate) after step ``start``.

    Rows of later steps, from a run that was stopped before it saved, are dropped. Where ``write``
    is false, as in all processes but one, nothing is written.
    """
    if not write:
        yield lambda rows: None
        return
    folder.mkdir(parents=True, exist_ok=True)
    path, temporary = folder / NAME, folder / f".{NAME}.{os.getpid()}"
    kept = [row for row in _rows(path) if int(row[0]) <= start]
    with temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COLUMNS, *kept])
    temporary.replace(path)
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)

        def append(rows: Iterable[Row]) -> None:
            # As the shortest decimals that give the loss's float32 back.
            writer.writerows((step, np.float32(loss), rate) for step, loss, rate in rows)
            file.flush()

        yield append


def _rows(path: Path) -> list[list[str]]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    return [row for row in rows if len(row) == len(COLUMNS)]  # a last one may be cut short
