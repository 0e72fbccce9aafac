"""Who reads: the shell, one query, the examples with the answers they must give, and a file that explains itself."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from assets import publish, reader
from assets.core.refusal import Refusal
from orchestration import examples
from orchestration.cli import app
from tests.demo import played_in_shadow
from tests.pipeline.places import bytes_below

pytestmark = pytest.mark.xdist_group("demo")  # its nights are played once

ROOT = Path(__file__).resolve().parents[2]
Row = dict[str, Any]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return played_in_shadow(tmp_path_factory)


@pytest.fixture
def con(demo: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with reader.opened(demo) as opened:
        yield opened


def ask(demo: Path, *words: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, ["sql", "--workspace", str(demo), *words], input=stdin)


def rows(con: duckdb.DuckDBPyConnection, sql: str) -> list[Row]:
    (answer,) = reader.answers(con, sql)
    return [dict(zip(answer.columns, row, strict=True)) for row in answer.rows()]


# --- the examples, by values reckoned by hand ------------------------------------------------------------------------


def usage_by_customer_and_week(found: list[Row]) -> None:
    # Ada's week of June 8: 12 rows of usage_log-2026-06-02_… and -06-10_… come to 6.8636006288, 6 of the gateway to
    # 0.5896275, and one sandbox tick of 150 s on 1 CPU and 1 GB to 150 × (0.000014 + 0.0000045) = 0.002775.
    (week,) = [it for it in found if it["account_id"] == "usr_ada" and str(it["week"]) == "2026-06-08"]
    assert (week["rows"], week["actors"], week["currency"]) == (20, 1, "USD")
    assert week["usage"] == Decimal("6.8636006288") + Decimal("0.5896275") + Decimal("0.002775")


def near_their_threshold(found: list[Row]) -> None:
    # Two subscriptions hold the team plan, 75.00 from June on; Acme's overage so far is 53.5286463419, none billed.
    assert [(it["account_id"], it["threshold"], it["share"]) for it in found] == [
        ("org_acme", 75, 71),
        ("org_birch", 75, 0),
    ]
    assert found[0]["unbilled"] == Decimal("53.5286463419")
    assert found[0]["to_threshold"] == Decimal("21.4713536581")


def margin_by_model(found: list[Row]) -> None:
    # 645,581 embedded tokens in dollars (all 668,077 but Emi's 22,496 in yen), sold at 2.50, bought at 0.10 a million.
    (embed,) = [it for it in found if it["model"] == "embed-large"]
    assert (embed["tokens"], embed["usage"], embed["cost"]) == (645_581, Decimal("1.6139525"), Decimal("0.0645581"))
    assert embed["margin"] == Decimal("1.5493944")
    assert {it["currency"] for it in found} == {"USD"}


def cohorts(found: list[Row]) -> None:
    # Two accounts begin on April 30 (UTC), Cobalt alone pays in euros, and nobody has left by June.
    assert [(str(it["cohort"]), it["month"], it["accounts"]) for it in found if it["currency"] == "EUR"] == [
        ("2026-05-01", 0, 1),
        ("2026-05-01", 1, 1),
    ]
    dollars = {(str(it["cohort"]), it["month"]): it["accounts"] for it in found if it["currency"] == "USD"}
    assert dollars == {
        ("2026-04-01", 0): 2,
        ("2026-04-01", 1): 2,
        ("2026-04-01", 2): 2,
        ("2026-05-01", 0): 6,
        ("2026-05-01", 1): 6,
    }


def refresh_given_away(found: list[Row]) -> None:
    # The European plan gives none. Ada's, Delta's and Ben's pro seats: in June 30 windows of 0.25 and 30 of 2 × 0.25.
    assert {(it["allowance"], it["refresh"]) for it in found if it["plan"] == "enterprise_eu"} == {(0, 0)}
    (june,) = [it for it in found if (it["plan"], str(it["month"])) == ("pro", "2026-06-01")]
    assert (june["windows"], june["allowance"]) == (60, Decimal("22.5"))
    assert 0 < june["refresh"] < june["allowance"]


def top_movers(found: list[Row]) -> None:
    changes = [abs(it["change"]) for it in found]
    assert changes == sorted(changes, reverse=True)
    assert all(it["change"] == it["last_week"] - it["week_before"] for it in found)
    (birch,) = [it for it in found if it["account_id"] == "org_birch"]
    assert birch["change"] == Decimal("12.8544704293") - Decimal("32.3451607348")


def late_corrections(found: list[Row]) -> None:
    # usage_log-2026-05-29_late.csv. Ada: two rows, of which refresh takes a part. Acme: one more row and the refund.
    assert [(it["account_id"], it["amount_minor"], it["usages"], it["usage"]) for it in found] == [
        ("org_acme", -334, 2, Decimal("3.700449") + Decimal("-7.0414969002")),
        ("usr_ada", 65, 2, Decimal("0.403231") + Decimal("0.4405537811")),
    ]


def quarantine_at_stake(found: list[Row]) -> None:
    # The cost that came doubled the second time, and the row whose clock has no zone; ten rows in all.
    assert sum(it["rows"] for it in found) == 10
    assert [(it["reason"], it["cost"], it["days"]) for it in found[:2]] == [
        ("key_conflict", Decimal("5.9572533378"), 30),
        ("bad_timestamp", Decimal("0.856083"), 30),
    ]
    (reports,) = [it for it in found if it["reason"] == "unknown_meter"]
    assert (reports["rows"], reports["quantity"]) == (2, 21 + 24)


def revenue_by_day(found: list[Row]) -> None:
    # To the last cent what was billed: 800.00 € are Cobalt's minimum of two months.
    totals = {
        currency: sum(it["recognised_minor"] for it in found if it["currency"] == currency)
        for currency in ("EUR", "JPY", "USD")
    }
    assert totals == {"EUR": 80_000, "JPY": 4_301, "USD": 30_831}


def trace_a_line(found: list[Row]) -> None:
    assert found
    assert {it["raw_file"].split("/")[0] for it in found} <= {"agent_platform", "llm_gateway", "sandbox"}
    assert not any(it["counted_in_baseline"] for it in found)


def from_usage_to_bill(found: list[Row]) -> None:
    # README: Acme's May.
    (may,) = [it for it in found if it["account_id"] == "org_acme" and it["state"] == "closed"]
    assert (may["refresh"], may["overage"]) == (Decimal("41.5"), Decimal("123.382471995635"))
    assert may["baseline"] + may["usage"] - may["refresh"] - may["included"] == may["overage"]
    # 228.25 at the close, 3.34 given back since; 15.00 of credit met the threshold's line.
    assert (may["billed_minor"], may["credit_minor"]) == (22_825 - 334, -1_500)


def where_usage_ended(found: list[Row]) -> None:
    assert {it["difference"] for it in found} == {0}
    (cost,) = [it for it in found if it["meter"] == "agent_cost"]
    # Nine rows of the 18th came again as they were; the tenth said something else and is held with three more.
    assert (cost["duplicate"], cost["held"], cost["expired"]) == (9, 4, 1)


FACTS: list[Callable[[list[Row]], None]] = [
    usage_by_customer_and_week,
    near_their_threshold,
    margin_by_model,
    cohorts,
    refresh_given_away,
    top_movers,
    late_corrections,
    quarantine_at_stake,
    revenue_by_day,
    trace_a_line,
    from_usage_to_bill,
    where_usage_ended,
]


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.__name__)
def test_an_example_answers_its_question(fact: Callable[[list[Row]], None], con: duckdb.DuckDBPyConnection) -> None:
    fact(rows(con, examples.find(fact.__name__).sql))


def test_every_example_is_looked_at_and_says_how_to_read_it() -> None:
    known = examples.examples()
    assert set(known) == {fact.__name__ for fact in FACTS}
    for it in known.values():
        assert it.question.endswith("?"), it.name
        assert len(it.reading) > 80, it.name


# --- one query -------------------------------------------------------------------------------------------------------


def test_an_answer_is_a_table_csv_or_json(demo: Path) -> None:
    query = "SELECT as_of, counts, 1.50::DECIMAL(9, 2) AS price, NULL AS nothing FROM runs ORDER BY as_of LIMIT 1"
    counts = '{"files": 5, "rows": 21, "usages": 34, "held": 0, "closed_periods": 1, "lines": 0}'
    head, rule, row = ask(demo, query).stdout.splitlines()
    assert head.split() == ["as_of", "counts", "price", "nothing"]
    assert set(rule) == {"-", " "}
    assert row.split()[0] == "2026-05-04T01:00:00Z"
    assert row.split()[-2:] == ["1.5", "null"]
    assert f"{counts[:79]}…" in row
    assert list(csv.reader(io.StringIO(ask(demo, query, "--csv").stdout))) == [
        ["as_of", "counts", "price", "nothing"],
        ["2026-05-04T01:00:00Z", counts, "1.50", ""],
    ]
    assert json.loads(ask(demo, query, "--json").stdout) == {
        "as_of": "2026-05-04T01:00:00Z",
        "counts": counts,
        "price": "1.50",
        "nothing": None,
    }


def test_a_table_ends_somewhere_and_csv_does_not(demo: Path) -> None:
    seen = ask(demo, "SELECT raw_file FROM ledger").stdout.splitlines()
    assert seen[-1] == "the first 200 rows; add a LIMIT, or take them all with --csv"
    assert len(ask(demo, "SELECT raw_file FROM ledger", "--csv").stdout.splitlines()) == 1658 + 1


def test_a_script_on_stdin_is_asked_too(demo: Path) -> None:
    done = ask(demo, "--csv", stdin="SELECT 1 AS one;\nSELECT 2 AS two;\n")
    assert done.stdout == "one\n1\ntwo\n2\n"


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE ledger",
        "DELETE FROM billing.invoice_items",
        "UPDATE runs SET outcome = 'x'",
        "CREATE TABLE mine (i INTEGER)",
        "COPY runs TO '{here}/runs.csv'",
        "FROM read_csv('{here}/secret.csv')",
        "ATTACH '{demo}/warehouse/tallyhouse.duckdb' AS warehouse",
        "ATTACH '{here}/mine.duckdb' AS mine",
        "SET enable_external_access = true",
        "INSTALL httpfs",
    ],
)
def test_nothing_can_be_changed_or_reached(statement: str, demo: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n")
    before = bytes_below(tmp_path, demo / "published")
    refused = ask(demo, statement.format(here=tmp_path, demo=demo))
    assert refused.exit_code == 1
    assert refused.stderr.startswith("refused: ")
    assert bytes_below(tmp_path, demo / "published") == before


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("SELECT 1", "--csv", "--json"), 2, "not both"),
        (("SELECT 1", "--example", "cohorts"), 2, "not both"),
        (("--example", "cohort"), 1, "did you mean 'cohorts'?"),
        (("SELEC 1",), 1, "syntax error"),
    ],
)
def test_what_is_refused(words: tuple[str, ...], code: int, says: str, demo: Path) -> None:
    refused = ask(demo, *words)
    assert refused.exit_code == code
    assert says in refused.stderr


def test_examples_are_listed_with_their_questions(demo: Path) -> None:
    assert "Is anything lost between the logs and the bill?" in ask(demo, "--example", "list").stdout
    told = [json.loads(line) for line in ask(demo, "--example", "list", "--json").stdout.splitlines()]
    assert [it["name"] for it in told] == sorted(examples.examples())
    assert {it["event"] for it in told} == {"example"}


def test_where_nothing_is_published_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="run its first night"), reader.opened(tmp_path):
        pass


# --- the shell -------------------------------------------------------------------------------------------------------


def test_the_shell_on_a_terminal(demo: Path, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    environment = {
        **os.environ,
        "COLUMNS": "120",
        "TERM": "dumb",
        "XDG_STATE_HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT),
    }
    typed = [
        "select account_id, count(*) as n",
        "from periods where account_id = 'usr_ada' group by all;",
        "drop table periods;",
        ".columns runs",
        ".example late_corrections",
        ".nothing",
        "select * from rounding_l\t limit 0;",  # the Tab key finishes the only word that begins so
        ".quit",
    ]
    with subprocess.Popen(
        [sys.executable, "-m", "orchestration.cli", "sql", "--workspace", str(demo)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
        cwd=tmp_path,
    ) as shell:
        os.close(theirs)
        said = ""
        for line in [*typed, None]:
            while not said.endswith(("billing> ", "   ...> ")):
                try:
                    said += os.read(ours, 65536).decode()
                except OSError:  # the terminal is gone with the shell
                    break
            if line is not None:
                said += "\n"
                os.write(ours, f"{line}\n".encode())
        assert shell.wait(20) == 0
    os.close(ours)
    for part in (
        "The books as of 2026-07-01T01:00:00Z.",
        "usr_ada",
        "attached in read-only mode",
        "run_id   varchar.",
        "line_8b57d66c5e39dad3b821e73c38ed134f",
        "What came in after a month was closed, and what did it change?",
        "There is no command .nothing",
    ):
        assert part in said, said
    assert "Catalog Error" not in said
    history = (tmp_path / "tallyhouse" / "sql_history").read_text()
    assert "from periods where account_id = 'usr_ada' group by all;" in history


# --- the file and its copies -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", publish.TABLES)
def test_exports_are_the_tables(table: str, demo: Path, con: duckdb.DuckDBPyConnection) -> None:
    """Same columns, same types, same rows in the order that is promised."""
    exports = demo / "published" / "exports"
    asked = con.execute(f"FROM {table} ORDER BY {publish.TABLES[table]}")
    columns = [column[0] for column in asked.description or ()]
    expected = asked.fetchall()
    parquet = pq.read_table(exports / f"{table}.parquet")
    assert parquet.column_names == columns
    assert [tuple(row.values()) for row in parquet.to_pylist()] == expected
    types = dict(
        con.execute("SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = ?", [table]).fetchall()
    )
    for field in parquet.schema:
        declared = types[field.name]
        if declared.startswith("DECIMAL"):
            assert str(field.type) == declared.lower().replace("decimal", "decimal128").replace(",", ", "), field
        elif declared == "TIMESTAMP WITH TIME ZONE":
            assert str(field.type) == "timestamp[us, tz=UTC]", field
    with (exports / f"{table}.csv").open(newline="") as file:
        header, *lines = csv.reader(file)
    assert header == columns
    assert len(lines) == len(expected)
    for line, row in zip(lines, expected, strict=True):
        for cell, value in zip(line, row, strict=True):
            if isinstance(value, Decimal | int) and not isinstance(value, bool):
                assert Decimal(cell) == value
            elif isinstance(value, str):
                assert cell == value
