"""The page at `/`: who owes what, as Stripe holds it. Nothing on it comes from elsewhere, and nothing on it acts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING

from assets.practice.money import shown
from assets.practice.store import Json

if TYPE_CHECKING:
    from assets.practice.practice import PracticeStripe

MOST_CUSTOMERS, MOST_ITEMS = 200, 100
# No script, no request: only this page and its own style.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
STYLE = """
:root { color-scheme: light dark; --ink: #1d2433; --soft: #687086; --line: #e3e6ee; --paper: #fff; --back: #f6f7fb;
  --accent: #4f46e5; --pending: #8a5a00; --pending-back: #fdf1d8; --draft: #41506b; --draft-back: #e8ecf4;
  --open: #0b6b43; --open-back: #dcf5e8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e7e9f2; --soft: #9aa2b8; --line: #2c3245; --paper: #181c28;
  --back: #10131c; --accent: #a5a1ff; --pending: #f3c677; --pending-back: #3a2f17; --draft: #b8c3da;
  --draft-back: #262d3f; --open: #7fdcae; --open-back: #16362a; } }
* { box-sizing: border-box }
body { margin: 0; background: var(--back); color: var(--ink); font: 15px/1.5 system-ui, sans-serif }
main { max-width: 66rem; margin: 0 auto; padding: 2rem 1.25rem 4rem }
h1 { font-size: 1.5rem; margin: 0 } h2 { font-size: 1.05rem; margin: 2rem 0 .6rem }
p { margin: .3rem 0; color: var(--soft) } code { font-size: .86em; color: var(--soft) }
.totals { display: flex; flex-wrap: wrap; gap: .75rem; margin-top: 1.25rem }
.total, details, .empty { background: var(--paper); border: 1px solid var(--line); border-radius: 10px }
.total { padding: .8rem 1.1rem; min-width: 13rem } .total b { display: block; font-size: 1.3rem }
details { margin: .6rem 0 } summary { padding: .7rem 1rem; cursor: pointer; display: flex; gap: .75rem;
  align-items: baseline; flex-wrap: wrap } summary .sum { margin-left: auto; font-weight: 600 }
summary:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 8px }
.scroll { overflow-x: auto; border-top: 1px solid var(--line); padding: .25rem 1rem .75rem }
table { border-collapse: collapse; width: 100% } caption { text-align: left; padding: .7rem 0 .2rem; font-weight: 600 }
th { text-align: left; font-weight: 500; color: var(--soft); font-size: .85rem }
th, td { padding: .35rem .75rem .35rem 0; vertical-align: top; border-bottom: 1px solid var(--line) }
tr:last-child td { border-bottom: 0 } .money { text-align: right; padding-right: 0; white-space: nowrap }
.money, .sum, .total b { font-variant-numeric: tabular-nums } .when { white-space: nowrap; color: var(--soft) }
.chip { font-size: .78rem; padding: .1rem .55rem; border-radius: 99px; white-space: nowrap;
  color: var(--draft); background: var(--draft-back) }
.chip.pending { color: var(--pending); background: var(--pending-back) }
.chip.open, .chip.paid { color: var(--open); background: var(--open-back) }
.empty { padding: 1.2rem; margin-top: 1.25rem }
"""


def page(practice: PracticeStripe) -> str:
    state = practice.state()
    now = practice.clock.now()
    body = "".join(_mode(mode, rows) for mode, rows in state.items() if rows) or (
        '<div class="empty"><b>Nothing has arrived yet.</b>'
        f"<p>Send a night here with <code>TALLYHOUSE_STRIPE_API_BASE={practice.url}</code> "
        "and a key that begins with <code>sk_test_</code>.</p></div>"
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Practice Stripe</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head><body><main>'
        f"<h1>Practice Stripe</h1><p>What has arrived on this machine by {_when(now)} UTC, after {len(practice.calls)} "
        f"calls. No money moves here.</p>{body}</main></body></html>"
    )


def _mode(mode: str, rows: dict[str, list[Json]]) -> str:
    items, invoices = rows.get("invoiceitem", []), rows.get("invoice", [])
    void = {invoice["id"] for invoice in invoices if invoice["status"] == "void"}
    customers = {row["id"]: row for row in rows.get("customer", [])}
    by_customer: dict[str, list[Json]] = defaultdict(list)
    for item in items:
        by_customer[item["customer"]].append(item)
    invoiced: dict[str, list[Json]] = defaultdict(list)
    for invoice in invoices:
        invoiced[invoice["customer"]].append(invoice)
    ids = sorted({*customers, *by_customer}, key=lambda id: (not by_customer[id], _name(customers.get(id), id)))
    cards = "".join(
        _customer(id, customers.get(id), by_customer[id], invoiced[id], is_open=len(ids) <= 8)
        for id in ids[:MOST_CUSTOMERS]
    )
    totals = _totals([item for item in items if item["invoice"] not in void])
    return (
        f"<h2>{mode.capitalize()} mode</h2>{totals}<h2>Customers</h2>{cards}"
        f"{_more(len(ids) - MOST_CUSTOMERS, 'customers')}{_meters(rows)}"
    )


def _totals(items: list[Json]) -> str:
    sums = _sums(items)
    count = Counter(item["currency"] for item in items)
    cards = "".join(
        f'<div class="total"><b>{shown(total, currency)}</b>{_counted(count[currency], "item")}</div>'
        for currency, total in sums.items()
    )
    return f'<div class="totals">{cards}</div>'


def _customer(id: str, customer: Json | None, items: list[Json], invoices: list[Json], is_open: bool) -> str:
    status = {invoice["id"]: invoice["status"] for invoice in invoices}
    owed = _sums(item for item in items if status.get(item["invoice"]) != "void")
    sums = " · ".join(shown(total, currency) for currency, total in owed.items()) or "nothing"
    pending = [item for item in items if item["invoice"] is None]
    tables = _items("Pending, for the next invoice", pending, "pending")
    for invoice in invoices:
        held = [item for item in items if item["invoice"] == invoice["id"]]
        total = shown(sum(item["amount"] for item in held), invoice["currency"])
        title = f"Invoice {invoice['number'] or invoice['id']}, {total}"
        tables += _items(title, held, status[invoice["id"]])
    gone = ' <span class="chip">deleted</span>' if customer and customer.get("deleted") else ""
    return (
        f"<details{' open' if is_open and items else ''}><summary><b>{escape(_name(customer, id))}</b>{gone} "
        f'<code>{escape(id)}</code><span class="sum">{sums}</span></summary>'
        f'<div class="scroll">{tables or "<p>No items and no invoices.</p>"}</div></details>'
    )


def _items(title: str, items: list[Json], status: str) -> str:
    if not items and status == "pending":
        return ""
    rows = "".join(
        f"<tr><td>{escape(item['description'] or '–')}</td>"
        f'<td class="when">{_when(item["period"]["start"])} – {_when(item["period"]["end"])}</td>'
        f'<td class="money">{shown(item["amount"], item["currency"])}</td></tr>'
        for item in items[:MOST_ITEMS]
    )
    return (
        f'<table><caption>{escape(title)} <span class="chip {status}">{status}</span></caption>'
        '<thead><tr><th>Item</th><th>Period, UTC</th><th class="money">Amount</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>{_more(len(items) - MOST_ITEMS, 'items')}"
    )


def _meters(rows: dict[str, list[Json]]) -> str:
    events = rows.get("billing.meter_event", [])
    count = Counter((event["event_name"], event["customer"]) for event in events)
    lines = "".join(
        f'<tr><td>{escape(meter)}</td><td><code>{escape(customer)}</code></td><td class="money">{number:,}</td></tr>'
        for (meter, customer), number in sorted(count.items())[:MOST_ITEMS]
    )
    if not lines:
        return ""
    return (
        '<h2>Meters</h2><details open><summary><b>Events</b></summary><div class="scroll"><table>'
        '<thead><tr><th>Meter</th><th>Customer</th><th class="money">Events</th></tr></thead>'
        f"<tbody>{lines}</tbody></table>{_more(len(count) - MOST_ITEMS, 'customers')}</div></details>"
    )


def _sums(items: Iterable[Json]) -> dict[str, int]:
    sums: dict[str, int] = defaultdict(int)
    for item in items:
        sums[item["currency"]] += item["amount"]
    return dict(sorted(sums.items()))


def _name(customer: Json | None, id: str) -> str:
    return (customer or {}).get("name") or id


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _more(number: int, noun: str) -> str:
    return f"<p>and {number:,} more {noun}</p>" if number > 0 else ""


def _when(instant: int) -> str:
    return f"{datetime.fromtimestamp(instant, UTC):%Y-%m-%d %H:%M}"
