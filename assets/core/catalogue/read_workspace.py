"""workspace.yaml: the settings of a workspace, each with a default."""

from __future__ import annotations

from assets.core.catalogue.fields import Fields
from assets.core.catalogue.models import Engine, KeyMode, Plan, Settings, StripeCollect, StripeMode, StripePush
from assets.core.catalogue.nodes import Node
from assets.core.catalogue.problems import Problems, shown, suggestion
from assets.core.instants import format_instant

FILE = "catalog/workspace.yaml"
KEYS = ("currency", "close_grace", "late_window", "default_plan", "bill_from", "ledger_cutover", "engine", "stripe")
STRIPE_KEYS = ("mode", "push", "collect", "key", "rate", "amount_cap")
MODES: tuple[StripeMode, ...] = ("shadow", "live")
PUSHES: tuple[StripePush, ...] = ("invoice_items", "meter_events")
COLLECTS: tuple[StripeCollect, ...] = ("pending", "invoice")
ENGINES: tuple[Engine, ...] = ("duckdb", "spark")
KEY_MODES: tuple[KeyMode, ...] = ("live", "test")
FASTEST = 1000  # requests a second; no account of Stripe takes more


def read_workspace(
    root: Node | None,
    meter_aggregates: dict[str, str],
    plans: dict[str, Plan] | None,
    plans_file: str,
    problems: Problems,
) -> Settings:
    if root is None:
        return Settings()
    fields = Fields(root, KEYS, problems)
    stripe = Fields(fields.get("stripe") or Node(FILE, 1, "stripe", "null"), STRIPE_KEYS, problems)
    defaults = Settings()
    settings = Settings(
        currency=fields.currency("currency") or defaults.currency,
        close_grace=fields.duration("close_grace", defaults.close_grace),
        late_window=fields.duration("late_window", defaults.late_window),
        default_plan=fields.text("default_plan"),
        bill_from=fields.instant("bill_from"),
        ledger_cutover=fields.instant("ledger_cutover"),
        engine=fields.choice("engine", ENGINES, defaults.engine),
        stripe_mode=stripe.choice("mode", MODES, defaults.stripe_mode),
        stripe_push=stripe.choice("push", PUSHES, defaults.stripe_push),
        stripe_collect=stripe.choice("collect", COLLECTS, defaults.stripe_collect),
        stripe_key=stripe.choice("key", KEY_MODES, defaults.stripe_key),
        stripe_rate=stripe.whole("rate", defaults.stripe_rate),
        stripe_amount_cap=stripe.whole("amount_cap", defaults.stripe_amount_cap),
    )
    if not 1 <= settings.stripe_rate <= FASTEST:
        problems.add(stripe.get("rate"), f"is {settings.stripe_rate}", f"write 1 to {FASTEST} requests a second")
    if settings.stripe_amount_cap < 1:
        problems.add(
            stripe.get("amount_cap"), f"is {settings.stripe_amount_cap}", "write an amount in minor units, of 1 or more"
        )
    if settings.stripe_mode == "live" and not fields.has("bill_from"):
        advice = "write the instant from which usage is billed, such as bill_from: 2026-06-01T00:00:00Z"
        problems.add(stripe.get("mode"), "is live, and there is no `bill_from`", advice)
    if (
        settings.stripe_push == "meter_events"
        and (start := settings.bill_from) is not None
        and start.timestamp() % 3600
    ):
        wrong = f"is {format_instant(start)}, within an hour, and meter events are of whole hours"
        problems.add(fields.get("bill_from"), wrong, "write a whole hour in UTC")
    if settings.default_plan is not None and plans is not None:
        _check_default_plan(fields, settings.default_plan, meter_aggregates, plans, plans_file, problems)
    return settings


def _check_default_plan(
    fields: Fields,
    name: str,
    meter_aggregates: dict[str, str],
    plans: dict[str, Plan],
    plans_file: str,
    problems: Problems,
) -> None:
    place, plan = fields.get("default_plan"), plans.get(name)
    if plan is None:
        advice = suggestion(name, plans, "add the plan, or write null")
        problems.add(place, f"is {shown(name)}, which {plans_file} does not list", advice)
        return
    if any(version.minimum for version in plan.versions):
        problems.add(place, f"is {shown(name)}, which has a minimum", "choose a plan without one, or take it out there")
    for meter in sorted({c.meter for version in plan.versions for c in version.charges}):
        if meter_aggregates.get(meter) == "time_weighted":
            wrong = f"is {shown(name)}, which charges {meter}, a time_weighted meter"
            problems.add(place, wrong, "choose a plan without such a charge, or take it out there")
