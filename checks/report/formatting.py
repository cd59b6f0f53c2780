"""Numbers, cells and sentences as the report writes them, in every layout."""

import math
import shlex
from collections.abc import Sequence

from wildmiddle.checks.records import Record
from wildmiddle.checks.settings import option, texts
from wildmiddle.checks.sharper import Sharper
from wildmiddle.checks.verify import Result
from wildmiddle.empirical.regimes import Crossing, Regime
from wildmiddle.theory.regimes import Zone
from wildmiddle.theory.schedules import SCHEDULE_RANGE, steps_between

_SEVERITY = {"violated": 0, "inconclusive": 1, "holds": 2}


def format_number(value: float) -> str:
    """Four significant digits, with a true minus sign: 0.01348, −1.2e-06, ∞."""
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:.4g}"
    return "−" + text[1:] if text.startswith("-") else text


def format_interval(record: Record) -> str:
    """The estimate with its interval, or that nothing was drawn, or that nothing is known."""
    if record.unknown:
        return "unknown"
    if record.n == 0:
        return f"{format_number(record.estimate)} (computed)"
    estimate, low, high = map(format_number, (record.estimate, record.low, record.high))
    return f"{estimate} [{low}, {high}]"


def format_instance(record: Record) -> str:
    """What a comparison is of: in words, then its parameters, but for the paper's own number."""
    numbers = (
        f"{name} = {format_number(value) if isinstance(value, float) else value}"
        for name, value in record.parameters.items()
        if name != "paper"
    )
    return ", ".join([record.instance, *numbers])


def format_slack(record: Record) -> tuple[str, str]:
    """How far the estimate keeps from the bound: a ``slack``, or for an equality ``off by``."""
    if record.relation == "==":
        return "off by", format_number(-record.slack)
    return "slack", format_number(record.slack)


def tightest_record(records: Sequence[Record]) -> Record | None:
    """The comparison with the least slack among those with the claim's verdict, nan first."""
    if not records:
        return None

    def rank(record: Record) -> tuple[int, float]:
        slack = record.slack
        return _SEVERITY[record.verdict], -math.inf if math.isnan(slack) else slack

    return min(records, key=rank)


def answer_sentence(result: Result) -> str:
    """Where the measured danger zone lies, in plain words."""
    danger = next(regime for regime in result.study.regimes if regime.name == "danger")
    if danger.empty:
        return "The danger zone is empty: at no noise level are weight and coverage both high."
    start, end, steps, timesteps = regime_cells(danger)
    return (
        f"A model is told to copy at noise levels σ\u00a0{start} to {end}, where weight and "
        f"coverage are both high: EDM steps {steps} of 18, DDPM timesteps {timesteps}."
    )


def verdict_sentence(result: Result) -> str:
    """The verdict on the run in plain words, with its error rate."""
    claims, records, alpha = result.claims, result.records, result.study.settings.alpha
    on = f"on {result.data.title} (N\u00a0=\u00a0{result.study.n}, d\u00a0=\u00a0{result.study.d})"
    total = _count(len(records), "comparison")
    kept = sum(result.verdict(claim) == "holds" for claim in claims)
    refuted = [claim.id for claim in claims if result.verdict(claim) == "violated"]
    against = sum(record.verdict == "violated" for record in records)
    coarse = sum(record.verdict == "inconclusive" for record in records)
    if refuted:
        finding = (
            f"{against} of {total} {'contradicts' if against == 1 else 'contradict'} the paper "
            f"{on}, in {'claim' if len(refuted) == 1 else 'claims'} {', '.join(refuted)}"
        )
    elif coarse:
        finding = (
            f"Nothing contradicts the paper {on}: {kept} of {_count(len(claims), 'claim')} hold, "
            f"{coarse} of {total} {'is' if coarse == 1 else 'are'} too coarse to say"
        )
    else:
        one = len(claims) == 1
        finding = (
            f"{'The claim holds' if one else f'All {len(claims)} claims hold'} {on}: "
            f"none of {total} contradicts the paper"
        )
    rate = f"a run over true claims reports a violation with probability at most {alpha:g}"
    return f"{finding}; {rate}."


def regime_cells(regime: Regime) -> tuple[str, str, str, str]:
    """Both ends with their uncertainty, the EDM steps and the DDPM timesteps."""
    if regime.empty:
        return "empty", "empty", "none", "none"
    steps, timesteps = _span(regime.edm_steps), _span(regime.ddpm_timesteps)
    return _end(regime.start), _end(regime.end), steps, timesteps


def zone_cells(
    zone: Zone, value_range: tuple[float, float] = SCHEDULE_RANGE
) -> tuple[str, str, str, str]:
    """Both ends of a predicted zone, for pixels in the range, the EDM steps, the DDPM timesteps."""
    if zone.empty:
        return "empty", "empty", "none", "none"
    edm, ddpm = steps_between(*zone, value_range)
    return format_number(zone.start), format_number(zone.end), _span(edm), _span(ddpm)


def zone_sentence(result: Result) -> str:
    """The zone that distances predict, in one sentence."""

    def span(zone: Zone) -> str:
        return "empty" if zone.empty else " to ".join(map(format_number, zone))

    zone, drawn = result.study.zone, ""
    if zone.drawn:
        drawn = (
            f" It rests on the distances of {zone.drawn.train} training images, drawn at random, "
            "to all others; each end is on the safe side of its interval."
        )
    held_out = zone.drawn.held_out if zone.drawn else len(result.study.test)
    return (
        "Danger zone predicted by the distances alone, without noise or training, of the "
        f"{held_out} held-out images that are given: certain {span(zone.certain)}, "
        f"possible {span(zone.possible)}; of the population that they are drawn from, but for a "
        f"chance of {zone.alpha:.0%}: certain {span(zone.certain_of_population)}, possible "
        f"{span(zone.possible_of_population)}.{drawn}"
    )


def copying_sentence(result: Result) -> str:
    """Up to which noise level half of the outputs are copies, in one sentence."""
    zone, seen = result.study.zone, result.study.half_copied
    bound = format_number(zone.half_copied) if zone.half_copied else "no noise level"
    measured = "no noise level that was tried" if math.isinf(seen.sigma) else _end(seen)
    return (
        "Half of the empirical optimum’s one-step outputs on held-out images are copies up to "
        f"{measured}, by the distances up to at least {bound}: a posterior weight of 3/4 makes a "
        "copy where there are two training images, and more of them take more weight."
    )


def size_cells(result: Result) -> list[tuple[str, str, str]]:
    """Numbers of images, the collapse scale, and the zone's latest end, by the spectrum."""
    return [
        (str(each.n), format_number(each.collapse), format_number(each.latest))
        for each in result.study.zone.by_size
    ]


def format_truth(row: Sharper) -> str:
    """The true value of a quantity with its interval, a dash where it is not known."""
    if row.truth is None:
        return "–"
    value, low, high, _ = row.truth
    return format_number(value) if low == value == high else _end(Crossing(value, low, high))


def repeat_command(result: Result) -> tuple[str, ...]:
    """The parts of a command that repeats the run, given the same data."""
    data, study = result.data, result.study
    low, high = data.value_range
    options = {
        "--data": data.name,
        "--train-size": str(len(study.images)),
        "--test-size": str(len(study.test)),
        f"--range={low},{high}": "",
        "--claims": ",".join(claim.id for claim in result.claims),
        **{option(name): text for name, text in texts(study.settings).items()},
    }
    if data.classes:
        options["--classes"] = ",".join(data.classes)
    if data.limit is not None:
        options["--limit"] = str(data.limit)
    if data.grayscale:
        options["--grayscale"] = ""
    if data.size is not None:
        options["--size"] = str(data.size)
    if data.centred:
        options["--centre"] = ""
    parts = (f"{name} {shlex.quote(text)}" if text else name for name, text in options.items())
    return "wildmiddle verify", *parts


def _end(end: Crossing) -> str:
    if end.sigma == 0 or math.isinf(end.sigma):
        return format_number(end.sigma)
    low, high = ("not seen" if math.isnan(v) else format_number(v) for v in (end.low, end.high))
    return f"{format_number(end.sigma)} [{low}, {high}]"


def _span(steps: Sequence[int]) -> str:
    if not steps:
        return "none"
    return str(steps[0]) if steps[0] == steps[-1] else f"{steps[0]}–{steps[-1]}"


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
