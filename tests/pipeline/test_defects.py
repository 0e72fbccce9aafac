"""Clean nights stop nothing and hardly warn; of known defects, done to one night each, none gets by."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from assets import warehouse
from assets.core.catalogue.read_checks import finding
from assets.core.catalogue.shipped_checks import shipped
from assets.core.refusal import Refusal
from assets.gate import expectations
from assets.gate.judge import nights_known, rows_of
from assets.gate.tables import lay_out
from tests import nights
from tests.company import Company
from tests.pipeline.defects import DEFECTS, HISTORY, NUMBER, SEED, Defect
from tests.pipeline.places import copied

pytestmark = pytest.mark.xdist_group("defects")  # the nights before are played once

#: CLEAN=100 plays so many clean nights of each of three companies; it takes minutes.
MANY = int(os.environ.get("CLEAN", "0"))


def play(workspace: Path, company: Company, count: int) -> list[str]:
    """Clean nights, each held against every check as the gate would; what was found, night by night."""
    found: list[str] = []
    for number in range(1, count + 1):
        as_of = company.night(number).arrive(workspace)

        def look(con: duckdb.DuckDBPyConnection, number: int = number, as_of=as_of) -> None:
            known = nights_known(con, as_of)
            lay_out(con)
            for check in shipped().values():
                if check.finds and known >= check.after_nights:
                    rows = con.execute(f"SELECT count(*) FROM gate.{check.table} WHERE {finding(check)}").fetchone()
                    found.extend([f"night {number}: {check.name}"] * bool(rows and rows[0]))

        nights.run_night(workspace, as_of, is_published=False, look=look)
    return found


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The nights before the one with the defect, and what was found in them."""
    workspace = tmp_path_factory.mktemp("company")
    return workspace, play(workspace, Company(SEED), HISTORY)


@pytest.fixture
def workspace(played: tuple[Path, list[str]], tmp_path: Path) -> Path:
    return copied(played[0], tmp_path / "workspace")


@pytest.fixture
def _without_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody reads the pages of forty nights; tests/browser opens those of one."""
    opened = expectations._opened

    @contextmanager
    def without_pages(workspace: Path, docs: Path) -> Iterator[tuple[Any, Any]]:
        with opened(workspace, docs) as (context, source):
            context.build_data_docs = dict
            yield context, source

    monkeypatch.setattr(expectations, "_opened", without_pages)


def test_clean_nights_raise_no_alarm(played: tuple[Path, list[str]]) -> None:
    _, found = played
    assert found == []


@pytest.mark.skipif(not MANY, reason="minutes: CLEAN=100 plays a hundred clean nights of three companies")
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_hundred_clean_nights_hardly_warn(seed: int, tmp_path: Path) -> None:
    found = play(tmp_path, Company(seed), MANY)
    print("\n".join(found))
    assert [one for one in found if shipped()[one.rpartition(": ")[2]].kind == "structure"] == []
    assert len(found) <= MANY // 50  # not one night in fifty


@pytest.mark.usefixtures("_without_pages")
@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_a_defect_does_not_get_by(defect: Defect, workspace: Path) -> None:
    night = Company(SEED).night(NUMBER)
    defect.change(night)
    night.arrive(workspace)
    # As configured: every other one is told to block.
    blocks = DEFECTS.index(defect) % 2 == 0
    if blocks:
        told = {name: {"severity": "block"} for name in defect.noticed_by}
        (workspace / "catalog" / "checks.yaml").write_text(json.dumps({"checks": told}))
    if not defect.noticed_by:
        with pytest.raises(Refusal):
            nights.judge_night(workspace, night.as_of)
        return
    judged = nights.judge_night(workspace, night.as_of)
    noticed = {check["check_name"]: check for check in judged.of("stops" if blocks else "warns")}
    assert set(defect.noticed_by) <= set(noticed)
    assert judged.is_stopped == blocks
    assert any(Decimal(amount) for name in defect.noticed_by for amount in noticed[name]["at_stake"].values())
    with warehouse.connect(workspace) as con:
        for name in defect.noticed_by:
            assert len(rows_of(con, night.as_of, name)) == noticed[name]["rows_found"] > 0
