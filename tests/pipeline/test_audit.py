"""A closed month in a bundle: the same bytes again, and the same tables again from nothing but what is in it."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from assets import audit, verbs, warehouse
from assets.audit import archive
from assets.core.refusal import Refusal
from orchestration.cli import app
from tests import nights
from tests.golden.case import Script
from tests.pipeline.places import case, copied

pytestmark = pytest.mark.xdist_group("audit")  # its workspace is made once

KILLED_AT = timedelta(hours=-1)


def land_only(workspace: Path, as_of: datetime) -> None:
    """A night that dies between landing and its models."""
    with warehouse.connect(workspace) as con:
        verbs.take_in(con, workspace, as_of)
        verbs.bring_in(con, workspace, as_of)


@pytest.fixture(scope="module")
def billed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three nights, of which the second adjusts the month that the first has closed, after every file has changed.

    It had died once, an hour before, with another catalogue; and when it was done it was run again.
    """
    workspace = tmp_path_factory.mktemp("audited") / "workspace"
    script: Script = case().script
    for number, as_of in enumerate(script.nights, start=1):
        script.before(number, workspace)
        if number == 2:
            plans = (workspace / "catalog" / "plans.yaml").read_bytes()
            (workspace / "catalog" / "plans.yaml").write_bytes(plans + b"# an hour before\n")
            land_only(workspace, as_of + KILLED_AT)
            (workspace / "catalog" / "plans.yaml").write_bytes(plans)
        nights.run_night(workspace, as_of)
        if number == 2:
            nights.run_night(workspace, as_of)
    return workspace


@pytest.fixture(scope="module")
def month(billed: Path) -> str:
    (first, *_) = (row for row in nights.published(billed)["periods"] if row["state"] == "closed")
    return f"{first['period_start']:%Y-%m}"


@pytest.fixture(scope="module")
def bundle(billed: Path, month: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("bundle") / "month.tar.zst"
    audit.bundle(billed, month, file)
    return file


def unpacked(bundle: Path, into: Path) -> dict[str, Any]:
    archive.unpack(bundle, into)
    manifest: dict[str, Any] = json.loads((into / "manifest.json").read_text())
    return manifest


def rows(file: Path) -> list[Mapping[str, str]]:
    with file.open(newline="") as text:
        return list(csv.DictReader(text))


def packed(folder: Path) -> Path:
    """A bundle of what lies in the folder now."""
    members = sorted(path for path in folder.rglob("*") if path.is_file())
    file = folder.with_name("changed.tar.zst")
    archive.pack(((it.relative_to(folder).as_posix(), it) for it in members), file)
    return file


def tallyhouse(*words: object) -> Result:
    return CliRunner().invoke(app, ["audit", *map(str, words)])


def test_a_bundle_is_the_same_bytes_again(billed: Path, bundle: Path, month: str, tmp_path: Path) -> None:
    made = audit.bundle(billed, month, tmp_path / "again.tar.zst")
    assert made.file.read_bytes() == bundle.read_bytes()
    assert (made.gone, made.unknown) == ((), ())
    # A later night that brings nothing for the month changes nothing of its bundle.
    later = copied(billed, tmp_path / "later")
    nights.run_night(later, case().script.nights[-1] + timedelta(days=1))
    assert audit.bundle(later, month, tmp_path / "later.tar.zst").file.read_bytes() == bundle.read_bytes()


def test_a_bundle_holds_what_the_readers_see(billed: Path, bundle: Path, month: str, tmp_path: Path) -> None:
    manifest = unpacked(bundle, tmp_path)
    published = nights.published(billed)
    (period,) = [row for row in published["periods"] if f"{row['period_start']:%Y-%m}" == month]
    assert [key for key, _ in manifest["periods"]] == [period["subscription_id"]]
    (audited,) = rows(tmp_path / "tables" / "periods.csv")
    assert audited["owed"] == str(period["owed"])
    lines = rows(tmp_path / "tables" / "invoice_items.csv")
    ours = [it for it in published["invoice_items"] if it["period_start"] == period["period_start"]]
    assert {it["line_id"]: it["amount_minor"] for it in lines} == {
        it["line_id"]: str(it["amount_minor"]) for it in ours
    }
    assert {it["reason"] for it in lines} >= {"close", "adjustment"}
    assert {it["line_id"]: it["state"] for it in rows(tmp_path / "facts" / "stripe.csv")} == {
        it["line_id"]: it["state"] for it in ours
    }
    usage = [it for it in published["ledger"] if it["period_start"] == period["period_start"]]
    assert {it["event_key"] for it in rows(tmp_path / "tables" / "ledger.csv")} == {it["event_key"] for it in usage}
    for table in ("close_slices", "close_charges", "daily_refresh", "charges", "rounding_ledger", "runs"):
        assert rows(tmp_path / "tables" / f"{table}.csv"), table


def test_a_bundle_knows_the_files_of_every_night(billed: Path, bundle: Path, tmp_path: Path) -> None:
    manifest = unpacked(bundle, tmp_path)
    told = [(it["as_of"], it["is_posted"]) for it in manifest["passes"]]
    # The night that died is there as what it was, and the one run twice is there once.
    assert [is_posted for _, is_posted in told] == [True, False, True]
    killed, last = manifest["passes"][1:]
    assert killed["raw"]
    assert last["raw"] == {}
    assert killed["texts"]["catalog/plans.yaml"] != last["texts"]["catalog/plans.yaml"]
    assert (tmp_path / killed["texts"]["catalog/plans.yaml"]).read_text().endswith("# an hour before\n")
    assert (tmp_path / last["texts"]["catalog/plans.yaml"]).read_bytes() == (
        billed / "catalog" / "plans.yaml"
    ).read_bytes()
    for name, digest in manifest["files"].items():
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == digest


def test_a_replay_elsewhere_comes_to_the_same_tables(bundle: Path, month: str, tmp_path: Path) -> None:
    done = tallyhouse("--replay", bundle, "--into", tmp_path / "elsewhere", "--json")
    assert (done.exit_code, done.stderr) == (0, "")
    *told, verdict = map(json.loads, done.stdout.splitlines())
    assert [it["event"] for it in told] == ["replayed"] * 2
    assert (verdict["period"], verdict["nights"], verdict["is_same"]) == (month, 2, True)
    assert verdict["rows"]["invoice_items"] > 0
    assert (tmp_path / "elsewhere" / "workspace" / "warehouse" / "tallyhouse.duckdb").is_file()
    # And the workspace it leaves is one that can be audited itself.
    again = audit.bundle(tmp_path / "elsewhere" / "workspace", month, tmp_path / "again.tar.zst")
    assert again.file.read_bytes() == bundle.read_bytes()


def test_a_line_that_was_changed_is_found(billed: Path, month: str, tmp_path: Path) -> None:
    """Somebody adds a cent to a line in the books, and bundles the month."""
    workspace = copied(billed, tmp_path / "workspace")
    with warehouse.connect(workspace) as con:
        con.execute("UPDATE books.lines SET amount_minor = amount_minor + 1 WHERE reason = 'close'")
    file = audit.bundle(workspace, month, tmp_path / "changed.tar.zst").file
    refused = tallyhouse("--replay", file)
    assert refused.exit_code == 1
    assert "invoice_items differs from line 2 on: in the bundle" in refused.stderr
    assert "ledger differs" not in refused.stderr.replace("rounding_ledger", "")


def test_a_bundle_that_was_changed_is_refused(bundle: Path, tmp_path: Path) -> None:
    unpacked(bundle, tmp_path / "open")
    with (tmp_path / "open" / "tables" / "ledger.csv").open("a") as ledger:
        ledger.write("\n")
    (tmp_path / "open" / "raw" / "more.ndjson").write_text("{}\n")
    refused = tallyhouse("--replay", packed(tmp_path / "open"))
    assert refused.exit_code == 1
    assert "tables/ledger.csv is not the file that the manifest names" in refused.stderr
    assert "raw/more.ndjson is not the file that the manifest names" in refused.stderr


@pytest.mark.parametrize(
    ("path", "name"),
    [("../../outside", None), ("/tmp/outside", None), ("raw/../../x", None), ("raw", None), ("warehouse/x", None),
     ("raw/x", "../x"), ("raw/x", "/etc/passwd")],
)  # fmt: skip
def test_a_bundle_is_laid_out_in_its_workspace_and_nowhere_else(
    bundle: Path, tmp_path: Path, path: str, name: str | None
) -> None:
    manifest = unpacked(bundle, tmp_path / "open")
    manifest["passes"][0]["texts"][path] = name or next(iter(manifest["files"]))
    (tmp_path / "open" / "manifest.json").write_text(json.dumps(manifest))
    refused = tallyhouse("--replay", packed(tmp_path / "open"), "--into", tmp_path / "into")
    assert refused.exit_code == 1
    assert f"out as {path!r}, which is no file of a workspace that it holds" in refused.stderr
    assert not (tmp_path / "into" / "workspace").exists()


def test_what_is_gone_is_said_and_not_replayed(billed: Path, month: str, tmp_path: Path) -> None:
    workspace = copied(billed, tmp_path / "workspace")
    lost, *_ = sorted(path for path in (workspace / "raw").rglob("*") if path.is_file())
    lost.unlink()
    name = lost.relative_to(workspace).as_posix()
    made = tallyhouse(month, "--workspace", workspace, "--out", tmp_path / "month.tar.zst")
    assert made.exit_code == 0
    assert f"{name} is gone or changed since it landed" in made.stderr
    refused = tallyhouse("--replay", tmp_path / "month.tar.zst")
    assert refused.exit_code == 1
    assert f"{name} was gone or changed when the bundle was made" in refused.stderr


@pytest.mark.parametrize(
    ("period", "says"),
    [
        ("2031-01", "No period of 2031-01 is in the shadow book"),
        ("May", "'May' names no period; write a month like 2026-05"),
        ("s2@2026-05", "No period of s2@2026-05"),
    ],
)
def test_what_can_not_be_audited(period: str, says: str, billed: Path, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=says):
        audit.bundle(billed, period, tmp_path / "no.tar.zst")
    assert not (tmp_path / "no.tar.zst").exists()


def test_an_open_month_is_refused_and_one_period_is_enough(billed: Path, month: str, tmp_path: Path) -> None:
    (*_, last) = sorted(row["period_start"] for row in nights.published(billed)["periods"] if row["state"] == "open")
    with pytest.raises(Refusal, match="is not closed: s1 until"):
        audit.bundle(billed, f"{last:%Y-%m}", tmp_path / "no.tar.zst")
    assert audit.bundle(billed, f"s1@{month}", tmp_path / "one.tar.zst").periods == 1


@pytest.mark.parametrize("words", [(), ("2026-05", "--replay", "x"), ("2026-05",)])
def test_wrong_usage(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TALLYHOUSE_WORKSPACE", raising=False)
    assert tallyhouse(*words).exit_code == 2
