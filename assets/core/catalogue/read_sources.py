"""sources.yaml: how a raw row becomes usage."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations

from assets.core.catalogue.fields import Fields, choice_of, named_entries, number_of, text_of, texts_of
from assets.core.catalogue.models import (
    Condition,
    Emit,
    Expr,
    Field,
    Format,
    Meter,
    Number,
    OccurredAt,
    Product,
    Source,
    Sum,
    TimeUnit,
    Weight,
)
from assets.core.catalogue.nodes import Node
from assets.core.catalogue.problems import Problems, shown, suggestion

FILE = "catalog/sources.yaml"
KEYS = ("sources",)
SOURCE_KEYS = ("files", "format", "where", "identity", "occurred_at", "account", "actor", "context", "emits")
OCCURRED_AT_KEYS = ("field", "unit")
EMIT_KEYS = ("meter", "quantity", "cost", "when")
EXPRESSIONS = ("product", "sum", "weight", "table")
FORMATS: tuple[Format, ...] = ("ndjson", "csv", "parquet")
UNITS: tuple[TimeUnit, ...] = ("s", "ms", "us")

_EXAMPLE = "sources: {ticks: {files: ticks/**/*.ndjson, format: ndjson, …}}"
_QUANTITY = "write a field path, a number, {product: […]}, {sum: […]} or {weight: field, table: NAME}"


@dataclass(frozen=True, slots=True)
class _Known:
    """What meters.yaml lists; None where it could not be read, so that nothing is called unknown."""

    meters: dict[str, Meter | None] | None
    weights: Collection[str] | None
    problems: Problems


def read_sources(
    root: Node | None,
    meters: dict[str, Meter | None] | None,
    weights: Collection[str] | None,
    problems: Problems,
) -> dict[str, Source]:
    if root is not None:
        Fields(root, KEYS, problems)
    nodes = named_entries(root, "sources", FILE, _EXAMPLE, problems) or {}
    known = _Known(meters, weights, problems)
    sources = {name: _source(name, node, known) for name, node in nodes.items()}
    _check_unique_counts(sources, nodes, known)
    return sources


def _source(name: str, node: Node, known: _Known) -> Source:
    problems = known.problems
    fields = Fields(node, SOURCE_KEYS, problems)
    fields.need("files", "write a glob below raw/ such as ticks/**/*.ndjson")
    form: Format = "ndjson"
    if fields.need("format", "write ndjson, csv or parquet"):
        form = fields.choice("format", FORMATS, "ndjson")
    identity = fields.need("identity", "write the fields that make two rows the same usage, such as [id]")
    emits = fields.need("emits", "write a list such as [{meter: calls}]")
    return Source(
        name=name,
        files=_files(fields),
        format=form,
        where=_condition(fields.get("where"), problems),
        identity=_identity(identity, problems),
        occurred_at=_occurred_at(fields),
        account=fields.text("account"),
        actor=fields.text("actor"),
        context=_context(fields.get("context"), problems),
        emits=_emits(emits, known),
    )


def _files(fields: Fields) -> str:
    files, node = fields.text("files"), fields.get("files")
    if files is None or node is None:
        return ""
    if files.startswith("/") or "\\" in files or ".." in files.split("/"):
        fields.problems.add(
            node, f"is {shown(files)}, which is not below raw/", "write a glob such as ticks/**/*.ndjson"
        )
    elif files.startswith(("raw/", "./")):
        short = files.removeprefix("./").removeprefix("raw/")
        fields.problems.add(node, f"is {shown(files)}, but files are named below raw/", f"write {short}")
    return files


def _identity(node: Node | None, problems: Problems) -> tuple[str, ...]:
    if node is None:
        return ()
    identity = texts_of(node, problems, "the fields that make two rows the same usage")
    for field in sorted({field for field in identity if identity.count(field) > 1}):
        problems.add(node, f"lists {shown(field)} twice", "keep one of them")
    return identity


def _occurred_at(fields: Fields) -> OccurredAt:
    advice = "write a field of RFC 3339 text, or {field: ts, unit: s | ms | us}"
    node = fields.need("occurred_at", advice)
    if node is None:
        return OccurredAt("")
    if node.kind != "map":
        return OccurredAt(text_of(node, fields.problems) or "")
    inner = Fields(node, OCCURRED_AT_KEYS, fields.problems)
    inner.need("field", "write the field's path")
    inner.need("unit", "write s, ms or us, or the field alone where it holds RFC 3339 text")
    unit = inner.get("unit")
    return OccurredAt(inner.text("field") or "", None if unit is None else choice_of(unit, UNITS, fields.problems))


def _condition(node: Node | None, problems: Problems) -> Condition:
    if node is None:
        return {}
    if node.kind != "map":
        problems.add(node, node.described(), "write a mapping of fields to values such as {type: usage_tick}")
        return {}
    condition = {}
    for field, child in node.entries.items():
        if child.kind in ("null", "map"):
            problems.add(child, f"{child.described()}, which no row's text equals", "write a text or a list of texts")
        elif child.kind == "list":
            condition[field] = texts_of(child, problems, "the texts that match")
        else:
            condition[field] = (child.text,)
    return condition


def _context(node: Node | None, problems: Problems) -> dict[str, str]:
    if node is None:
        return {}
    if node.kind != "map":
        problems.add(node, node.described(), "write a mapping of keys to fields such as {sandbox: payload.sandbox_id}")
        return {}
    return {key: text_of(child, problems) or "" for key, child in node.entries.items()}


def _emits(node: Node | None, known: _Known) -> tuple[Emit, ...]:
    if node is None:
        return ()
    if node.kind != "list" or not node.items:
        wrong = "is an empty list" if node.kind == "list" else f"{node.described()} and not a list"
        known.problems.add(node, wrong, "write a list such as [{meter: calls}]")
        return ()
    pairs = [(item, _emit(item, known)) for item in node.items]
    for (_, first), (item, second) in combinations(pairs, 2):
        # Two usages of one meter from one row would share their key; alternatives never meet in one.
        if first.meter and first.meter == second.meter and not _exclude(first.when, second.when):
            wrong = f"emits {shown(second.meter)} again, which a row may do once"
            known.problems.add(item, wrong, "write a `when` that tells the two apart, or another meter")
    return tuple(emit for _, emit in pairs)


def _exclude(one: Condition, other: Condition) -> bool:
    return any(set(one[field]).isdisjoint(other[field]) for field in one.keys() & other.keys())


def _emit(node: Node, known: _Known) -> Emit:
    fields = Fields(node, EMIT_KEYS, known.problems)
    name = fields.text("meter") if fields.need("meter", "write a meter of meters.yaml") else None
    quantity = fields.get("quantity")
    emit = Emit(
        meter=name or "",
        quantity=None if quantity is None else _expression(quantity, known),
        cost=fields.text("cost"),
        when=_condition(fields.get("when"), known.problems),
    )
    if name is not None and known.meters is not None:
        _check_meter(fields, name, known.meters, known.problems)
    return emit


def _check_meter(fields: Fields, name: str, meters: dict[str, Meter | None], problems: Problems) -> None:
    meter, place, cost = meters.get(name), fields.get("meter"), fields.get("cost")
    if name not in meters:
        advice = suggestion(name, meters, "its rows are held as unknown_meter until it is listed")
        problems.warn(place, f"is {shown(name)}, which meters.yaml does not list", advice)
    elif meter is None:
        return
    elif meter.aggregate == "cost" and cost is None:
        problems.add(fields.node, f"has no `cost`, and {name} is a cost meter", "write the field that holds the money")
    elif meter.aggregate != "cost" and cost is not None:
        wrong = f"is given to {name}, whose aggregate is {meter.aggregate}"
        problems.add(cost, wrong, "write `quantity`, or make it a cost meter")


def _expression(node: Node, known: _Known) -> Expr:
    nothing = Number(Decimal(0))
    if node.kind == "number":
        number = number_of(node, known.problems, "any")
        return nothing if number is None else Number(number)
    if node.kind == "text":
        return Field(text_of(node, known.problems) or "")
    if node.kind != "map":
        known.problems.add(node, node.described(), _QUANTITY)
        return nothing
    fields = Fields(node, EXPRESSIONS, known.problems)
    kinds = set(node.entries) & set(EXPRESSIONS)
    if kinds == {"product"}:
        return Product(_operands(fields, "product", known))
    if kinds == {"sum"}:
        return Sum(_operands(fields, "sum", known))
    if kinds == {"weight", "table"}:
        return Weight(fields.text("weight") or "", _table(fields, known))
    if kinds or not node.entries:
        known.problems.add(node, "is not one of the forms of a quantity", _QUANTITY)
    return nothing


def _operands(fields: Fields, key: str, known: _Known) -> tuple[Expr, ...]:
    node = fields.get(key)
    if node is None or node.kind != "list" or not node.items:
        known.problems.add(node or fields.node, "has nothing to reckon with", f"write {{{key}: [a_field, 2]}}")
        return ()
    return tuple(_expression(item, known) for item in node.items)


def _table(fields: Fields, known: _Known) -> str:
    name, node = fields.text("table"), fields.get("table")
    if name is not None and node is not None and known.weights is not None and name not in known.weights:
        advice = suggestion(name, known.weights, "add it to `weights`")
        known.problems.add(node, f"is {shown(name)}, which `weights` of meters.yaml does not list", advice)
    return name or ""


def _check_unique_counts(sources: dict[str, Source], nodes: dict[str, Node], known: _Known) -> None:
    """What a unique_count counts must be told by a source that feeds it, else it counts nothing."""
    for meter in filter(None, (known.meters or {}).values()):
        feeding = [source for source in sources.values() if any(emit.meter == meter.name for emit in source.emits)]
        if meter.of is None or not feeding:
            continue
        for source in feeding:
            if meter.of == "actor" and source.actor is None:
                known.problems.warn(nodes[source.name], f"has no `actor`, which {meter.name} counts", "name the field")
        keys = {key for source in feeding for key in source.context}
        if meter.of != "actor" and meter.of not in keys:
            place = f"catalog/meters.yaml: meters.{meter.name}.of"
            wrong = f"is {shown(meter.of)}, which is no context key of a source that emits the meter"
            known.problems.add(place, wrong, suggestion(meter.of, [*keys, "actor"], "add it to the source's context"))
