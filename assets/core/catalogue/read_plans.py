"""plans.yaml: what a period is charged, version by version."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from itertools import combinations

from assets.core.catalogue.fields import Fields, named_entries, number_of
from assets.core.catalogue.models import Charge, Meter, Model, Plan, PlanVersion, Tier
from assets.core.catalogue.nodes import Node
from assets.core.catalogue.problems import Problems, listed, shown, suggestion
from assets.core.instants import format_instant

FILE = "catalog/plans.yaml"
KEYS = ("plans",)
PLAN_KEYS = ("priority", "currency", "versions")
VERSION_KEYS = ("from", "included", "daily_refresh", "overage", "threshold", "minimum", "charges")
REFRESH_KEYS = ("basis", "rate")
CHARGE_KEYS = (
    "meter",
    "pooled",
    "model",
    "price",
    "tiers",
    "size",
    "free_units",
    "rate",
    "fixed",
    "min",
    "max",
)
TIER_KEYS = ("up_to", "unit", "flat")

# What each model reads: the keys it must have, then those it may have.
MODELS: dict[Model, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "per_unit": (("price",), ("free_units",)),
    "graduated": (("tiers",), ("free_units",)),
    "volume": (("tiers",), ("free_units",)),
    "package": (("size", "price"), ("free_units",)),
    "percentage": (("rate",), ("fixed", "free_units", "min", "max")),
}

_EXAMPLE = "plans: {pro: {priority: 10, versions: [{from: 2026-01-01T00:00:00Z, charges: […]}]}}"
_NEVER = datetime.min.replace(tzinfo=UTC)


def read_plans(root: Node | None, meters: dict[str, Meter | None] | None, problems: Problems) -> dict[str, Plan] | None:
    """The plans; None where the file says nothing of them, so that no name can be called unknown."""
    if root is not None:
        Fields(root, KEYS, problems)
    nodes = named_entries(root, "plans", root.file if root else FILE, _EXAMPLE, problems)
    if nodes is None:
        return None
    plans = {name: _plan(name, node, meters, problems) for name, node in nodes.items()}
    _check_charge_names(plans, nodes, problems)
    _warn_of_uncharged(plans, meters or (), problems)
    return plans


def _plan(name: str, node: Node, meters: dict[str, Meter | None] | None, problems: Problems) -> Plan:
    fields = Fields(node, PLAN_KEYS, problems)
    versions = fields.need("versions", "write a list such as [{from: 2026-01-01T00:00:00Z, charges: […]}]")
    return Plan(name, fields.whole("priority", 0), fields.currency("currency"), _versions(versions, meters, problems))


def _versions(node: Node | None, meters: dict[str, Meter | None] | None, problems: Problems) -> tuple[PlanVersion, ...]:
    if node is None:
        return ()
    if node.kind != "list" or not node.items:
        wrong = "is an empty list" if node.kind == "list" else f"{node.described()} and not a list"
        problems.add(node, wrong, "write a list such as [{from: 2026-01-01T00:00:00Z, charges: […]}]")
        return ()
    versions: dict[datetime, PlanVersion] = {}
    for item in node.items:
        version = _version(item, meters, problems)
        if version.version_from in versions and version.version_from != _NEVER:
            wrong = f"begins at {format_instant(version.version_from)} like another version of the plan"
            problems.add(item, wrong, "give each version its own `from`")
        versions[version.version_from] = version
    return tuple(versions[start] for start in sorted(versions))


def _version(node: Node, meters: dict[str, Meter | None] | None, problems: Problems) -> PlanVersion:
    fields = Fields(node, VERSION_KEYS, problems)
    fields.need("from", "write when it comes into force, such as 2026-01-01T00:00:00Z")
    basis, rate = _refresh(fields.get("daily_refresh"), problems)
    return PlanVersion(
        version_from=fields.instant("from") or _NEVER,
        included=fields.amount("included"),
        refresh_basis=basis,
        refresh_rate=rate,
        is_overage=fields.flag("overage", True),
        threshold=fields.number("threshold"),
        minimum=fields.amount("minimum"),
        charges=_charges(fields.get("charges"), meters, problems),
    )


def _refresh(node: Node | None, problems: Problems) -> tuple[Decimal, Decimal]:
    if node is None:
        return Decimal(0), Decimal(0)
    fields = Fields(node, REFRESH_KEYS, problems)
    for key in REFRESH_KEYS:
        fields.need(key, "write both, such as {basis: 25.00, rate: 0.01}")
    return fields.amount("basis"), fields.amount("rate")


def _charges(node: Node | None, meters: dict[str, Meter | None] | None, problems: Problems) -> tuple[Charge, ...]:
    if node is None:
        return ()
    if node.kind != "list":
        problems.add(
            node,
            f"{node.described()} and not a list",
            "write a list such as [{meter: calls, model: per_unit, price: 1}]",
        )
        return ()
    charges = []
    seen: dict[str, Node] = {}
    for item in node.items:
        charge = _charge(item, meters, problems)
        if charge.meter and charge.meter in seen:
            wrong = f"charges {shown(charge.meter)} again, first on line {seen[charge.meter].line}"
            problems.add(item, wrong, "keep one charge of the meter in a version")
        seen.setdefault(charge.meter, item)
        charges.append(charge)
    return tuple(charges)


def _charge(node: Node, meters: dict[str, Meter | None] | None, problems: Problems) -> Charge:
    fields = Fields(node, CHARGE_KEYS, problems)
    before = len(problems)
    model = _model(fields, problems)
    charge = Charge(
        meter=(fields.text("meter") if fields.need("meter", "write a meter of meters.yaml") else None) or "",
        is_pooled=fields.flag("pooled", False),
        model=model,
        price=fields.number("price"),
        size=fields.number("size", "more than zero"),
        free_units=fields.amount("free_units"),
        rate=fields.number("rate"),
        fixed=fields.amount("fixed"),
        min_amount=fields.number("min"),
        max_amount=fields.number("max"),
        tiers=_tiers(fields.get("tiers"), problems),
    )
    if meters is None or not charge.meter:
        return charge
    meter = meters.get(charge.meter)
    if charge.meter not in meters:
        advice = suggestion(charge.meter, meters, "add it there, or take the charge out")
        problems.add(fields.get("meter"), f"is {shown(charge.meter)}, which meters.yaml does not list", advice)
    elif meter is not None and len(problems) == before:
        for wrong, advice in _charge_mistakes(charge, meter):
            problems.add(node, wrong, advice)
    return charge


def _model(fields: Fields, problems: Problems) -> Model | None:
    """The model, with the keys it must have there and no key of another."""
    if fields.has("model"):
        chosen = fields.choice("model", ("none", *MODELS), "none")
        if chosen == "none":
            if fields.text("model") == "none":
                problems.add(fields.get("model"), "is 'none'", f"leave it out, or write {listed(list(MODELS))}")
            return None
        model: Model | None = next(name for name in MODELS if name == chosen)
    else:
        model = None
    needed, allowed = MODELS[model] if model else ((), ())
    for key in needed:
        fields.need(key, f"write {' and '.join(needed)}, which a {model} charge needs")
    for key in CHARGE_KEYS[3:]:
        odd = fields.get(key)
        if odd is not None and key not in needed and key not in allowed:
            owner = f"a {model} charge" if model else "a charge without a model"
            problems.add(odd, f"is nothing that {owner} reads", "take it out, or change the model")
    return model


def _tiers(node: Node | None, problems: Problems) -> tuple[Tier, ...]:
    if node is None:
        return ()
    if node.kind != "list" or not node.items:
        wrong = "is an empty list" if node.kind == "list" else f"{node.described()} and not a list"
        problems.add(node, wrong, "write tiers such as [{up_to: 10, unit: 0}, {unit: 2.50}]")
        return ()
    tiers: list[Tier] = []
    reached = Decimal(0)
    for item in node.items:
        fields = Fields(item, TIER_KEYS, problems)
        is_last = item is node.items[-1]
        up_to = fields.get("up_to")
        if is_last and up_to is not None:
            problems.add(up_to, "ends the last tier", "take it out: the last tier has no end")
        elif not is_last and up_to is None:
            problems.add(item, "has no `up_to` and is not the last tier", "write where it ends")
        limit = None if up_to is None else number_of(up_to, problems, "more than zero")
        if limit is not None and not is_last and limit <= reached and reached:
            problems.add(
                up_to,
                f"is {up_to.text if up_to else ''}, not above the tier before it",
                "order the tiers by rising up_to",
            )
        reached = limit or reached
        tiers.append(Tier(limit, fields.amount("unit"), fields.amount("flat")))
    return tuple(tiers)


def _charge_mistakes(charge: Charge, meter: Meter) -> Iterator[tuple[str, str]]:
    """What the charge may not be, given what the meter is: (what is wrong, what to do)."""
    aggregate = meter.aggregate
    if charge.model is None and aggregate != "cost":
        yield f"has no `model`, and {meter.name} is a {aggregate} meter", f"write {listed(list(MODELS))}"
    if charge.model == "percentage" and aggregate not in ("cost", "sum"):
        yield (
            f"takes a percentage of {meter.name}, a {aggregate} meter",
            "use a cost or sum meter, or another model",
        )
    if charge.model == "percentage" and charge.free_units and not (charge.min_amount is charge.max_amount is None):
        yield "has `free_units` beside `min` or `max`", "take one of them out"
    if charge.min_amount is not None and charge.max_amount is not None and charge.min_amount > charge.max_amount:
        yield (
            f"has a `min` of {charge.min_amount} above its `max` of {charge.max_amount}",
            "write the smaller as `min`",
        )
    if charge.is_pooled and charge.model is not None:
        poolable = charge.model == "per_unit" and aggregate in ("sum", "count") and not charge.free_units
        if not poolable:
            advice = "pool a cost meter without a model, or per_unit on sum or count without free_units"
            yield f"can't be pooled as {charge.model} on {meter.name}, a {aggregate} meter", advice


def _check_charge_names(plans: dict[str, Plan], nodes: dict[str, Node], problems: Problems) -> None:
    """Lines say metered:<plan>:<meter>; no two charges may read the same."""
    owners: dict[str, set[str]] = {}
    for plan in plans.values():
        for meter in {charge.meter for version in plan.versions for charge in version.charges}:
            owners.setdefault(f"metered:{plan.name}:{meter}", set()).add(plan.name)
    for charge, names in owners.items():
        for first, second in combinations(sorted(names), 2):
            wrong = f"has a charge {shown(charge)} that the plan {shown(first)} has too"
            problems.add(nodes[second], wrong, "take the colon out of a plan's or meter's name")


def _warn_of_uncharged(plans: dict[str, Plan], meters: Collection[str], problems: Problems) -> None:
    charged = {c.meter for plan in plans.values() for version in plan.versions for c in version.charges}
    for name in meters:
        if name not in charged:
            place = f"catalog/meters.yaml: meters.{name}"
            problems.warn(place, "is charged by no plan", "its usage is kept and owes nothing until a plan charges it")
