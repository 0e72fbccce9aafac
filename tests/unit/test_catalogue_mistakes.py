"""Every mistake a person makes in the catalogue or account files is refused with a sentence that says what to do.

The tables read: what stands in the file, what is written instead, and all the sentences that follow.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from assets.core.catalogue import ClosedPeriod
from assets.core.catalogue.account_checks import CHECKS
from assets.core.instants import parse_instant
from tests.unit.test_catalogue import FILES, problems_of, workspace_with

WORKSPACE = "catalog/workspace.yaml"
METERS = "catalog/meters.yaml"
SOURCES = "catalog/sources.yaml"
PLANS = "catalog/plans.yaml"
ACCOUNTS = "accounts/accounts.csv"
SUBSCRIPTIONS = "accounts/subscriptions.csv"
MEMBERSHIPS = "accounts/memberships.csv"
PERIODS = "accounts/periods.csv"
BASELINES = "accounts/baselines.csv"
GRANTS = "accounts/credit_grants.csv"
CHARGE = "{meter: calls, model: per_unit, price: 1, pooled: false}"

Mistake = tuple[str, str, str, list[str]]

YAML_MISTAKES: list[Mistake] = [
    (
        WORKSPACE,
        "currency: usd",
        "currency: [usd",
        [
            "catalog/workspace.yaml line 2: is not YAML (expected ',' or ']', but got ':');"
            " mend the line, or put the value in quotes.",
        ],
    ),
    (
        WORKSPACE,
        "currency: usd",
        "currency: usd\ncurrency: eur",
        [
            "catalog/workspace.yaml line 2: currency stands twice, first on line 1; keep one of them.",
        ],
    ),
    (
        WORKSPACE,
        "currency: usd",
        "currency: usd\n? [a]\n: 1",
        [
            "catalog/workspace.yaml line 2: a key is no text; write a plain word before the colon.",
        ],
    ),
    (
        WORKSPACE,
        "currency: usd",
        "currency: !money usd",
        [
            "catalog/workspace.yaml line 1: currency has a tag '!money'; write the plain value.",
        ],
    ),
    (
        WORKSPACE,
        "currency: usd",
        "currency: &x {a: *x}",
        [
            "catalog/workspace.yaml line 1: currency.a holds itself by an alias; write the value out.",
        ],
    ),
    (
        WORKSPACE,
        "currency: usd",
        "currency: usd\n---\ncurrency: eur",
        [
            "catalog/workspace.yaml line 2: is not YAML (found another document);"
            " mend the line, or put the value in quotes.",
        ],
    ),
    (
        WORKSPACE,
        "currency: usd",
        "currency: \x01",
        [
            "catalog/workspace.yaml is not YAML (unacceptable character #x0001: special characters are not allowed);"
            " take out what is not plain text.",
        ],
    ),
    (
        WORKSPACE,
        "",
        "just words",
        [
            "catalog/workspace.yaml is 'just words';"
            " write a mapping with currency, close_grace, late_window, default_plan, bill_from,"
            " ledger_cutover, engine or stripe.",
        ],
    ),
    (
        METERS,
        "",
        "\n",
        [
            "catalog/meters.yaml has no `meters`; write it, such as meters: {model_cost: {aggregate: cost}}.",
        ],
    ),
    (
        PLANS,
        "",
        "plans:\n",
        [
            "catalog/plans.yaml has no `plans`;"
            " write it, such as plans: {pro: {priority: 10, versions: [{from: 2026-01-01T00:00:00Z, charges: […]}]}}.",
        ],
    ),
    (
        SOURCES,
        "",
        "sources: [ticks]\n",
        [
            "catalog/sources.yaml line 1: sources is a list;"
            " write a mapping such as sources: {ticks: {files: ticks/**/*.ndjson, format: ndjson, …}}.",
        ],
    ),
]

WORKSPACE_MISTAKES: list[Mistake] = [
    (
        WORKSPACE,
        "default_plan",
        "defualt_plan",
        [
            "catalog/workspace.yaml line 2: defualt_plan is not a key that is known here; did you mean 'default_plan'?",
        ],
    ),
    (
        WORKSPACE,
        "currency: usd",
        "currency: dollars",
        [
            "catalog/workspace.yaml line 1: currency is 'dollars'; write three letters such as USD.",
        ],
    ),
    (
        WORKSPACE,
        "currency: usd",
        "close_grace: 1 hour",
        [
            "catalog/workspace.yaml line 1: close_grace is '1 hour';"
            " write a whole number and one of s m h d w, such as 35d; a hundred years at most.",
        ],
    ),
    (
        WORKSPACE,
        "currency: usd",
        "late_window: 99999999d",
        [
            "catalog/workspace.yaml line 1: late_window is '99999999d';"
            " write a whole number and one of s m h d w, such as 35d; a hundred years at most.",
        ],
    ),
    (
        WORKSPACE,
        "currency: usd",
        "late_window: 35",
        [
            "catalog/workspace.yaml line 1: late_window is '35';"
            " write a whole number and one of s m h d w, such as 35d; a hundred years at most.",
        ],
    ),
    (
        WORKSPACE,
        "currency: usd",
        "bill_from: 2026-01-01",
        [
            "catalog/workspace.yaml line 1: bill_from is '2026-01-01';"
            " write a timestamp with an offset such as 2026-01-01T00:00:00Z.",
        ],
    ),
    (
        WORKSPACE,
        "mode: shadow",
        "mode: live",
        [
            "catalog/workspace.yaml line 3: stripe.mode is live, and there is no `bill_from`;"
            " write the instant from which usage is billed, such as bill_from: 2026-06-01T00:00:00Z.",
        ],
    ),
    (
        WORKSPACE,
        "mode: shadow",
        "mode: Live",
        [
            "catalog/workspace.yaml line 3: stripe.mode is 'Live'; did you mean 'live'?",
        ],
    ),
    (
        WORKSPACE,
        "mode: shadow",
        "mode: shadow, push: invoice_item",
        [
            "catalog/workspace.yaml line 3: stripe.push is 'invoice_item'; did you mean 'invoice_items'?",
        ],
    ),
    (
        WORKSPACE,
        "mode: shadow",
        "collect: now",
        [
            "catalog/workspace.yaml line 3: stripe.collect is 'now'; write pending or invoice.",
        ],
    ),
    (
        WORKSPACE,
        "mode: shadow",
        "key: sandbox",
        [
            "catalog/workspace.yaml line 3: stripe.key is 'sandbox'; write live or test.",
        ],
    ),
    (
        WORKSPACE,
        "mode: shadow",
        "rate: 0, amount_cap: 0",
        [
            "catalog/workspace.yaml line 3: stripe.rate is 0; write 1 to 1000 requests a second.",
            "catalog/workspace.yaml line 3: stripe.amount_cap is 0; write an amount in minor units, of 1 or more.",
        ],
    ),
    (
        WORKSPACE,
        "stripe: {mode: shadow}",
        "stripe: live",
        [
            "catalog/workspace.yaml line 3: stripe is 'live';"
            " write a mapping with mode, push, collect, key, rate or amount_cap.",
        ],
    ),
    (
        WORKSPACE,
        "default_plan: free",
        "default_plan: free\nengine: sparc",
        ["catalog/workspace.yaml line 3: engine is 'sparc'; did you mean 'spark'?"],
    ),
    (
        WORKSPACE,
        "default_plan: free",
        "default_plan: fre",
        [
            "catalog/workspace.yaml line 2: default_plan is 'fre', which plans.yaml does not list;"
            " did you mean 'free'?",
        ],
    ),
    (
        PLANS,
        "priority: 1\n    versions: [{from: 2020-01-01T00:00:00Z,",
        "priority: 1\n    versions: [{from: 2020-01-01T00:00:00Z, minimum: 5,",
        [
            "catalog/workspace.yaml line 2: default_plan is 'free', which has a minimum;"
            " choose a plan without one, or take it out there.",
        ],
    ),
    (
        PLANS,
        "[{meter: model_cost, pooled: true}]",
        "[{meter: storage_gb, model: per_unit, price: 1}]",
        [
            "catalog/workspace.yaml line 2: default_plan is 'free', which charges storage_gb, a time_weighted meter;"
            " choose a plan without such a charge, or take it out there.",
        ],
    ),
]

METERS_MISTAKES: list[Mistake] = [
    (
        METERS,
        "aggregate: cost",
        "aggregat: cost",
        [
            "catalog/meters.yaml line 3: meters.model_cost.aggregat is not a key that is known here;"
            " did you mean 'aggregate'?",
            "catalog/meters.yaml line 3: meters.model_cost has no `aggregate`;"
            " write one of sum, count, max, latest, unique_count, time_weighted, cost.",
        ],
    ),
    (
        METERS,
        "aggregate: count",
        "aggregate: counts",
        [
            "catalog/meters.yaml line 5: meters.calls.aggregate is 'counts'; did you mean 'count'?",
        ],
    ),
    (
        METERS,
        "{aggregate: cost}",
        "cost",
        [
            "catalog/meters.yaml line 3: meters.model_cost is 'cost';"
            " write a mapping with aggregate, divide_by, unit or of.",
        ],
    ),
    (
        METERS,
        "{aggregate: cost}",
        "{aggregate: cost, divide_by: 2}",
        [
            "catalog/meters.yaml line 3: meters.model_cost.divide_by divides a cost, which is money already;"
            " take it out.",
        ],
    ),
    (
        METERS,
        "divide_by: 1024",
        "divide_by: 0",
        [
            "catalog/meters.yaml line 4: meters.gb_seconds.divide_by is 0; write more than zero.",
        ],
    ),
    (
        METERS,
        "divide_by: 1024",
        "divide_by: -1",
        [
            "catalog/meters.yaml line 4: meters.gb_seconds.divide_by is -1; write a number of more than zero.",
        ],
    ),
    (
        METERS,
        "divide_by: 1024",
        "divide_by: 1_024",
        [
            "catalog/meters.yaml line 4: meters.gb_seconds.divide_by is '1_024', which is not a number;"
            " write digits with at most one point, such as 1000 or 0.25.",
        ],
    ),
    (
        METERS,
        "divide_by: 1024",
        "divide_by: 0x400",
        [
            "catalog/meters.yaml line 4: meters.gb_seconds.divide_by is '0x400', which is not a number;"
            " write digits with at most one point, such as 1000 or 0.25.",
        ],
    ),
    (
        METERS,
        "divide_by: 1024",
        "divide_by: .inf",
        [
            "catalog/meters.yaml line 4: meters.gb_seconds.divide_by is '.inf', which is not a number;"
            " write digits with at most one point, such as 1000 or 0.25.",
        ],
    ),
    (
        METERS,
        "divide_by: 1024",
        "divide_by: [1024]",
        [
            "catalog/meters.yaml line 4: meters.gb_seconds.divide_by is a list and not a number;"
            " write a decimal such as 0.25.",
        ],
    ),
    (
        METERS,
        "divide_by: 1024",
        "divide_by: 1000000000000000000",
        [
            "catalog/meters.yaml line 4: meters.gb_seconds.divide_by is '1000000000000000000', which has more"
            " than 18 digits before the decimal point; write a shorter number.",
        ],
    ),
    (
        METERS,
        "divide_by: 1024",
        "divide_by: 0.0000000000000001",
        [
            "catalog/meters.yaml line 4: meters.gb_seconds.divide_by is '0.0000000000000001', which has more"
            " than 15 digits after the decimal point; write a shorter number.",
        ],
    ),
    (
        METERS,
        ", of: actor",
        "",
        [
            "catalog/meters.yaml line 6: meters.active_users has no `of`;"
            " write `of: actor`, or a key of the sources' context.",
        ],
    ),
    (
        METERS,
        "aggregate: count}",
        "aggregate: count, of: actor}",
        [
            "catalog/meters.yaml line 5: meters.calls.of is for unique_count, and the aggregate is count; take it out.",
        ],
    ),
    (
        METERS,
        "of: actor",
        "of: sandbax",
        [
            "catalog/meters.yaml: meters.active_users.of is 'sandbax', which is no context key of a source that"
            " emits the meter; did you mean 'sandbox'?",
        ],
    ),
    (
        METERS,
        "{task_create: 1, export: 10, default: 1}",
        "{}",
        [
            "catalog/meters.yaml line 1: weights.compute is empty;"
            " write a mapping of weights such as {export: 10, default: 1}.",
        ],
    ),
    (
        METERS,
        "export: 10",
        "export: ten",
        [
            "catalog/meters.yaml line 1: weights.compute.export is 'ten', which is not a number;"
            " write digits with at most one point, such as 1000 or 0.25.",
        ],
    ),
    (
        METERS,
        "  calls:",
        '  "a\\tb": {aggregate: count}\n  calls:',
        [
            "catalog/meters.yaml line 5: meters.'a\\tb' has a control character in its name; take it out.",
        ],
    ),
    (
        METERS,
        "  calls:",
        '  "": {aggregate: count}\n  calls:',
        [
            "catalog/meters.yaml line 5: meters.'' has an empty name; write a name before the colon.",
        ],
    ),
]

SOURCES_MISTAKES: list[Mistake] = [
    (
        SOURCES,
        "    files: ticks/**/*.ndjson*\n",
        "",
        [
            "catalog/sources.yaml line 2: sources.ticks has no `files`;"
            " write a glob below raw/ such as ticks/**/*.ndjson.",
        ],
    ),
    (
        SOURCES,
        "files: ticks/",
        "files: raw/ticks/",
        [
            "catalog/sources.yaml line 3: sources.ticks.files is 'raw/ticks/**/*.ndjson*', but files are named"
            " below raw/; write ticks/**/*.ndjson*.",
        ],
    ),
    (
        SOURCES,
        "files: ticks/**",
        "files: ../**",
        [
            "catalog/sources.yaml line 3: sources.ticks.files is '../**/*.ndjson*', which is not below raw/;"
            " write a glob such as ticks/**/*.ndjson.",
        ],
    ),
    (
        SOURCES,
        "format: ndjson",
        "format: json",
        [
            "catalog/sources.yaml line 4: sources.ticks.format is 'json'; did you mean 'ndjson'?",
        ],
    ),
    (
        SOURCES,
        "identity: [id]",
        "identity: id",
        [
            "catalog/sources.yaml line 6: sources.ticks.identity is 'id' and not a list;"
            " write the fields that make two rows the same usage in brackets.",
        ],
    ),
    (
        SOURCES,
        "identity: [id]",
        "identity: []",
        [
            "catalog/sources.yaml line 6: sources.ticks.identity is an empty list;"
            " write the fields that make two rows the same usage.",
        ],
    ),
    (
        SOURCES,
        "identity: [id]",
        "identity: [id, id]",
        [
            "catalog/sources.yaml line 6: sources.ticks.identity lists 'id' twice; keep one of them.",
        ],
    ),
    (
        SOURCES,
        "where: {type: usage_tick}",
        "where: type",
        [
            "catalog/sources.yaml line 5: sources.ticks.where is 'type';"
            " write a mapping of fields to values such as {type: usage_tick}.",
        ],
    ),
    (
        SOURCES,
        "where: {type: usage_tick}",
        "where: {type: []}",
        [
            "catalog/sources.yaml line 5: sources.ticks.where.type is an empty list; write the texts that match.",
        ],
    ),
    (
        SOURCES,
        "where: {type: usage_tick}",
        "where: {type: null}",
        [
            "catalog/sources.yaml line 5: sources.ticks.where.type is empty, which no row's text equals;"
            " write a text or a list of texts.",
        ],
    ),
    (
        SOURCES,
        "occurred_at: timestamp",
        "occurred_at: {field: ts}",
        [
            "catalog/sources.yaml line 7: sources.ticks.occurred_at has no `unit`;"
            " write s, ms or us, or the field alone where it holds RFC 3339 text.",
        ],
    ),
    (
        SOURCES,
        "occurred_at: timestamp",
        "occurred_at: {field: ts, unit: ns}",
        [
            "catalog/sources.yaml line 7: sources.ticks.occurred_at.unit is 'ns'; did you mean 's'?",
        ],
    ),
    (
        SOURCES,
        "context: {sandbox: payload.sandbox_id}",
        "context: [sandbox]",
        [
            "catalog/sources.yaml line 10: sources.ticks.context is a list;"
            " write a mapping of keys to fields such as {sandbox: payload.sandbox_id}.",
        ],
    ),
    (
        SOURCES,
        "actor: payload",
        "user: payload",
        [
            "catalog/sources.yaml line 9: sources.ticks.user is not a key that is known here;"
            " the keys are files, format, where, identity, occurred_at, account, actor, context and emits.",
        ],
    ),
    (
        SOURCES,
        "{meter: calls}",
        "{quantity: 1}",
        [
            "catalog/sources.yaml line 14: sources.ticks.emits[2] has no `meter`; write a meter of meters.yaml.",
        ],
    ),
    (
        SOURCES,
        "{meter: calls}",
        "{meter: calls, cost: price}",
        [
            "catalog/sources.yaml line 14: sources.ticks.emits[2].cost is given to calls, whose aggregate is count;"
            " write `quantity`, or make it a cost meter.",
        ],
    ),
    (
        SOURCES,
        "{meter: calls}",
        "{meter: model_cost, quantity: 2, when: {payload.kind: tool}}",
        [
            "catalog/sources.yaml line 14: sources.ticks.emits[2] has no `cost`, and model_cost is a cost meter;"
            " write the field that holds the money.",
        ],
    ),
    (
        SOURCES,
        "{meter: calls}",
        "{meter: gb_seconds}",
        [
            "catalog/sources.yaml line 14: sources.ticks.emits[2] emits 'gb_seconds' again, which a row may do once;"
            " write a `when` that tells the two apart, or another meter.",
        ],
    ),
    (
        SOURCES,
        "{meter: calls}",
        "{meter: calls, quantity: {weight: kind, table: compuet}}",
        [
            "catalog/sources.yaml line 14: sources.ticks.emits[2].quantity.table is 'compuet', which `weights`"
            " of meters.yaml does not list; did you mean 'compute'?",
        ],
    ),
    (
        SOURCES,
        "{meter: calls}",
        "{meter: calls, quantity: {weight: kind}}",
        [
            "catalog/sources.yaml line 14: sources.ticks.emits[2].quantity is not one of the forms of a quantity;"
            " write a field path, a number, {product: […]}, {sum: […]} or {weight: field, table: NAME}.",
        ],
    ),
    (
        SOURCES,
        "{meter: calls}",
        "{meter: calls, quantity: {prodcut: [a, b]}}",
        [
            "catalog/sources.yaml line 14: sources.ticks.emits[2].quantity.prodcut is not a key that is known here;"
            " did you mean 'product'?",
        ],
    ),
    (
        SOURCES,
        "{meter: calls}",
        "{meter: calls, quantity: {sum: []}}",
        [
            "catalog/sources.yaml line 14: sources.ticks.emits[2].quantity.sum has nothing to reckon with;"
            " write {sum: [a_field, 2]}.",
        ],
    ),
    (
        SOURCES,
        "{meter: calls}",
        "{meter: calls, quantity: true}",
        [
            "catalog/sources.yaml line 14: sources.ticks.emits[2].quantity is 'true';"
            " write a field path, a number, {product: […]}, {sum: […]} or {weight: field, table: NAME}.",
        ],
    ),
]

PLANS_MISTAKES: list[Mistake] = [
    (
        PLANS,
        "versions: [{from: 2020",
        "version: [{from: 2020",
        [
            "catalog/plans.yaml line 4: plans.free.version is not a key that is known here; did you mean 'versions'?",
            "catalog/plans.yaml line 2: plans.free has no `versions`;"
            " write a list such as [{from: 2026-01-01T00:00:00Z, charges: […]}].",
        ],
    ),
    (
        PLANS,
        "from: 2026-01-01T00:00:00Z",
        "from: 2026-01-01T00:00:00",
        [
            "catalog/plans.yaml line 9: plans.pro.versions[0].from is '2026-01-01T00:00:00';"
            " write a timestamp with an offset such as 2026-01-01T00:00:00Z.",
        ],
    ),
    (
        PLANS,
        "from: 2026-01-01T00:00:00Z\n        ",
        "",
        [
            "catalog/plans.yaml line 9: plans.pro.versions[0] has no `from`;"
            " write when it comes into force, such as 2026-01-01T00:00:00Z.",
        ],
    ),
    (
        PLANS,
        "    versions: [{from: 2020-01-01T00:00:00Z,",
        "    versions: [{from: 2020-01-01T00:00:00Z}, {from: 2020-01-01T01:00:00+01:00,",
        [
            "catalog/plans.yaml line 4: plans.free.versions[1] begins at 2020-01-01T00:00:00Z like another"
            " version of the plan; give each version its own `from`.",
        ],
    ),
    (
        PLANS,
        "priority: 10",
        "priority: high",
        [
            "catalog/plans.yaml line 6: plans.pro.priority is 'high', which is not a number;"
            " write digits with at most one point, such as 1000 or 0.25.",
        ],
    ),
    (
        PLANS,
        "priority: 10",
        "priority: 1.5",
        [
            "catalog/plans.yaml line 6: plans.pro.priority is '1.5'; write a whole number.",
        ],
    ),
    (
        PLANS,
        "currency: usd",
        "currency: us",
        [
            "catalog/plans.yaml line 7: plans.pro.currency is 'us'; write three letters such as USD.",
        ],
    ),
    (
        PLANS,
        "included: 30.00",
        "included: -30.00",
        [
            "catalog/plans.yaml line 10: plans.pro.versions[0].included is -30.00; write a number of zero or more.",
        ],
    ),
    (
        PLANS,
        "included: 30.00",
        "included: 30,00",
        [
            "catalog/plans.yaml line 10: plans.pro.versions[0].included is '30,00', which is not a number;"
            " write digits with at most one point, such as 1000 or 0.25.",
        ],
    ),
    (
        PLANS,
        "included: 30.00",
        "overage: yes",
        [
            "catalog/plans.yaml line 10: plans.pro.versions[0].overage is 'yes'; write true or false.",
        ],
    ),
    (
        PLANS,
        "threshold: 100.00",
        "treshold: 100.00",
        [
            "catalog/plans.yaml line 12: plans.pro.versions[0].treshold is not a key that is known here;"
            " did you mean 'threshold'?",
        ],
    ),
    (
        PLANS,
        ", rate: 0.01",
        "",
        [
            "catalog/plans.yaml line 11: plans.pro.versions[0].daily_refresh has no `rate`;"
            " write both, such as {basis: 25.00, rate: 0.01}.",
        ],
    ),
    (
        PLANS,
        "[{from: 2020-01-01T00:00:00Z, charges: [{meter: model_cost, pooled: true}]}]",
        "[]",
        [
            "catalog/plans.yaml line 4: plans.free.versions is an empty list;"
            " write a list such as [{from: 2026-01-01T00:00:00Z, charges: […]}].",
        ],
    ),
    (
        PLANS,
        CHARGE,
        "{model: per_unit, price: 1}",
        [
            "catalog/plans.yaml line 16: plans.pro.versions[0].charges[2] has no `meter`;"
            " write a meter of meters.yaml.",
        ],
    ),
    (
        PLANS,
        CHARGE,
        "{meter: cals, model: per_unit, price: 1}",
        [
            "catalog/plans.yaml line 16: plans.pro.versions[0].charges[2].meter is 'cals', which meters.yaml"
            " does not list; did you mean 'calls'?",
        ],
    ),
    (
        PLANS,
        CHARGE,
        "{meter: calls}",
        [
            "catalog/plans.yaml line 16: plans.pro.versions[0].charges[2] has no `model`, and calls is a count"
            " meter; write per_unit, graduated, volume, package or percentage.",
        ],
    ),
    (
        PLANS,
        CHARGE,
        "{meter: calls, model: none}",
        [
            "catalog/plans.yaml line 16: plans.pro.versions[0].charges[2].model is 'none';"
            " leave it out, or write per_unit, graduated, volume, package or percentage.",
        ],
    ),
    (
        PLANS,
        CHARGE,
        "{meter: calls, model: perunit, price: 1}",
        [
            "catalog/plans.yaml line 16: plans.pro.versions[0].charges[2].model is 'perunit'; did you mean 'per_unit'?",
        ],
    ),
    (
        PLANS,
        CHARGE,
        "{meter: calls, model: per_unit}",
        [
            "catalog/plans.yaml line 16: plans.pro.versions[0].charges[2] has no `price`;"
            " write price, which a per_unit charge needs.",
        ],
    ),
    (
        PLANS,
        CHARGE,
        "{meter: calls, model: package, price: 1}",
        [
            "catalog/plans.yaml line 16: plans.pro.versions[0].charges[2] has no `size`;"
            " write size and price, which a package charge needs.",
        ],
    ),
    (
        PLANS,
        CHARGE,
        "{meter: calls, model: package, price: 1, size: 0}",
        [
            "catalog/plans.yaml line 16: plans.pro.versions[0].charges[2].size is 0; write more than zero.",
        ],
    ),
    (
        PLANS,
        CHARGE,
        "{meter: calls, model: per_unit, price: 1, size: 2}",
        [
            "catalog/plans.yaml line 16: plans.pro.versions[0].charges[2].size is nothing that a per_unit charge"
            " reads; take it out, or change the model.",
        ],
    ),
    (
        PLANS,
        CHARGE,
        "{meter: calls, model: percentage, rate: 0.1}",
        [
            "catalog/plans.yaml line 16: plans.pro.versions[0].charges[2] takes a percentage of calls, a count"
            " meter; use a cost or sum meter, or another model.",
        ],
    ),
    (
        PLANS,
        CHARGE,
        "{meter: calls, model: graduated, tiers: []}",
        [
            "catalog/plans.yaml line 16: plans.pro.versions[0].charges[2].tiers is an empty list;"
            " write tiers such as [{up_to: 10, unit: 0}, {unit: 2.50}].",
        ],
    ),
    (
        PLANS,
        CHARGE,
        "{meter: calls, model: graduated, tiers: [{up_to: 10}, {up_to: 10}, {unit: 1}]}",
        [
            "catalog/plans.yaml line 16: plans.pro.versions[0].charges[2].tiers[1].up_to is 10, not above the"
            " tier before it; order the tiers by rising up_to.",
        ],
    ),
    (
        PLANS,
        CHARGE,
        "{meter: calls, model: volume, tiers: [{up_to: 10, unit: 1}]}",
        [
            "catalog/plans.yaml line 16: plans.pro.versions[0].charges[2].tiers[0].up_to ends the last tier;"
            " take it out: the last tier has no end.",
        ],
    ),
    (
        PLANS,
        CHARGE,
        "{meter: calls, model: volume, tiers: [{unit: 1}, {unit: 2}]}",
        [
            "catalog/plans.yaml line 16: plans.pro.versions[0].charges[2].tiers[0] has no `up_to` and is not the"
            " last tier; write where it ends.",
        ],
    ),
    (
        PLANS,
        CHARGE,
        "{meter: calls, model: volume, tiers: [{up_to: 0, unit: 1}, {unit: 2}]}",
        [
            "catalog/plans.yaml line 16: plans.pro.versions[0].charges[2].tiers[0].up_to is 0; write more than zero.",
        ],
    ),
    (
        PLANS,
        CHARGE,
        "{meter: calls, model: volume, pooled: true, tiers: [{unit: 2}]}",
        [
            "catalog/plans.yaml line 16: plans.pro.versions[0].charges[2] can't be pooled as volume on calls, a"
            " count meter; pool a cost meter without a model, or per_unit on sum or count without free_units.",
        ],
    ),
    (
        PLANS,
        CHARGE,
        "{meter: calls, model: per_unit, price: 1, free_units: 5, pooled: true}",
        [
            "catalog/plans.yaml line 16: plans.pro.versions[0].charges[2] can't be pooled as per_unit on calls,"
            " a count meter; pool a cost meter without a model, or per_unit on sum or count without free_units.",
        ],
    ),
    (
        PLANS,
        CHARGE,
        "{meter: gb_seconds, model: per_unit, price: 1}",
        [
            "catalog/plans.yaml line 16: plans.pro.versions[0].charges[2] charges 'gb_seconds' again, first on"
            " line 15; keep one charge of the meter in a version.",
        ],
    ),
    (
        PLANS,
        "{meter: gb_seconds, model: per_unit, price: 0.000016, pooled: true}",
        "{meter: gb_seconds, model: percentage, rate: 1, min: 3, max: 2}",
        [
            "catalog/plans.yaml line 15: plans.pro.versions[0].charges[1] has a `min` of 3 above its `max` of 2;"
            " write the smaller as `min`.",
        ],
    ),
    (
        PLANS,
        "{meter: gb_seconds, model: per_unit, price: 0.000016, pooled: true}",
        "{meter: gb_seconds, model: percentage, rate: 1, min: 3, free_units: 2}",
        [
            "catalog/plans.yaml line 15: plans.pro.versions[0].charges[1] has `free_units` beside `min` or `max`;"
            " take one of them out.",
        ],
    ),
    (
        PLANS,
        "size: 10, price: 1.00, free_units: 5}",
        "size: 10, price: 1.00, pooled: true}",
        [
            "catalog/plans.yaml line 18: plans.pro.versions[0].charges[4] can't be pooled as package on"
            " storage_gb, a time_weighted meter; pool a cost meter without a model, or per_unit on"
            " sum or count without free_units.",
        ],
    ),
    (
        PLANS,
        "{meter: model_cost, pooled: true}\n",
        "{meter: model_cost, free_units: 5}\n",
        [
            "catalog/plans.yaml line 14: plans.pro.versions[0].charges[0].free_units is nothing that a charge"
            " without a model reads; take it out, or change the model.",
        ],
    ),
]

ACCOUNTS_MISTAKES: list[Mistake] = [
    (
        ACCOUNTS,
        "",
        "",
        [
            "accounts/accounts.csv has no header;"
            " begin it with the line account_id,entity_type,name,currency,timezone,stripe_customer_id.",
        ],
    ),
    (
        ACCOUNTS,
        "timezone",
        "time_zone",
        [
            "accounts/accounts.csv line 1: has no column timezone; did you mean 'time_zone'?",
        ],
    ),
    (
        ACCOUNTS,
        "account_id,entity_type",
        "account_id,account_id,entity_type",
        [
            "accounts/accounts.csv line 1: has two columns account_id; keep one of them.",
        ],
    ),
    (
        ACCOUNTS,
        "u1,user,Uma,,,",
        "u1,user,Uma,,",
        [
            "accounts/accounts.csv line 3: has 5 cells and the header 6;"
            " write a cell for each column, and quote a cell that holds a comma.",
        ],
    ),
    (
        ACCOUNTS,
        "u1,user,Uma,,,",
        'u1,user,"Uma,,,',
        [
            "accounts/accounts.csv line 3: is not CSV (unexpected end of data);"
            " close the quotes, and double a quote inside a cell.",
        ],
    ),
    (
        ACCOUNTS,
        "u1,user",
        "o1,user",
        [
            "accounts/accounts.csv line 3: account_id 'o1' stands on line 2 already; give each account one row.",
            "accounts/baselines.csv line 3: account_id is 'u1', which accounts.csv does not list; add the account.",
        ],
    ),
    (
        ACCOUNTS,
        "u1,user",
        ",user",
        [
            "accounts/accounts.csv line 3: account_id is empty; write the id.",
            "accounts/baselines.csv line 3: account_id is 'u1', which accounts.csv does not list; add the account.",
        ],
    ),
    (
        ACCOUNTS,
        "u1,user",
        "u\x1f1,user",
        [
            "accounts/accounts.csv line 3: account_id is 'u\\x1f1', with a control character; take it out.",
            "accounts/baselines.csv line 3: account_id is 'u1', which accounts.csv does not list;"
            " did you mean 'u\\x1f1'?",
        ],
    ),
    (
        ACCOUNTS,
        "u1,user",
        "u1,User",
        [
            "accounts/accounts.csv line 3: entity_type is 'User'; did you mean 'user'?",
        ],
    ),
    (
        ACCOUNTS,
        "eur",
        "euro",
        [
            "accounts/accounts.csv line 4: currency is 'euro'; write three letters such as USD.",
        ],
    ),
    (
        ACCOUNTS,
        "Europe/Berlin",
        "Europe/Belrin",
        [
            "accounts/accounts.csv line 2: timezone is 'Europe/Belrin', which is not an IANA time zone;"
            " did you mean 'Europe/Berlin'?",
        ],
    ),
    (
        ACCOUNTS,
        "Europe/Berlin",
        "CET+1",
        [
            "accounts/accounts.csv line 2: timezone is 'CET+1', which is not an IANA time zone; did you mean 'CET'?",
        ],
    ),
    (
        SUBSCRIPTIONS,
        "s1,o1,pro,3",
        "s1,o2,pro,3",
        [
            "accounts/subscriptions.csv line 2: account_id is 'o2', which accounts.csv does not list; add the account.",
            "accounts/subscriptions.csv line 3: account_id is not that of line 2, of the same subscription 's1';"
            " write the same, or give it another subscription_id.",
        ],
    ),
    (
        SUBSCRIPTIONS,
        "s1,o1,pro,3",
        "s1,o1,por,3",
        [
            "accounts/subscriptions.csv line 2: plan is 'por', which plans.yaml does not list; did you mean 'pro'?",
        ],
    ),
    (
        SUBSCRIPTIONS,
        "s1,o1,pro,3",
        "s1,o1,pro,0",
        [
            "accounts/subscriptions.csv line 2: seats is '0'; write a whole number of 1 or more.",
        ],
    ),
    (
        SUBSCRIPTIONS,
        "s1,o1,pro,3",
        "s1,o1,pro,1.5",
        [
            "accounts/subscriptions.csv line 2: seats is '1.5'; write a whole number of 1 or more.",
        ],
    ),
    (
        SUBSCRIPTIONS,
        "s1,o1,pro,3,month",
        "s1,o1,pro,3,monthly",
        [
            "accounts/subscriptions.csv line 2: interval is 'monthly'; did you mean 'month'?",
        ],
    ),
    (
        SUBSCRIPTIONS,
        "s1,o1,pro,3",
        "default:s1,o1,pro,3",
        [
            "accounts/subscriptions.csv line 2: subscription_id is 'default:s1', as the default plan names its own;"
            " choose an id that does not begin with default:.",
        ],
    ),
    (
        SUBSCRIPTIONS,
        "2026-05-01T00:00:00Z,2026-05-10T00:00:00Z",
        "2026-05-11T00:00:00Z,2026-05-10T00:00:00Z",
        [
            "accounts/subscriptions.csv line 2: ends_at is not after starts_at; swap or mend the two.",
        ],
    ),
    (
        SUBSCRIPTIONS,
        "s1,o1,free,1,month,2026-05-01T00:00:00Z,2026-05-10T00:00:00Z",
        "s1,o1,free,1,month,2026-05-01T00:00:00Z,2026-05-11T00:00:00Z",
        [
            "accounts/subscriptions.csv line 3: starts_at is 2026-05-11T00:00:00Z, and line 2, of the same"
            " subscription 's1', ends at 2026-05-10T00:00:00Z; let each row start where the one before it ends.",
        ],
    ),
    (
        SUBSCRIPTIONS,
        "s1,o1,free,1,month",
        "s1,u1,free,1,month",
        [
            "accounts/subscriptions.csv line 3: account_id is not that of line 2, of the same subscription 's1';"
            " write the same, or give it another subscription_id.",
        ],
    ),
    (
        SUBSCRIPTIONS,
        "s1,o1,free,1,month",
        "s1,o1,free,1,year",
        [
            "accounts/subscriptions.csv line 3: interval is not that of line 2, of the same subscription 's1';"
            " write the same, or give it another subscription_id.",
        ],
    ),
    (
        SUBSCRIPTIONS,
        "s1,o1,free,1,month,2026-05-01T00",
        "s1,o1,free,1,month,2026-05-01T01",
        [
            "accounts/subscriptions.csv line 3: anchor_at is not that of line 2, of the same subscription 's1';"
            " write the same, or give it another subscription_id.",
        ],
    ),
    (
        SUBSCRIPTIONS,
        "s1,o1,free,1,month",
        "s2,o1,free,1,month,2026-05-01T00:00:00Z,2026-05-09T00:00:00Z,\ns3,o1,free,1,month",
        [
            "accounts/subscriptions.csv line 3: subscription 's2' overlaps 's1' on line 2, of the same account;"
            " end the one before the other starts.",
            "accounts/subscriptions.csv line 4: subscription 's3' overlaps 's2' on line 3, of the same account;"
            " end the one before the other starts.",
            "accounts/periods.csv line 2: the period lies outside the life of subscription 's1';"
            " mend its bounds, or the subscription's terms.",
        ],
    ),
    (
        SUBSCRIPTIONS,
        "s1,o1,free",
        "s2,e1,pro,1,month,2026-05-01T00:00:00Z,2026-05-01T00:00:00Z,\ns1,o1,free",
        [
            "accounts/subscriptions.csv line 3: plan 'pro' is for USD, and account 'e1' has EUR;"
            " choose a plan in the account's currency.",
        ],
    ),
    (
        PLANS,
        "from: 2026-01-01",
        "from: 2026-05-02",
        [
            "accounts/subscriptions.csv line 2: plan 'pro' has no version at 2026-05-01T00:00:00Z, the start of"
            " a period it serves; add one to plans.yaml with `from: 2026-05-01T00:00:00Z` or earlier.",
        ],
    ),
    (
        PLANS,
        "from: 2020-01-01",
        "from: 2026-05-02",
        [
            "accounts/subscriptions.csv line 3: plan 'free' has no version at 2026-05-01T00:00:00Z, the start of"
            " a period it serves; add one to plans.yaml with `from: 2026-05-01T00:00:00Z` or earlier.",
            "accounts/baselines.csv line 3: period_start is 2026-05-01T00:00:00Z, where no period of account"
            " 'u1' begins; write the start of a period that it has, or take the row out.",
        ],
    ),
    (
        MEMBERSHIPS,
        "o1,u1",
        "o9,u1",
        [
            "accounts/memberships.csv line 2: organization_id is 'o9', which accounts.csv does not list;"
            " add the account.",
        ],
    ),
    (
        MEMBERSHIPS,
        "o1,u1",
        "u1,u1",
        [
            "accounts/memberships.csv line 2: organization_id is 'u1', which is a user;"
            " name an organization of accounts.csv.",
        ],
    ),
    (
        MEMBERSHIPS,
        "o1,u1",
        "o1,",
        [
            "accounts/memberships.csv line 2: user_id is empty; write the id.",
        ],
    ),
    (
        MEMBERSHIPS,
        "2026-06-01",
        "2026-05-01",
        [
            "accounts/memberships.csv line 2: left_at is not after joined_at; swap or mend the two.",
        ],
    ),
    (
        MEMBERSHIPS,
        "o1,u1,2026-05-01T00:00:00Z",
        "o1,u1,",
        [
            "accounts/memberships.csv line 2: joined_at is empty;"
            " write a timestamp with an offset such as 2026-05-01T00:00:00Z.",
        ],
    ),
    (
        PERIODS,
        "s1,2026",
        "s9,2026",
        [
            "accounts/periods.csv line 2: subscription_id is 's9', which subscriptions.csv does not list;"
            " add it there.",
        ],
    ),
    (
        PERIODS,
        "2026-06-15",
        "2026-05-15",
        [
            "accounts/periods.csv line 2: period_end is not after period_start; swap or mend the two.",
        ],
    ),
    (
        PERIODS,
        "s1,2026",
        "s1,2026-06-14T00:00:00Z,2026-06-20T00:00:00Z\ns1,2026",
        [
            "accounts/periods.csv line 2: the period overlaps that of line 3, of the same subscription;"
            " let each period end where the next one starts.",
        ],
    ),
    (
        PERIODS,
        "s1,2026-06-01T00:00:00Z,2026-06-15T00:00:00Z",
        "s1,2026-04-01T00:00:00Z,2026-05-01T00:00:00Z",
        [
            "accounts/periods.csv line 2: the period lies outside the life of subscription 's1';"
            " mend its bounds, or the subscription's terms.",
        ],
    ),
    (
        BASELINES,
        "o1,2026-05-01",
        "o1,2026-05-02",
        [
            "accounts/baselines.csv line 2: period_start is 2026-05-02T00:00:00Z, where no period of account"
            " 'o1' begins; the period that holds it begins at 2026-05-01T00:00:00Z.",
        ],
    ),
    (
        BASELINES,
        "u1,2026-05-01",
        "u1,2026-05-02",
        [
            "accounts/baselines.csv line 3: period_start is 2026-05-02T00:00:00Z, where no period of account"
            " 'u1' begins; the default plan's month that holds it begins at 2026-05-01T00:00:00Z.",
        ],
    ),
    (
        BASELINES,
        "u1,",
        "x1,",
        [
            "accounts/baselines.csv line 3: account_id is 'x1', which accounts.csv does not list; add the account.",
        ],
    ),
    (
        BASELINES,
        "u1,2026-05-01T00:00:00Z,1",
        "o1,2026-05-01T00:00:00Z,1",
        [
            "accounts/baselines.csv line 3: the period of account 'o1' has a baseline on line 2 already;"
            " keep one of them.",
        ],
    ),
    (
        BASELINES,
        "32.50",
        "32.0000000000000001",
        [
            "accounts/baselines.csv line 2: amount is '32.0000000000000001', which has more than 15 digits after"
            " the decimal point; write a decimal such as 32.50.",
        ],
    ),
    (
        BASELINES,
        "32.50",
        "",
        [
            "accounts/baselines.csv line 2: amount is empty; write a decimal such as 32.50.",
        ],
    ),
    (
        BASELINES,
        "u1,2026-05-01",
        "u1,2019-05-01",
        [
            "accounts/baselines.csv line 3: period_start is 2019-05-01T00:00:00Z, where no period of account"
            " 'u1' begins; write the start of a period that it has, or take the row out.",
        ],
    ),
    (
        GRANTS,
        "g1,o1",
        "g1,e1",
        [
            "accounts/credit_grants.csv line 2: currency is USD, and account 'e1' has EUR;"
            " grant in the account's currency.",
        ],
    ),
    (
        GRANTS,
        "500",
        "0",
        [
            "accounts/credit_grants.csv line 2: amount_minor is '0'; write a whole number of 1 or more.",
        ],
    ),
    (
        GRANTS,
        "500",
        "5.00",
        [
            "accounts/credit_grants.csv line 2: amount_minor is '5.00'; write a whole number of 1 or more.",
        ],
    ),
    (
        GRANTS,
        "2026-08-01",
        "2026-05-01",
        [
            "accounts/credit_grants.csv line 2: expires_at is not after granted_at; swap or mend the two.",
        ],
    ),
    (
        GRANTS,
        ",1\n",
        ",first\n",
        [
            "accounts/credit_grants.csv line 2: priority is 'first'; write a whole number.",
        ],
    ),
    (
        GRANTS,
        "g1,o1",
        "g1,o1,1,usd,2026-05-01T00:00:00Z,,\ng1,o1",
        [
            "accounts/credit_grants.csv line 3: grant_id 'g1' stands on line 2 already; give each grant its own id.",
        ],
    ),
]

MISTAKES = [
    *YAML_MISTAKES,
    *WORKSPACE_MISTAKES,
    *METERS_MISTAKES,
    *SOURCES_MISTAKES,
    *PLANS_MISTAKES,
    *ACCOUNTS_MISTAKES,
]


@pytest.mark.parametrize(("file", "old", "new", "sentences"), MISTAKES)
def test_refuses(tmp_path: Path, file: str, old: str, new: str, sentences: list[str]) -> None:
    assert problems_of(workspace_with(tmp_path, (file, old, new))) == sentences


@pytest.mark.parametrize("file", FILES)
def test_a_required_file_must_be_there(tmp_path: Path, file: str) -> None:
    root = workspace_with(tmp_path)
    (root / file).unlink()
    sentence = f"{file} is missing; write it, or check that the workspace is the right directory."
    is_required = file.startswith("catalog/") or file in (ACCOUNTS, SUBSCRIPTIONS)
    assert problems_of(root) == ([sentence] if is_required else [])


def test_an_empty_directory_lacks_what_is_required_and_no_more(tmp_path: Path) -> None:
    assert [problem.split()[0] for problem in problems_of(tmp_path)] == [
        WORKSPACE,
        METERS,
        SOURCES,
        PLANS,
        ACCOUNTS,
        SUBSCRIPTIONS,
    ]


@pytest.mark.parametrize("file", FILES)
def test_only_utf_8_is_text(tmp_path: Path, file: str) -> None:
    root = workspace_with(tmp_path)
    text = (root / file).read_bytes()
    (root / file).write_bytes(text + b"\xff\n")
    line = text.count(b"\n") + 1
    assert problems_of(root) == [f"{file} line {line}: is not UTF-8 text; save the file as UTF-8."]


AT_ONCE = [
    (WORKSPACE, "mode: shadow", "mode: dark", "line 3: stripe.mode is 'dark'; write shadow or live."),
    (METERS, "divide_by: 1024", "divide_by: 0", "line 4: meters.gb_seconds.divide_by is 0; write more than zero."),
    (SOURCES, "json\n", "jsonl\n", "line 4: sources.ticks.format is 'ndjsonl'; did you mean 'ndjson'?"),
    (PLANS, "basis: 25", "basis: -25", "daily_refresh.basis is -25.00; write a number of zero or more."),
    (ACCOUNTS, "e1,org", "e1,Org", "line 4: entity_type is 'Organization'; did you mean 'organization'?"),
    (SUBSCRIPTIONS, "pro,3", "pro,-3", "line 2: seats is '-3'; write a whole number of 1 or more."),
    (MEMBERSHIPS, "o1,somebody", "o2,somebody", "line 3: organization_id is 'o2', which accounts.csv does not list"),
    (PERIODS, "s1,", "s1,1", "line 2: period_start is '12026-06-01T00:00:00Z'; write a timestamp with an offset"),
    (BASELINES, "u1,", "u2,", "line 3: account_id is 'u2', which accounts.csv does not list; add the account."),
    (GRANTS, "usd", "u$d", "line 2: currency is 'u$d'; write three letters such as USD."),
]


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    """One from every file: none hides another, none is told twice, and none makes up a further one."""
    told = problems_of(workspace_with(tmp_path, *(mistake[:3] for mistake in AT_ONCE)))
    for file, _, _, sentence in AT_ONCE:
        assert [problem for problem in told if problem.startswith(file) and sentence in problem]
    assert len(told) == len(AT_ONCE)


def closed(start: str, end: str) -> ClosedPeriod:
    return ClosedPeriod("s1", parse_instant(start), parse_instant(end))


def test_a_told_period_may_repeat_a_closed_one_but_not_cross_it(tmp_path: Path) -> None:
    root = workspace_with(tmp_path)
    may = closed("2026-05-01T00:00:00Z", "2026-06-01T00:00:00Z")
    june = closed("2026-06-01T00:00:00Z", "2026-06-15T00:00:00Z")
    assert problems_of(root, (may, june)) == []
    late = closed("2026-06-01T00:00:00Z", "2026-06-14T00:00:00Z")
    assert problems_of(root, (may, late)) == [
        "accounts/periods.csv line 2: the period crosses the closed one from 2026-06-01T00:00:00Z to"
        " 2026-06-14T00:00:00Z (BILLING_PERIOD_LOCKED); tell the closed period as it was closed."
    ]


def test_a_baseline_may_stay_on_a_closed_period(tmp_path: Path) -> None:
    moved = (
        SUBSCRIPTIONS,
        "month,2026-05-01T00:00:00Z,2026-05-01T00:00:00Z",
        "month,2026-05-01T00:00:00Z,2026-05-02T00:00:00Z",
    )
    root = workspace_with(tmp_path, moved)
    assert len(problems_of(root)) == 1
    assert problems_of(root, (closed("2026-05-01T00:00:00Z", "2026-06-01T00:00:00Z"),)) == []


@pytest.mark.parametrize(
    ("currency", "amount", "step"),
    [("usd", 1, 1), ("jpy", 1, 1), ("isk", 150, 100), ("ugx", 99, 100), ("kwd", 15, 10), ("tnd", 1, 10)],
)
def test_credit_is_granted_in_steps_that_stripe_takes(tmp_path: Path, currency: str, amount: int, step: int) -> None:
    edits = (ACCOUNTS, "Europa,eur", f"Europa,{currency}"), (GRANTS, "g1,o1,500,usd", f"g1,e1,{amount},{currency}")
    told = problems_of(workspace_with(tmp_path, *edits))
    wrong = f"amount_minor is {amount}, and Stripe takes {currency.upper()} in steps of {step}"
    sentence = f"{GRANTS} line 2: {wrong}; write a multiple of {step}."
    assert told == ([] if amount % step == 0 else [sentence])


def test_no_two_charges_read_the_same(tmp_path: Path) -> None:
    meters = (METERS, "  calls:", '  "b:calls": {aggregate: count}\n  calls:')
    version = "{{from: 2020-01-01T00:00:00Z, charges: [{{meter: {}, model: per_unit, price: 1}}]}}"
    colons = (
        f"plans:\n  a: {{versions: [{version.format('b:calls')}]}}\n  a:b: {{versions: [{version.format('calls')}]}}\n"
    )
    plans = (PLANS, "plans:\n", colons)
    assert problems_of(workspace_with(tmp_path, meters, plans)) == [
        "catalog/plans.yaml line 3: plans.a:b has a charge 'metered:a:b:calls' that the plan 'a' has too;"
        " take the colon out of a plan's or meter's name."
    ]


def test_aliases_that_unfold_without_end_are_refused(tmp_path: Path) -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for i in range(9):
        bomb += f"a{i + 1}: &a{i + 1} [{', '.join([f'*a{i}'] * 10)}]\n"
    told = problems_of(workspace_with(tmp_path, (WORKSPACE, "", bomb)))
    assert len(told) == 1
    assert told[0].startswith("catalog/workspace.yaml line ")
    assert told[0].endswith("unfolds to too much by its aliases; write fewer of them.")


def sentences() -> Iterator[str]:
    for *_, told in MISTAKES:
        yield from told


def test_every_sentence_names_its_place_and_what_to_do() -> None:
    for sentence in sentences():
        assert sentence.startswith(("catalog/", "accounts/"))
        assert "; " in sentence
        assert sentence.endswith((".", "?"))
        assert "\n" not in sentence


def test_every_check_has_a_name_that_says_the_passing_truth() -> None:
    assert len({check.__name__ for check in CHECKS}) == len(CHECKS)


def test_subscriptions_of_an_account_may_touch(tmp_path: Path) -> None:
    ends = "2026-05-10T00:00:00Z,2026-07-01T00:00:00Z\n"
    after = "s2,o1,pro,1,month,2026-07-01T00:00:00Z,2026-07-01T00:00:00Z,\n"
    assert problems_of(workspace_with(tmp_path, (SUBSCRIPTIONS, "2026-05-10T00:00:00Z,\n", ends + after))) == []


def test_a_told_period_may_touch_closed_ones(tmp_path: Path) -> None:
    around = (
        closed("2026-05-01T00:00:00Z", "2026-06-01T00:00:00Z"),
        closed("2026-06-15T00:00:00Z", "2026-07-01T00:00:00Z"),
    )
    assert problems_of(workspace_with(tmp_path), around) == []


def test_the_first_open_period_needs_a_price_list(tmp_path: Path) -> None:
    """The terms begin in a closed period: the first that they serve still begins where that one ends."""
    root = workspace_with(
        tmp_path,
        (PLANS, "from: 2020-01-01T00:00:00Z", "from: 2026-06-15T00:00:00Z"),
        (BASELINES, "u1,2026-05-01T00:00:00Z,1\n", ""),
    )
    start = "2026-06-01T00:00:00Z"
    assert problems_of(root, (closed("2026-05-01T00:00:00Z", start),)) == [
        f"{SUBSCRIPTIONS} line 3: plan 'free' has no version at {start}, the start of a period it serves;"
        f" add one to plans.yaml with `from: {start}` or earlier."
    ]


def without_a_period(line: int, start: str, account: str, advice: str) -> str:
    return f"{BASELINES} line {line}: period_start is {start}, where no period of account '{account}' begins; {advice}."


NOTHING_NEAR = "write the start of a period that it has, or take the row out"


def test_a_month_that_subscriptions_cover_is_no_period_of_the_default_plan(tmp_path: Path) -> None:
    anchored = "month,2026-04-15T00:00:00Z,2026-0"
    edits = [
        (ACCOUNTS, "Europe/Berlin", "UTC"),
        (SUBSCRIPTIONS, "month,2026-05-01T00:00:00Z,2026-05-01", f"{anchored}4-15"),
        (SUBSCRIPTIONS, "month,2026-05-01T00:00:00Z,2026-0", anchored),
    ]
    advice = "the period that holds it begins at 2026-04-15T00:00:00Z"
    assert problems_of(workspace_with(tmp_path, *edits)) == [without_a_period(2, "2026-05-01T00:00:00Z", "o1", advice)]


def test_an_account_in_another_currency_has_no_period_of_the_default_plan(tmp_path: Path) -> None:
    edits = (PLANS, "priority: 1\n", "priority: 1\n    currency: usd\n"), (BASELINES, "u1,", "e1,")
    assert problems_of(workspace_with(tmp_path, *edits)) == [
        without_a_period(3, "2026-05-01T00:00:00Z", "e1", NOTHING_NEAR)
    ]


def test_a_broken_workspace_file_makes_no_currency_wrong(tmp_path: Path) -> None:
    """u1 has the default currency, which can't be known: one mistake is one sentence."""
    held = (SUBSCRIPTIONS, "s1,o1,free", "s2,u1,pro,1,month,2026-05-01T00:00:00Z,2026-05-01T00:00:00Z,\ns1,o1,free")
    plan = (PLANS, "currency: usd", "currency: eur"), (SUBSCRIPTIONS, "s1,o1,pro", "s1,o1,free")
    right = (WORKSPACE, "currency: usd", "currency: eur")
    assert problems_of(workspace_with(tmp_path, held, *plan, right)) == []
    broken = (WORKSPACE, "currency: usd", "curency: eur")
    assert problems_of(workspace_with(tmp_path, held, *plan, broken)) == [
        f"{WORKSPACE} line 1: curency is not a key that is known here; did you mean 'currency'?"
    ]
