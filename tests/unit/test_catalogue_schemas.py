"""The JSON Schemas that editors complete the catalogue with say what the loader says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from assets.core.catalogue import load, read_meters, read_plans, read_sources, read_workspace
from assets.core.catalogue.nodes import Node, read_yaml
from assets.core.catalogue.problems import Problems
from tests.unit.test_catalogue import FILES, workspace_with
from tests.unit.test_catalogue_mistakes import MISTAKES

SCHEMAS = Path(__file__).parents[2] / "data" / "schemas"
CATALOG = [file for file in FILES if file.startswith("catalog/")]


def schema_of(file: str) -> dict[str, Any]:
    path = SCHEMAS / f"{Path(file).stem}.schema.json"
    schema: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return schema


def plain(node: Node) -> Any:
    """What an editor sees in the file."""
    match node.kind:
        case "map":
            return {key: plain(child) for key, child in node.entries.items()}
        case "list":
            return [plain(child) for child in node.items]
        case "number" if node.text.lstrip("+-").isdigit():
            return int(node.text)
        case "number" if re.fullmatch(r"[-+.0-9eE]+", node.text):
            return float(node.text)
        case "number":
            return node.text
        case "bool":
            return node.text == "true"
        case "text":
            return node.text
    return None


def is_valid(root: Path, file: str) -> bool:
    node = read_yaml(root, file, Problems())
    return node is not None and Draft202012Validator(schema_of(file)).is_valid(plain(node))


@pytest.mark.parametrize("file", CATALOG)
def test_the_schema_itself_is_right(file: str) -> None:
    Draft202012Validator.check_schema(schema_of(file))


KEYS = [
    (read_workspace, (), read_workspace.KEYS),
    (read_workspace, ("properties", "stripe"), read_workspace.STRIPE_KEYS),
    (read_meters, (), read_meters.KEYS),
    (read_meters, ("$defs", "meter"), read_meters.METER_KEYS),
    (read_sources, (), read_sources.KEYS),
    (read_sources, ("$defs", "source"), read_sources.SOURCE_KEYS),
    (read_sources, ("$defs", "source", "properties", "occurred_at", "anyOf", 1), read_sources.OCCURRED_AT_KEYS),
    (read_sources, ("$defs", "emit"), read_sources.EMIT_KEYS),
    (read_plans, (), read_plans.KEYS),
    (read_plans, ("$defs", "plan"), read_plans.PLAN_KEYS),
    (read_plans, ("$defs", "version"), read_plans.VERSION_KEYS),
    (read_plans, ("$defs", "version", "properties", "daily_refresh", "anyOf", 0), read_plans.REFRESH_KEYS),
    (read_plans, ("$defs", "charge"), read_plans.CHARGE_KEYS),
    (read_plans, ("$defs", "tier"), read_plans.TIER_KEYS),
]


def part_of(file: str, path: tuple[str | int, ...]) -> Any:
    part: Any = schema_of(file)
    for step in path:
        part = part[step]
    return part


@pytest.mark.parametrize(("module", "path", "keys"), KEYS)
def test_the_same_keys_are_known(module: Any, path: tuple[str | int, ...], keys: tuple[str, ...]) -> None:
    part = part_of(module.FILE, path)
    assert tuple(part["properties"]) == keys
    assert part["additionalProperties"] is False


CHOICES = [
    (read_workspace, ("properties", "stripe", "properties", "mode", "enum"), read_workspace.MODES),
    (read_workspace, ("properties", "stripe", "properties", "push", "enum"), read_workspace.PUSHES),
    (read_workspace, ("properties", "stripe", "properties", "collect", "enum"), read_workspace.COLLECTS),
    (read_workspace, ("properties", "stripe", "properties", "key", "enum"), read_workspace.KEY_MODES),
    (read_meters, ("$defs", "meter", "properties", "aggregate", "enum"), read_meters.AGGREGATES),
    (read_sources, ("$defs", "source", "properties", "format", "enum"), read_sources.FORMATS),
    (read_plans, ("$defs", "charge", "properties", "model", "enum"), tuple(read_plans.MODELS)),
]


@pytest.mark.parametrize(("module", "path", "choices"), CHOICES)
def test_the_same_choices_are_offered(module: Any, path: tuple[str, ...], choices: tuple[str, ...]) -> None:
    assert tuple(choice for choice in part_of(module.FILE, path) if choice is not None) == choices


@pytest.mark.parametrize("file", CATALOG)
def test_a_right_file_is_valid(tmp_path: Path, file: str) -> None:
    assert is_valid(workspace_with(tmp_path), file)


RIGHT = [
    ("catalog/workspace.yaml", "", ""),
    ("catalog/workspace.yaml", "mode: shadow}", "mode: live, push: null}\nbill_from: 2026-01-01 00:00:00+01:00"),
    ("catalog/workspace.yaml", "default_plan: free", "default_plan: null\nlate_window: 5w"),
    ("catalog/meters.yaml", "divide_by: 1024", 'divide_by: "1e3"'),
    ("catalog/sources.yaml", "where: {type: usage_tick}", "where: {a: [1.50, true, 'x'], b: no}"),
    ("catalog/sources.yaml", "occurred_at: timestamp", "occurred_at: {field: ts, unit: ms}"),
    ("catalog/sources.yaml", "quantity: bytes", "quantity: {sum: [a, 0.5, {product: [{weight: k, table: compute}]}]}"),
    ("catalog/plans.yaml", "included: 30.00", "included: null\n        overage: false"),
    ("catalog/plans.yaml", "pooled: true}\n          - {meter: gb", "pooled: true, min: null}\n          - {meter: gb"),
    ("catalog/plans.yaml", "model: per_unit, price: 1,", "model: volume, tiers: [{unit: 1}], free_units: 3,"),
    ("catalog/plans.yaml", "per_unit, price: 0.000016, pooled: true", "percentage, rate: 0.1, fixed: 1, max: 3"),
]


@pytest.mark.parametrize(("file", "old", "new"), RIGHT)
def test_what_the_loader_reads_is_valid(tmp_path: Path, file: str, old: str, new: str) -> None:
    root = workspace_with(tmp_path, (file, old, new), ("accounts/baselines.csv", "u1,2026-05-01T00:00:00Z,1\n", ""))
    load(root)
    assert is_valid(root, file)


# What takes a look at another place of the file, or at another file, an editor can't tell.
BEYOND_A_SCHEMA = (
    "stands twice",
    "which meters.yaml does not list",
    "of meters.yaml does not list",
    "which plans.yaml does not list",
    "which has a minimum",
    "which charges storage_gb",
    "which is no context key",
    "whose aggregate is count",
    "is a cost meter",
    "which a row may do once",
    "like another version",
    "first on line",
    "and calls is a count meter",
    "takes a percentage of",
    "not above the tier before it",
    "ends the last tier",
    "is not the last tier",
    "can't be pooled",
    "above its `max`",
    "beside `min` or `max`",
    "more than 18 digits",
    "more than 15 digits",
    "control character",
    "99999999d",
    "has no version at",
)


@pytest.mark.parametrize(("file", "old", "new", "sentences"), [m for m in MISTAKES if m[0] in CATALOG])
def test_mistakes_show_in_the_editor(tmp_path: Path, file: str, old: str, new: str, sentences: list[str]) -> None:
    told_elsewhere = any(words in sentence for words in BEYOND_A_SCHEMA for sentence in sentences)
    assert told_elsewhere or not is_valid(workspace_with(tmp_path, (file, old, new)), file)
