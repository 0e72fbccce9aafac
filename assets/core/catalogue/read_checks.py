"""checks.yaml: what stops a night and what only warns, checks of one's own, and who is told. The file is optional."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from assets.core.catalogue.fields import Fields, choice_of, has_control, text_of
from assets.core.catalogue.models import Check, Email, Notify, Occasion, Security, Severity, Webhook
from assets.core.catalogue.nodes import Node, read_yaml
from assets.core.catalogue.problems import Problems, listed, shown, suggestion
from assets.core.catalogue.shipped_checks import argument, shipped

FILE = "catalog/checks.yaml"
KEYS = ("checks", "notify")
TUNE_KEYS = ("severity", "off", "because", "after_nights")
OWN_KEYS = (
    "about",
    "sql",
    "table",
    "expect",
    "with",
    "severity",
    "money",
    "currency",
    "after_nights",
    "off",
    "because",
)
NOTIFY_KEYS = ("on", "webhook", "email")
WEBHOOK_KEYS = ("url_env", "url_file")
EMAIL_KEYS = ("to", "from", "host", "port", "security", "user", "password_env", "password_file")
SEVERITIES: tuple[Severity, ...] = ("block", "warn")
OCCASIONS: tuple[Occasion, ...] = ("stop", "failure")
SECURITIES: tuple[Security, ...] = ("none", "starttls", "tls")
# Those of Great Expectations that DuckDB answers.
EXPECTATIONS = (
    "expect_column_values_to_not_be_null",
    "expect_column_values_to_be_null",
    "expect_column_values_to_be_between",
    "expect_column_values_to_be_in_set",
    "expect_column_values_to_not_be_in_set",
    "expect_column_values_to_be_unique",
    "expect_column_value_lengths_to_be_between",
    "expect_column_value_lengths_to_equal",
    "expect_column_pair_values_to_be_equal",
    "expect_column_max_to_be_between",
    "expect_column_min_to_be_between",
    "expect_column_sum_to_be_between",
    "expect_column_mean_to_be_between",
    "expect_column_unique_value_count_to_be_between",
    "expect_table_row_count_to_be_between",
)
_EXAMPLE = "checks: {volumes_follow_their_weekday: {severity: block}}"


def read_checks(workspace: Path, problems: Problems) -> tuple[tuple[Check, ...], Notify]:
    """All checks of the workspace, the shipped ones tuned, and who is told; as shipped where there is no file."""
    if not (workspace / FILE).exists():
        return tuple(shipped().values()), Notify()
    root = read_yaml(workspace, FILE, problems)
    if root is None:
        return (), Notify()
    fields = Fields(root, KEYS, problems)
    node = fields.get("checks")
    if node is not None and node.kind != "map":
        problems.add(node, node.described(), f"write a mapping such as {_EXAMPLE}")
    entries = node.entries if node is not None else {}
    checks = {name: _tuned(check, entries.get(name), problems) for name, check in shipped().items()}
    for name, entry in entries.items():
        if name not in checks:
            checks[name] = _own(name, entry, problems)
    return tuple(checks.values()), _notify(fields.get("notify"), problems)


def _tuned(check: Check, node: Node | None, problems: Problems) -> Check:
    """A shipped check with what the workspace says about it."""
    if node is None:
        return check
    settings = dict(check.settings)
    fields = Fields(node, (*TUNE_KEYS, *settings), problems)
    for name in settings:
        number = fields.number(name, "more than zero")
        settings[name] = settings[name] if number is None else number
    severity = fields.choice("severity", SEVERITIES, check.severity)
    if check.kind == "structure":
        always = "it watches the arithmetic itself, and always blocks"
        if severity == "warn":
            problems.add(fields.get("severity"), "is warn", f"take it out: {always}")
        if fields.flag("off", False):
            problems.add(fields.get("off"), "is true", f"take it out: {always}")
            return check
        if fields.has("after_nights"):
            problems.add(fields.get("after_nights"), "is set", f"take it out: {always}")
    return replace(
        check,
        severity=severity if check.kind != "structure" else "block",
        settings=tuple(settings.items()),
        after_nights=_nights(fields, check.after_nights, problems),
        off_because=_off_because(fields, problems),
    )


def _own(name: str, node: Node, problems: Problems) -> Check:
    """A check that the workspace adds: a query that must find nothing, or an expectation on a table."""
    if not name.replace("_", "").isalnum() or not name.isascii() or name != name.lower():
        problems.add(node, "has a name that is not plain", "write small letters, digits and _ before the colon")
    known = shipped()
    if node.kind == "map" and not {"sql", "expect"} & set(node.entries):
        wrong = "is no check that comes with Tallyhouse, and has no `sql` or `expect`"
        advice = suggestion(name, known, "write the query of the rows that must not be there: sql: SELECT …")
        problems.add(node, wrong, advice)
        return Check(name, "own", "own", "warn", name)
    fields = Fields(node, OWN_KEYS, problems)
    sql = _sql(fields, problems)
    expect = None
    if (stated := fields.get("expect")) is not None:
        if sql is not None:
            problems.add(stated, "stands beside `sql`", "keep one of the two")
        expect = choice_of(stated, EXPECTATIONS, problems)
        fields.need("table", "write what it looks at, such as billing.invoice_items or lines (of tonight)")
    elif fields.has("table"):
        problems.add(fields.get("table"), "stands beside `sql`", "name the table in the query")
    arguments = fields.get("with")
    if arguments is not None and arguments.kind != "map":
        problems.add(
            arguments, arguments.described(), "write a mapping such as {column: amount_minor, max_value: 1000}"
        )
        arguments = None
    return Check(
        name=name,
        suite="own",
        kind="own",
        severity=fields.choice("severity", SEVERITIES, "warn"),
        about=fields.text("about") or name.replace("_", " "),
        table=_table(fields, problems),
        sql=sql,
        expect=expect,
        arguments=tuple((key, argument(child)) for key, child in arguments.entries.items()) if arguments else (),
        money=fields.text("money") or "at_stake",
        currency=fields.text("currency") or "currency",
        after_nights=_nights(fields, 0, problems),
        off_because=_off_because(fields, problems),
    )


def _sql(fields: Fields, problems: Problems) -> str | None:
    node = fields.get("sql")
    if node is None:
        return None
    text = node.text.strip().rstrip(";").strip()
    if node.kind != "text" or not text:
        problems.add(node, node.described(), "write one query that finds the rows that must not be there")
    elif has_control(text.replace("\n", "").replace("\t", "").replace("\r", "")):
        problems.add(node, "has a control character", "take it out")
    else:
        return text
    return None


def _table(fields: Fields, problems: Problems) -> str | None:
    name = fields.text("table")
    if name is not None and not all(part.isidentifier() for part in name.split(".", 1)):
        problems.add(fields.get("table"), f"is {shown(name)}", "write a table, or schema.table")
    return name


def _nights(fields: Fields, default: int, problems: Problems) -> int:
    nights = fields.whole("after_nights", default)
    if nights < 0:
        problems.add(fields.get("after_nights"), f"is {nights}", "write how many nights it waits, 0 or more")
    return nights


def _off_because(fields: Fields, problems: Problems) -> str | None:
    because = fields.text("because")
    if not fields.flag("off", False):
        if because is not None:
            problems.add(fields.get("because"), "stands without `off`", "write off: true beside it, or take it out")
        return None
    if because is None:
        problems.add(fields.get("off"), "is true without a reason", "write `because:` beside it")
    return because or "no reason given"


def _notify(node: Node | None, problems: Problems) -> Notify:
    if node is None:
        return Notify()
    fields = Fields(node, NOTIFY_KEYS, problems)
    on = OCCASIONS
    if (stated := fields.get("on")) is not None:
        items = stated.items if stated.kind == "list" else [stated]
        on = tuple(choice for item in items if (choice := choice_of(item, OCCASIONS, problems)) is not None)
    webhook = fields.get("webhook")
    email = fields.get("email")
    return Notify(
        on,
        webhook=None if webhook is None else _webhook(webhook, problems),
        email=None if email is None else _email(email, problems),
    )


def _webhook(node: Node, problems: Problems) -> Webhook:
    fields = Fields(node, WEBHOOK_KEYS, problems)
    found = Webhook(fields.text("url_env"), fields.text("url_file"))
    if (found.url_env is None) == (found.url_file is None):
        wrong = "needs exactly one of `url_env` and `url_file`"
        problems.add(node, wrong, "write where its address is kept: it is a secret, and none is kept here")
    return found


def _email(node: Node, problems: Problems) -> Email:
    fields = Fields(node, EMAIL_KEYS, problems)
    to = fields.need("to", "write who gets it, such as [billing@example.com]")
    receivers = to.items if to is not None and to.kind == "list" else [to] if to is not None else []
    security = fields.choice("security", SECURITIES, "starttls")
    port = fields.whole("port", {"none": 25, "starttls": 587, "tls": 465}[security])
    if not 0 < port < 65536:
        problems.add(fields.get("port"), f"is {port}", "write a port from 1 to 65535")
    if fields.has("user") != (fields.has("password_env") or fields.has("password_file")):
        wrong = f"needs `user` and one of {listed(['`password_env`', '`password_file`'])} together"
        problems.add(node, wrong, "write both, or none for a server that asks for no password")
    fields.need("host", "write the mail server's name")
    fields.need("from", "write whose mail it is")
    return Email(
        to=tuple(text for item in receivers if (text := text_of(item, problems)) is not None),
        sender=fields.text("from") or "",
        host=fields.text("host") or "",
        port=port,
        security=security,
        user=fields.text("user"),
        password_env=fields.text("password_env"),
        password_file=fields.text("password_file"),
    )


def finding(check: Check) -> str:
    """A shipped check's condition with its numbers in it, digit for digit."""
    condition = check.finds or ""
    for name, value in check.settings:
        condition = condition.replace("{" + name + "}", _written(value))
    return condition


def _written(value: Decimal) -> str:
    return f"{value:f}"
