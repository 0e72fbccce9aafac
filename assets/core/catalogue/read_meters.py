"""meters.yaml: what is counted, and the tables of weights."""

from __future__ import annotations

from decimal import Decimal

from assets.core.catalogue.fields import Fields, named_entries, number_of
from assets.core.catalogue.models import Aggregate, Meter
from assets.core.catalogue.nodes import Node
from assets.core.catalogue.problems import Problems

FILE = "catalog/meters.yaml"
KEYS = ("weights", "meters")
METER_KEYS = ("aggregate", "divide_by", "unit", "of")
AGGREGATES: tuple[Aggregate, ...] = ("sum", "count", "max", "latest", "unique_count", "time_weighted", "cost")

_EXAMPLE = "meters: {model_cost: {aggregate: cost}}"


def read_meters(root: Node | None, problems: Problems) -> dict[str, Meter | None] | None:
    """The meters, those with mistakes as None; None for all where the file can't say what there is."""
    if root is not None:
        Fields(root, KEYS, problems)
    nodes = named_entries(root, "meters", FILE, _EXAMPLE, problems)
    return None if nodes is None else {name: _meter(name, node, problems) for name, node in nodes.items()}


def _meter(name: str, node: Node, problems: Problems) -> Meter | None:
    before = len(problems)
    fields = Fields(node, METER_KEYS, problems)
    aggregate: Aggregate = "sum"
    if fields.need("aggregate", f"write one of {', '.join(AGGREGATES)}") is not None:
        aggregate = fields.choice("aggregate", AGGREGATES, "sum")
    divide_by = fields.number("divide_by", "more than zero")
    of = fields.text("of")
    if aggregate == "cost" and (odd := fields.get("divide_by")) is not None:
        problems.add(odd, "divides a cost, which is money already", "take it out")
    if aggregate == "unique_count":
        fields.need("of", "write `of: actor`, or a key of the sources' context")
    elif (odd := fields.get("of")) is not None:
        problems.add(odd, f"is for unique_count, and the aggregate is {aggregate}", "take it out")
    meter = Meter(name, aggregate, divide_by or Decimal(1), fields.text("unit"), of)
    return meter if len(problems) == before else None


def read_weights(root: Node | None, problems: Problems) -> dict[str, dict[str, Decimal]] | None:
    """The tables of weights by name; None where the file can't be read."""
    if root is None:
        return None
    node = root.entries.get("weights")
    if node is None or node.kind == "null":
        return {}
    if node.kind != "map":
        problems.add(node, node.described(), "write a mapping such as {compute: {export: 10, default: 1}}")
        return None
    return {name: _table(table, problems) for name, table in node.entries.items()}


def _table(node: Node, problems: Problems) -> dict[str, Decimal]:
    if node.kind != "map" or not node.entries:
        problems.add(
            node,
            node.described() if node.kind != "map" else "is empty",
            "write a mapping of weights such as {export: 10, default: 1}",
        )
        return {}
    weights = {key: number_of(child, problems, "any") for key, child in node.entries.items()}
    return {key: weight for key, weight in weights.items() if weight is not None}
