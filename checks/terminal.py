"""What the command line prints: the list of claims, one claim and its values, the danger zone."""

import ast
from collections.abc import Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from wildmiddle.theory.claims import CLAIMS, Claim
from wildmiddle.theory.schedules import steps_between

if TYPE_CHECKING:
    from wildmiddle.empirical.data import DataSet
    from wildmiddle.theory.regimes import PredictedZone


def claim_list() -> str:
    """One line a claim: its short name, the paper's number, what it says."""
    wide = max(len(claim.id) for claim in CLAIMS)
    number = max(len(claim.number) for claim in CLAIMS)
    return "\n".join(f"{c.id:<{wide}}  {c.number:<{number}}  {c.title}" for c in CLAIMS)


def claim_page(claim: Claim, values: dict[str, Any]) -> str:
    """Everything of one claim, with its assumptions and formulas at ``values`` where given.

    Raises ValueError for a value outside a function's domain, or a name that no part of it has.
    """
    from sympy import pretty

    from wildmiddle.checks.plain_text import plain_text
    from wildmiddle.checks.registry import files, names_of_wrong_theorems, reasons_for_no_check
    from wildmiddle.theory.proofs import STEPS, counts

    lines = [f"{claim.number}: {claim.title}", ""]
    lines += ["Statement", _indent(plain_text(claim.statement)), ""]
    lines.append("Assumptions")
    parentheses = str.maketrans("{}", "()")  # of subscripts such as lambda_{d-k}
    for assumption in claim.assumptions:
        met = assumption.check(values)
        mark = "" if met is None else "   yes" if met else "   NO"
        lines.append(f"  {assumption.text.translate(parentheses)}{mark}")
    lines += ["", "Formula", _indent(pretty(claim.formula(), use_unicode=True)), ""]
    lines += ["Tight instance", f"  {claim.tight}", "", "Sharper form", f"  {claim.sharper}", ""]
    lines.append(f"Proof steps, each checked by a machine: {counts(claim.id)}")
    lines += [f"  {each.kind:<9} {each.name}" for each in STEPS if each.claim == claim.id]
    lines.append("")
    wrong = "; ".join(names_of_wrong_theorems(claim))
    if wrong:
        command = f"wildmiddle verify --claims {claim.id}"
        lines += ["Check", f"  {command}, by wildmiddle.checks.{claim.module}", ""]
        lines += ["Wrong theorems that it refutes"]
        lines += [fill(wrong, 98, initial_indent="  ", subsequent_indent="  "), ""]
    else:
        lines += ["Check", f"  none: {reasons_for_no_check()[claim.id]}", ""]
    lines += ["Code and tests", *(f"  {path}" for path in files(claim)), ""]
    results = claim.at(values)
    if results:
        lines.append("Values")
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
            array = np.asarray(value, dtype=np.float64)
        except (ValueError, SyntaxError, TypeError) as error:
            raise ValueError(f"--at {pair} is no name=number or name=[number,...]") from error
        if not separator or not name.isidentifier():
            raise ValueError(f"--at {pair} is no name=number or name=[number,...]")
        values[name] = array if array.ndim else value
    return values


def _indent(text: str) -> str:
    return "\n".join("  " + line for line in text.splitlines())


def zone_page(data: "DataSet", zone: "PredictedZone") -> str:
    """Where the danger zone lies: in sigma, in EDM steps of 18 and in DDPM timesteps."""
    low, high = data.value_range
    lines = [
        f"{data.title}: N = {len(data.train)} training and M = {len(data.test)} held-out images, "
        f"d = {data.dimension}",
        f"sigma for pixels in [{low:g}, {high:g}]" + (", centred" if data.centred else ""),
        "",
        f"{'danger zone':<12}{'sigma':<22}{'EDM steps of 18':<18}DDPM timesteps",
    ]
    for name, part in (("certain", zone.certain), ("possible", zone.possible)):
        if part.empty:
            lines.append(f"{name:<12}none")
            continue
        steps, timesteps = map(_span, steps_between(*part))
        span = f"{part.start:.4g} to {part.end:.4g}"
        lines.append(f"{name:<12}{span:<22}{steps:<18}{timesteps}")
    lines += [
        "",
        "certain: weight and coverage are both high there; outside of possible one is not.",
        "By the distances between the images alone: nothing was sampled, no model was trained.",
    ]
    return "\n".join(lines)


def _span(inside: tuple[int, ...]) -> str:
    return f"{inside[0]} to {inside[-1]}" if inside else "none"
