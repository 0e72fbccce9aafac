"""parity.yaml: which two counts of the same usage are compared, and how far apart they may be. The file is optional."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from assets.core import drift
from assets.core.catalogue.fields import Fields, named_entries
from assets.core.catalogue.models import Aggregate, Comparison, Measure, Meter, Plan, Side, Source
from assets.core.catalogue.nodes import Node, read_yaml
from assets.core.catalogue.problems import Problems, listed, shown, suggestion

FILE = "catalog/parity.yaml"
KEYS = ("comparisons",)
COMPARISON_KEYS = (
    "reference",
    "candidate",
    "measure",
    "flag_above",
    "alert_above",
    "accounts",
    "real_volume",
    "clean_for",
    "settle",
)
SIDE_KEYS = ("meter", "source")
MEASURES: tuple[Measure, ...] = ("quantity", "cost")
# What an hour of it is, is the sum of its rows; hours of the others do not add up to a period.
ADDITIVE: tuple[Aggregate, ...] = ("sum", "count", "time_weighted", "cost")

_EXAMPLE = "comparisons: {calls: {reference: {meter: old_calls}, candidate: {meter: calls}}}"
_HOUR = timedelta(hours=1)


def read_parity(
    workspace: Path,
    meters: dict[str, Meter | None] | None,
    sources: dict[str, Source],
    plans: dict[str, Plan] | None,
    problems: Problems,
) -> dict[str, Comparison]:
    """The comparisons by name; none where there is no file."""
    if not (workspace / FILE).exists():
        return {}
    root = read_yaml(workspace, FILE, problems)
    if root is not None:
        Fields(root, KEYS, problems)
    nodes = named_entries(root, "comparisons", FILE, _EXAMPLE, problems) or {}
    return {name: _comparison(name, node, meters, sources, plans or {}, problems) for name, node in nodes.items()}


def _comparison(
    name: str,
    node: Node,
    meters: dict[str, Meter | None] | None,
    sources: dict[str, Source],
    plans: dict[str, Plan],
    problems: Problems,
) -> Comparison:
    before = len(problems)
    fields = Fields(node, COMPARISON_KEYS, problems)
    reference, candidate = (_side(fields, key, meters, sources, problems) for key in ("reference", "candidate"))
    accounts = fields.whole("accounts", 3)
    if accounts < 1:
        problems.add(fields.get("accounts"), f"is {accounts}", "write how many accounts make an alert, at least 1")
    comparison = Comparison(
        name=name,
        reference=reference,
        candidate=candidate,
        measure=fields.choice("measure", MEASURES, "quantity"),
        flag_above=_share(fields, "flag_above", Decimal("0.02"), problems),
        alert_above=_share(fields, "alert_above", Decimal("0.10"), problems),
        accounts=accounts,
        # Nothing unless told: another default would be in a unit that is not known here, and an alert too many costs a
        # look, one too few a wrong bill.
        real_volume=fields.amount("real_volume"),
        clean_for=fields.duration("clean_for", timedelta(hours=24)),
        settle=fields.duration("settle", timedelta(0)),
    )
    if comparison.clean_for < _HOUR or comparison.clean_for % _HOUR:
        problems.add(fields.get("clean_for"), "is not a number of whole hours", "write one such as 24h")
    if comparison.alert_above < comparison.flag_above:
        wrong = f"alerts above {comparison.alert_above} and flags above {comparison.flag_above}"
        problems.add(node, wrong, "write an alert_above that is not below flag_above")
    if len(problems) == before and meters is not None:
        _check_sides(node, comparison, meters, problems)
        _warn_of_charged_reference(node, comparison, plans, problems)
    return comparison


def _side(
    fields: Fields, key: str, meters: dict[str, Meter | None] | None, sources: dict[str, Source], problems: Problems
) -> Side:
    node = fields.need(key, "write whose count it is, such as {meter: calls} or {meter: calls, source: gateway}")
    if node is None:
        return Side("", None)
    side = Fields(node, SIDE_KEYS, problems)
    meter = side.text("meter") if side.need("meter", "write a meter of meters.yaml") is not None else None
    source = side.text("source")
    if meter is not None and meters is not None and meter not in meters:
        advice = suggestion(meter, meters, "add it there, or take the comparison out")
        problems.add(side.get("meter"), f"is {shown(meter)}, which meters.yaml does not list", advice)
    elif source is not None and meter is not None and sources:
        _check_source(side, source, meter, sources, problems)
    return Side(meter or "", source)


def _check_source(side: Fields, source: str, meter: str, sources: dict[str, Source], problems: Problems) -> None:
    if source not in sources:
        advice = suggestion(source, sources, "add it there, or leave it out")
        problems.add(side.get("source"), f"is {shown(source)}, which sources.yaml does not list", advice)
    elif meter not in {emit.meter for emit in sources[source].emits}:
        problems.add(side.get("source"), f"is {shown(source)}, which does not emit {meter}", "name one that does")


def _share(fields: Fields, key: str, default: Decimal, problems: Problems) -> Decimal:
    number = fields.number(key, "more than zero")
    if number is None:
        return default
    if number > 10 or number != round(number, drift.PLACES):
        wrong = f"is {number}, more than 10 or finer than {drift.PLACES} digits"
        problems.add(fields.get(key), wrong, "write a share such as 0.02 for 2 %")
        return default
    return number


def _check_sides(node: Node, it: Comparison, meters: dict[str, Meter | None], problems: Problems) -> None:
    pair = [meters[side.meter] for side in (it.reference, it.candidate)]
    sound = [meter for meter in pair if meter is not None]
    for meter in sound:
        if meter.aggregate not in ADDITIVE:
            wrong = f"compares {meter.name}, whose aggregate is {meter.aggregate}: its hours do not add up"
            problems.add(node, wrong, f"compare a meter whose aggregate is {listed(ADDITIVE)}")
        elif (meter.aggregate == "cost") != (it.measure == "cost"):
            wrong = f"measures {it.measure}, and {meter.name} is a {meter.aggregate} meter"
            problems.add(node, wrong, f"write measure: {'cost' if meter.aggregate == 'cost' else 'quantity'}")
    if it.reference.meter == it.candidate.meter and (
        it.reference.source is None or it.candidate.source is None or it.reference.source == it.candidate.source
    ):
        problems.add(node, f"compares {it.reference.meter} with itself", "name two different sources of it")
    if len(sound) == 2 and drift.scale(sound[0].divide_by, sound[1].divide_by) is None:
        names = listed([meter.name for meter in sound], "and")
        problems.add(node, f"can't compare {names} exactly", "give their divide_by fewer digits")


def _warn_of_charged_reference(node: Node, it: Comparison, plans: dict[str, Plan], problems: Problems) -> None:
    if it.reference.meter == it.candidate.meter:
        return
    charging = charged_by(it.reference.meter, plans.values())
    if charging:
        odd = f"has {it.reference.meter} for its reference, which the plan {charging[0]} charges"
        problems.warn(node, odd, "take the charge out, or this side bills both counts")


def charged_by(meter: str, plans: Collection[Plan]) -> list[str]:
    """The plans with a charge for the meter in any version."""
    return [
        plan.name
        for plan in plans
        if any(charge.meter == meter for version in plan.versions for charge in version.charges)
    ]
