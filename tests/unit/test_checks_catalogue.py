"""checks.yaml is optional, tunes what is shipped, and is refused with every mistake; editors are told the same."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from assets.core.catalogue import read_checks
from assets.core.catalogue.models import Email, Notify, Webhook
from assets.core.catalogue.read_checks import finding
from assets.core.catalogue.shipped_checks import shipped
from data import DEMO
from tests.unit.test_catalogue import loaded, problems_of, workspace_with
from tests.unit.test_catalogue_schemas import is_valid, part_of

FILE = read_checks.FILE

RIGHT = """\
checks:
  sources_follow_their_weekday: {severity: block, above: 2, after_nights: 28}
  duplicates_stay_few: {off: true, because: we deliver twice}
  nobody_pays_twice:
    about: No account has two lines of a charge.
    severity: block
    sql: |
      SELECT account_id, sum(at_stake) AS paid, any_value(currency) AS cur
      FROM gate.lines GROUP BY account_id, charge HAVING count(*) > 1;
    money: paid
    currency: cur
  lines_are_some:
    table: billing.invoice_items
    expect: expect_table_row_count_to_be_between
    with: {min_value: 1, max_value: 2.5}
notify:
  on: stop
  webhook: {url_env: HOOK}
  email: {to: [a@x.org, b@x.org], from: c@x.org, host: mail.x.org, user: me, password_file: /run/secret}
"""


def test_without_a_file_all_is_as_shipped(tmp_path: Path) -> None:
    found = loaded(tmp_path)
    assert found.checks == tuple(shipped().values())
    assert found.notify == Notify()
    assert {check.severity for check in found.checks if check.kind == "structure"} == {"block"}
    assert {(check.severity, check.after_nights) for check in found.checks if check.kind != "structure"} == {
        ("warn", 14)
    }


def test_what_is_told_is_read_exactly(tmp_path: Path) -> None:
    found = loaded(tmp_path, (FILE, "", RIGHT))
    checks = {check.name: check for check in found.checks}
    tuned = checks["sources_follow_their_weekday"]
    assert (tuned.severity, tuned.after_nights) == ("block", 28)
    assert dict(tuned.settings) == {"above": Decimal(2), "below": Decimal("0.7")}
    assert "at_least_times > 2 " in finding(tuned)
    assert checks["duplicates_stay_few"].off_because == "we deliver twice"
    own = checks["nobody_pays_twice"]
    assert (own.kind, own.severity, own.money, own.currency) == ("own", "block", "paid", "cur")
    assert own.sql is not None
    assert own.sql.endswith("count(*) > 1")
    assert dict(checks["lines_are_some"].arguments) == {"min_value": 1, "max_value": 2.5}
    assert found.notify == Notify(
        ("stop",),
        Webhook("HOOK", None),
        Email(("a@x.org", "b@x.org"), "c@x.org", "mail.x.org", 587, "starttls", "me", None, "/run/secret"),
    )


MISTAKES = [
    ("checks: 7\n", "checks is '7'; write a mapping such as checks:"),
    ("cheks: {}\n", "did you mean 'checks'?"),
    ("checks: {duplicate_stay_few: {severity: block}}\n", "did you mean 'duplicates_stay_few'?"),
    ("checks: {duplicates_stay_few: {severity: stop}}\n", "write block or warn"),
    ("checks: {duplicates_stay_few: {below: 1}}\n", "is not a key that is known here"),
    ("checks: {duplicates_stay_few: {above: -1}}\n", "write a number of more than zero"),
    ("checks: {duplicates_stay_few: {after_nights: -1}}\n", "write how many nights it waits"),
    ("checks: {duplicates_stay_few: {off: true}}\n", "is true without a reason; write `because:` beside it"),
    ("checks: {duplicates_stay_few: {because: so}}\n", "stands without `off`"),
    ("checks: {line_ids_are_new: {severity: warn}}\n", "always blocks"),
    ("checks: {line_ids_are_new: {off: true, because: so}}\n", "always blocks"),
    ("checks: {Mine: {sql: SELECT 1}}\n", "write small letters, digits and _"),
    ("checks: {mine: {sql: ''}}\n", "write one query"),
    (
        "checks: {mine: {sql: SELECT 1, expect: expect_column_values_to_be_unique, table: lines}}\n",
        "keep one of the two",
    ),
    ("checks: {mine: {sql: SELECT 1, table: lines}}\n", "name the table in the query"),
    ("checks: {mine: {expect: expect_column_values_to_be_unique}}\n", "has no `table`"),
    ("checks: {mine: {expect: expect_miracles, table: lines}}\n", "write expect_column_values_to_not_be_null, "),
    ("checks: {mine: {expect: expect_column_values_to_be_unique, table: a b}}\n", "write a table, or schema.table"),
    ("checks: {mine: {expect: expect_column_values_to_be_unique, table: lines, with: 3}}\n", "write a mapping such as"),
    ("notify: {on: never}\n", "write stop or failure"),
    ("notify: {webhook: {}}\n", "needs exactly one of `url_env` and `url_file`"),
    ("notify: {webhook: {url: 'https://x'}}\n", "is not a key that is known here"),
    ("notify: {email: {to: [a@x], from: b@x}}\n", "has no `host`"),
    ("notify: {email: {to: [a@x], from: b@x, host: x, port: 0}}\n", "write a port"),
    ("notify: {email: {to: [a@x], from: b@x, host: x, user: me}}\n", "together"),
]


@pytest.mark.parametrize(("text", "sentence"), MISTAKES)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, text: str, sentence: str) -> None:
    problems = problems_of(workspace_with(tmp_path, (FILE, "", text)))
    assert any(sentence in problem and problem.startswith(f"{FILE} line 1: ") for problem in problems), problems


# What a person signs in with, and whether port and words fit, an editor need not know.
@pytest.mark.parametrize(("text", "sentence"), [one for one in MISTAKES if one[1] != "together" and "''" not in one[0]])
def test_mistakes_show_in_the_editor(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "catalog").mkdir()
    (tmp_path / FILE).write_text(text)
    assert not is_valid(tmp_path, FILE)


def test_what_is_right_is_valid(tmp_path: Path) -> None:
    (tmp_path / "catalog").mkdir()
    (tmp_path / FILE).write_text(RIGHT)
    assert is_valid(tmp_path, FILE)
    assert is_valid(DEMO, FILE)


def test_the_same_is_known_to_editors() -> None:
    assert tuple(part_of(FILE, ("properties",))) == read_checks.KEYS
    assert tuple(part_of(FILE, ("$defs", "own", "properties"))) == read_checks.OWN_KEYS
    assert tuple(part_of(FILE, ("$defs", "own", "properties", "expect", "enum"))) == read_checks.EXPECTATIONS
    assert tuple(part_of(FILE, ("$defs", "notify", "properties"))) == read_checks.NOTIFY_KEYS
    email = part_of(FILE, ("$defs", "notify", "properties", "email", "properties"))
    assert tuple(email) == read_checks.EMAIL_KEYS
    known = part_of(FILE, ("properties", "checks", "properties"))
    assert list(known) == list(shipped())
    for name, check in shipped().items():
        assert known[name]["description"].startswith(check.about)
        assert set(known[name]["properties"]) == {*read_checks.TUNE_KEYS, *dict(check.settings)}
        for key, value in check.settings:
            assert Decimal(str(known[name]["properties"][key]["default"])) == value
            assert "{" + key + "}" in (check.finds or "")
