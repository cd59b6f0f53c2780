"""What the command line prints: the list of claims, one claim and its values, the danger zone."""

import ast
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from wildmiddle.checks.layout import aligned_table, wrap_text
from wildmiddle.checks.plain_values import require_known
from wildmiddle.theory.claims import CLAIMS, Claim
from wildmiddle.theory.claims.claim import parameters
from wildmiddle.theory.regimes import Zone
from wildmiddle.theory.schedules import SCHEDULE_RANGE, steps_between

if TYPE_CHECKING:
    from wildmiddle.empirical.data import DataSet
    from wildmiddle.models.gap import Gap
    from wildmiddle.theory.regimes import DrawnRows, PredictedZone

_SCHEDULES = "steps and timesteps are those of models for pixels in [-1, 1]"


def claim_list() -> str:
    """One line a claim: its short name, the paper's number, what it says."""
    wide = max(len(claim.id) for claim in CLAIMS)
    number = max(len(claim.number) for claim in CLAIMS)
    return "\n".join(f"{c.id:<{wide}}  {c.number:<{number}}  {c.title}" for c in CLAIMS)


def claim_page(claim: Claim, values: dict[str, Any], *, unicode: bool = True) -> str:
    """Everything of one claim, with its assumptions and formulas at ``values`` where given.

    Without ``unicode`` the formula is drawn in ASCII.

    Raises ValueError for a value outside a function's domain.
    """
    from sympy import pretty

    from wildmiddle.checks.plain_text import plain_text
    from wildmiddle.checks.registry import files, names_of_wrong_theorems, reasons_for_no_check
    from wildmiddle.theory.proofs import STEPS, counts

    assumptions, results = evaluate(claim, values)
    lines = [f"{claim.number}: {claim.title}", ""]
    lines += ["Statement", _indent(plain_text(claim.statement)), ""]
    lines.append("Assumptions")
    parentheses = str.maketrans("{}", "()")  # of subscripts such as lambda_{d-k}
    for assumption, met in zip(claim.assumptions, assumptions, strict=True):
        mark = "" if met is None else "   yes" if met else "   NO"
        lines.append(f"  {assumption.text.translate(parentheses)}{mark}")
    lines += ["", "Formula", _indent(pretty(claim.formula(), use_unicode=unicode)), ""]
    lines += ["Tight instance", f"  {claim.tight}", "", "Sharper form", f"  {claim.sharper}", ""]
    lines.append(f"Proof steps, each checked by a machine: {counts(claim.id)}")
    lines += [f"  {each.kind:<9} {each.name}" for each in STEPS if each.claim == claim.id]
    lines.append("")
    wrong = "; ".join(names_of_wrong_theorems(claim))
    if wrong:
        command = f"wildmiddle verify --claims {claim.id}"
        lines += ["Check", f"  {command}, by wildmiddle.checks.{claim.module}", ""]
        lines += ["Wrong theorems that it refutes"]
        lines += [wrap_text(wrong, "  "), ""]
    else:
        lines += ["Check", f"  none: {reasons_for_no_check()[claim.id]}", ""]
    lines += ["Code and tests", *(f"  {path}" for path in files(claim)), ""]
    if results:
        unsaid = [f"{n} = {v:g}" for n, v in claim.defaults().items() if n not in values]
        lines.append(", ".join(["Values", *unsaid]))
        lines += [f"  {name} = {value}" for name, value in results.items()]
    missing = {name: gap for name, gap in claim.missing(values).items() if gap}
    if missing:
        lines.append("To evaluate")
        lines += [
            f"  {name}: --at {' '.join(g + '=...' for g in gap)}" for name, gap in missing.items()
        ]
    return "\n".join(lines).rstrip()


def parse_values(pairs: Sequence[str]) -> dict[str, Any]:
    """``["N=1000", "w=0.95", "distances=[1,2]"]`` as numbers and arrays by name.

    Raises ValueError naming what is no ``name=number`` or ``name=[number, ...]``.
    """
    values: dict[str, Any] = {}
    for pair in pairs:
        name, separator, text = pair.partition("=")
        try:
            value = ast.literal_eval(text)
            array = np.asarray(value)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            array = np.asarray(None)  # MemoryError: brackets within too many others
        # Of 64 bits: no texts, no truth values, no complex or longer numbers.
        if not (separator and name.isidentifier() and array.dtype.kind in "if" and array.size):
            shown = pair if len(pair) <= 60 else f"{pair[:57]}..."
            raise ValueError(f"--at {shown} is no name=number or name=[number,...]")
        if name in values:
            raise ValueError(f"--at gives {name} twice; give one value")
        values[name] = array.astype(np.float64) if array.ndim else value
    return values


def require_names(claims: Sequence[Claim], values: dict[str, Any]) -> None:
    """Raise ValueError for a name of a value that none of the claims has."""
    functions = [
        f for c in claims for f in (*c.evaluate.values(), *(a.holds for a in c.assumptions))
    ]
    known = dict.fromkeys(name for function in functions for name in parameters(function))
    require_known(values, known, f"claim {', '.join(claim.id for claim in claims)}")


def evaluate(claim: Claim, values: dict[str, Any]) -> tuple[list[bool | None], dict[str, Any]]:
    """Which assumptions are met, and the formulas' values; ValueError for values of no use."""
    try:
        known = {**claim.defaults(), **values} if values else {}
        return [each.check(known) for each in claim.assumptions], claim.at(values)
    except (ArithmeticError, LookupError, TypeError) as error:
        raise ValueError(
            f"claim {claim.id} cannot be evaluated at these values ({error}); give one number, or "
            "a list of as many as there are points, pixels or noise levels, as the claim has it"
        ) from error


def _indent(text: str) -> str:
    return "\n".join("  " + line for line in text.splitlines())


def zone_page(data: "DataSet", zone: "PredictedZone", copies: Sequence[str] = ()) -> str:
    """Where the danger zone and the gap lie: in sigma, in EDM steps of 18 and in DDPM timesteps.

    ``copies`` say which of the training images are.
    """
    from wildmiddle.models.gap import Gap

    sets = f"training and M = {len(data.test)} held-out images"
    if zone.each_held_out:
        sets = "training images, each held out once"
    lines = [
        f"{data.title}: N = {len(data.train)} {sets}, d = {data.dimension}",
        *data.notes,
        *copies,
        f"sigma for {data.pixels}"
        + (", centred" if data.centred else "")
        + ("" if data.schedule_range == SCHEDULE_RANGE else "; " + _SCHEDULES),
        "",
    ]
    rows = [
        (name, "none", "", "")
        if part.empty
        else (
            name,
            f"{part.start:.4g} to {part.end:.4g}",
            *map(_span, steps_between(*part, data.schedule_range)),
        )
        for name, part in parts_and_gap(zone, Gap.of_zone(zone, data.schedule_range)).items()
    ]
    lines.append(aligned_table(("danger zone", "sigma", "EDM steps of 18", "DDPM timesteps"), rows))
    notes = (
        "certain: weight and coverage are both high there; outside of possible one is not. "
        f"{held_out_sentence(data, zone)} to copy: coverage is high, and at least half of the "
        "empirical optimum's outputs on the images held out are copies. A weight of 3/4 makes a "
        "copy where there are two training images; more of them take more weight."
    )
    lines += ["", wrap_text(notes), ""]
    if zone.drawn:
        lines += [wrap_text(_drawn_rows(zone.drawn, len(data.train), zone.alpha)), ""]
    sizes = [
        (
            f"{each.n}" + (", these" if each.n == zone.n else ""),
            f"{each.collapse:.4g}",
            f"{each.latest:.4g}",
        )
        for each in zone.by_size
    ]
    lines.append(aligned_table(("images", "collapse scale", "zone ends at the latest"), sizes))
    scales = (
        "By the covariance of these images, whatever their number: the first estimates where the "
        "weight on the noised image passes 1/2, the second bounds the zone's end. The speciation "
        f"scale, below which classes part, is about {zone.speciation:.4g}."
    )
    lines += [
        "",
        wrap_text(scales),
        "",
        "By the distances between the images alone: no noise was drawn, no model was trained.",
    ]
    return "\n".join(lines)


def parts_and_gap(zone: "PredictedZone", gap: "Gap | None") -> dict[str, Zone]:
    """The parts of the zone by name, and what to leave out of training."""
    return zone.parts | ({} if gap is None else {"gap to leave out": Zone(gap.low, gap.high)})


def held_out_sentence(data: "DataSet", zone: "PredictedZone") -> str:
    """Which images the zone holds for, and what it says of others like them."""
    some = f"{zone.drawn.held_out} of the " if zone.drawn else ""
    if zone.each_held_out:
        n = len(data.train)
        each = f"each of {some}{n} images" if some else "each image"
        return (
            f"The weight is that of all {n} images; coverage and copies are of {each} by the other "
            f"{n - 1}, on average. This holds for these images, not for a population: --test-size "
            "M leaves M images out of the training set, and says what holds for that."
        )
    return (
        f"This holds for the {some}{len(data.test)} held-out images that are given. population: "
        "for all images that these are independent draws of, but for a chance of "
        f"{zone.alpha:.0%} that such a draw misleads."
    )


def _drawn_rows(drawn: "DrawnRows", n: int, alpha: float) -> str:
    known = (
        f"ends between {low:.4g} and {high:.4g}" if low > 0 and high < np.inf else "is not known"
        for low, high in (drawn.certain_end, drawn.possible_end)
    )
    certain, possible = known
    return (
        f"In the place of all pairs (--exact) {drawn.train} of the {n} training images were drawn "
        "at random, and their distances to all others taken. By decoding errors the certain zone "
        f"of all pairs {certain}; by Fano's inequality the possible one {possible}. The first end "
        "of the one and the second of the other are taken, or the covariance's where that is "
        f"smaller. All zones above hold but for a chance of {alpha:.0%} altogether."
    )


def _span(inside: tuple[int, ...]) -> str:
    return f"{inside[0]} to {inside[-1]}" if inside else "none"
