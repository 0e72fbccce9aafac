"""What a workspace sells and to whom, once every rule of the files has been checked.

Instants are aware and UTC, money and rates exact, currencies upper case. Entities that come from a CSV keep
the line they stand on, so that a check made later can still point at it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal, TypeAlias

StripeMode: TypeAlias = Literal["shadow", "live"]
StripePush: TypeAlias = Literal["invoice_items", "meter_events"]
StripeCollect: TypeAlias = Literal["pending", "invoice"]
KeyMode: TypeAlias = Literal["live", "test"]
Engine: TypeAlias = Literal["duckdb", "spark"]
Format: TypeAlias = Literal["ndjson", "csv", "parquet"]
TimeUnit: TypeAlias = Literal["s", "ms", "us"]
Aggregate: TypeAlias = Literal["sum", "count", "max", "latest", "unique_count", "time_weighted", "cost"]
Model: TypeAlias = Literal["per_unit", "graduated", "volume", "package", "percentage"]
Measure: TypeAlias = Literal["quantity", "cost"]
Suite: TypeAlias = Literal["landed", "billed", "own"]
CheckKind: TypeAlias = Literal["structure", "plausibility", "own"]
Severity: TypeAlias = Literal["block", "warn"]
Occasion: TypeAlias = Literal["stop", "failure"]
Security: TypeAlias = Literal["none", "starttls", "tls"]
EntityType: TypeAlias = Literal["user", "organization"]
Interval: TypeAlias = Literal["month", "year"]

# Whose hours add up to a period, so that usage can be sent hour by hour.
SUMMABLE: tuple[Aggregate, ...] = ("sum", "count", "cost")

# A condition: every field must hold one of its values, compared as text; a missing field matches nothing.
Condition: TypeAlias = dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Settings:
    currency: str = "USD"
    close_grace: timedelta = timedelta(hours=1)
    late_window: timedelta = timedelta(days=35)
    default_plan: str | None = None
    bill_from: datetime | None = None
    ledger_cutover: datetime | None = None
    engine: Engine = "duckdb"  # what landing and the models of a night run on
    stripe_mode: StripeMode = "shadow"
    stripe_push: StripePush = "invoice_items"
    stripe_collect: StripeCollect = "pending"
    stripe_key: KeyMode = "live"  # test: a rehearsal in Stripe's sandbox
    stripe_rate: int = 20  # requests a second; Stripe takes 25 for one kind of request unless it says otherwise
    stripe_amount_cap: int = 999_999_999_999  # minor units: Stripe takes twelve digits of most cards, eight elsewhere


@dataclass(frozen=True, slots=True)
class Field:
    """The value of a row's field; dots reach into objects, structs, maps, and JSON in a text of CSV or Parquet."""

    path: str


@dataclass(frozen=True, slots=True)
class Number:
    value: Decimal


@dataclass(frozen=True, slots=True)
class Product:
    factors: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Sum:
    terms: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Weight:
    """What the table of meters.yaml lists for the field's text, else the table's `default`."""

    field: str
    table: str


Expr: TypeAlias = Field | Number | Product | Sum | Weight


@dataclass(frozen=True, slots=True)
class OccurredAt:
    field: str
    unit: TimeUnit | None = None  # None: RFC 3339 text


@dataclass(frozen=True, slots=True)
class Emit:
    meter: str
    quantity: Expr | None  # None: 1
    cost: str | None  # a field path; present on cost meters and only there
    when: Condition


@dataclass(frozen=True, slots=True)
class Source:
    name: str
    files: str  # a glob below raw/
    format: Format
    where: Condition
    identity: tuple[str, ...]
    occurred_at: OccurredAt
    account: str | None
    actor: str | None
    context: dict[str, str]
    emits: tuple[Emit, ...]


@dataclass(frozen=True, slots=True)
class Meter:
    name: str
    aggregate: Aggregate
    divide_by: Decimal = Decimal(1)
    unit: str | None = None
    of: str | None = None  # unique_count only: 'actor' or a context key


@dataclass(frozen=True, slots=True)
class Tier:
    up_to: Decimal | None  # inclusive; None on the last
    unit: Decimal
    flat: Decimal


@dataclass(frozen=True, slots=True)
class Charge:
    meter: str
    is_pooled: bool = False
    model: Model | None = None  # None: a cost meter's signed sum
    price: Decimal | None = None
    size: Decimal | None = None
    free_units: Decimal = Decimal(0)
    rate: Decimal | None = None
    fixed: Decimal = Decimal(0)
    min_amount: Decimal | None = None
    max_amount: Decimal | None = None
    tiers: tuple[Tier, ...] = ()


@dataclass(frozen=True, slots=True)
class PlanVersion:
    version_from: datetime
    included: Decimal = Decimal(0)
    refresh_basis: Decimal = Decimal(0)
    refresh_rate: Decimal = Decimal(0)
    is_overage: bool = True
    threshold: Decimal | None = None
    minimum: Decimal = Decimal(0)
    charges: tuple[Charge, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    name: str
    priority: int
    currency: str | None  # None: any
    versions: tuple[PlanVersion, ...]  # ascending by version_from


@dataclass(frozen=True, slots=True)
class Account:
    line: int
    account_id: str
    entity_type: EntityType
    name: str
    currency: str
    timezone: str
    stripe_customer_id: str | None


@dataclass(frozen=True, slots=True)
class Terms:
    """What a subscription was for a while: a row of subscriptions.csv."""

    line: int
    subscription_id: str
    account_id: str
    plan: str
    seats: int
    interval: Interval
    anchor_at: datetime
    starts_at: datetime
    ends_at: datetime | None


@dataclass(frozen=True, slots=True)
class Membership:
    line: int
    organization_id: str
    user_id: str
    joined_at: datetime
    left_at: datetime | None


@dataclass(frozen=True, slots=True)
class ToldPeriod:
    line: int
    subscription_id: str
    period_start: datetime
    period_end: datetime


@dataclass(frozen=True, slots=True)
class Baseline:
    line: int
    account_id: str
    period_start: datetime
    amount: Decimal


@dataclass(frozen=True, slots=True)
class CreditGrant:
    line: int
    grant_id: str
    account_id: str
    amount_minor: int
    currency: str
    granted_at: datetime
    expires_at: datetime | None
    priority: int


@dataclass(frozen=True, slots=True)
class Side:
    """One count of some usage: the rows of a meter, of one source where it is named."""

    meter: str
    source: str | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two counts of the same usage, and how far apart they may be."""

    name: str
    reference: Side
    candidate: Side
    measure: Measure
    flag_above: Decimal  # a share of the reference, like the next
    alert_above: Decimal
    accounts: int
    real_volume: Decimal  # of an account in an hour, after divide_by
    clean_for: timedelta
    settle: timedelta  # how long after its end an hour is compared


@dataclass(frozen=True, slots=True)
class Check:
    """What must be true of a night before it enters the books: rows that must not be there, or an expectation."""

    name: str
    suite: Suite
    kind: CheckKind
    severity: Severity
    about: str
    table: str | None = None  # of the schema gate, or schema.table
    finds: str | None = None  # a condition on it
    sql: str | None = None  # or a whole query
    expect: str | None = None  # or an expectation, with its arguments
    arguments: tuple[tuple[str, object], ...] = ()
    settings: tuple[tuple[str, Decimal], ...] = ()  # the numbers of `finds`
    shows: tuple[str, ...] = ()
    money: str = "at_stake"  # the column with the money of a row, if there is one
    currency: str = "currency"
    after_nights: int = 0
    off_because: str | None = None  # None: it is on


@dataclass(frozen=True, slots=True)
class Webhook:
    url_env: str | None
    url_file: str | None


@dataclass(frozen=True, slots=True)
class Email:
    to: tuple[str, ...]
    sender: str
    host: str
    port: int
    security: Security
    user: str | None
    password_env: str | None
    password_file: str | None


@dataclass(frozen=True, slots=True)
class Notify:
    """Who is told when a night is stopped or fails."""

    on: tuple[Occasion, ...] = ("stop", "failure")
    webhook: Webhook | None = None
    email: Email | None = None


@dataclass(frozen=True, slots=True)
class ClosedPeriod:
    """A period that the books have closed; its bounds never change again."""

    subscription_id: str
    period_start: datetime
    period_end: datetime
    book: StripeMode = "shadow"


@dataclass(frozen=True, slots=True)
class Catalogue:
    catalog_id: str  # of the bytes that say what is sold: plans and meters
    settings: Settings
    sources: dict[str, Source]
    meters: dict[str, Meter]
    weights: dict[str, dict[str, Decimal]]
    plans: dict[str, Plan]
    accounts: list[Account]
    terms: list[Terms]
    memberships: list[Membership]
    told_periods: list[ToldPeriod]
    baselines: list[Baseline]
    credit_grants: list[CreditGrant]
    closed: tuple[ClosedPeriod, ...]
    warnings: list[str]
    comparisons: dict[str, Comparison]
    checks: tuple[Check, ...] = ()
    notify: Notify = Notify()
