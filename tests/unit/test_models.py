"""Every model says what it is, and is held to it: its grain, its columns by an enforced contract, its hardest rule."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from assets.core.reasons import REASONS, RETRIED

ROOT = Path(__file__).resolve().parents[2]
MODELS = sorted(path.relative_to(ROOT / "models").as_posix() for path in (ROOT / "models").glob("*/*.sql"))
GRAIN = re.compile(r"\bone row (per|each)\b|\bone row of\b", re.IGNORECASE)


def stated(model: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What the YAML beside a model states of it, and its unit tests."""
    text = (ROOT / "models" / model).with_suffix(".yml").read_text()
    said: dict[str, Any] = YAML(typ="safe").load(text)
    (description,) = said["models"]
    assert description["name"] == Path(model).stem
    return description, said.get("unit_tests", [])


@pytest.mark.parametrize("model", MODELS)
def test_a_model_states_its_grain_and_its_columns(model: str) -> None:
    description, _ = stated(model)
    assert GRAIN.search(description["description"]), "say what there is one row of, such as: One row per account."
    assert description.get("config", {}).get("contract") == {"enforced": True}
    for column in description["columns"]:
        assert column.get("data_type"), column["name"]
        assert column.get("description"), column["name"]


@pytest.mark.parametrize("model", MODELS)
def test_a_model_has_a_unit_test_of_its_hardest_rule(model: str) -> None:
    _, tests = stated(model)
    assert [test for test in tests if test["model"] == Path(model).stem and test["description"]], "it has none"


def test_every_description_has_its_model() -> None:
    described = {path.relative_to(ROOT / "models").as_posix() for path in (ROOT / "models").glob("*/*.yml")}
    assert {name.removesuffix(".yml") for name in described} == {name.removesuffix(".sql") for name in MODELS}


def test_reasons_have_one_order() -> None:
    """The models rank them as the rooms before them do."""
    macro = (ROOT / "dbt_project" / "macros" / "reasons.sql").read_text().partition("{%- for each in (")[2]
    assert tuple(re.findall(r"'(\w+)'", macro.partition(")")[0])) == REASONS
    assert set(RETRIED) < set(REASONS)
