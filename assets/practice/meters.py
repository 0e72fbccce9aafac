"""Meters, the events they count, and what they add up to per customer and window.

An event is taken at once and counted later: one whose customer is unknown is taken too, and only shows among the meter
errors (Stripe sends those as events of type v1.billing.meter.error_report_triggered). Left open by the documentation:
here summaries come newest first, and grouped ones only for windows with events.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from assets.practice.ask import Ask
from assets.practice.errors import ApiError, invalid, missing
from assets.practice.lists import page
from assets.practice.store import Json

CREATES = {
    "customer_mapping",
    "default_aggregation",
    "display_name",
    "event_name",
    "event_time_window",
    "value_settings",
}
UPDATES = {"display_name"}
LISTS = {"ending_before", "limit", "starting_after", "status"}
EVENT_CREATES = {"event_name", "identifier", "payload", "timestamp"}
SUMMARY_LISTS = {
    *("customer", "end_time", "ending_before", "limit", "start_time", "starting_after", "value_grouping_window"),
}
ADJUSTS = {"cancel", "event_name", "type"}
WINDOWS = {"hour": 3600, "day": 86_400}
PAST, FUTURE = 35 * 86_400, 300
CANCELLED_WITHIN = 24 * 3600
_NAME_LENGTH = 100
_DIGITS = 15
_WHOLE = re.compile(r"-?\d+", re.ASCII)


def create(ask: Ask) -> Json:
    told = ask.params
    for row in ask.rows("billing.meter"):
        if row["event_name"] == told["event_name"] and row["status"] == "active":
            raise invalid(f"There is already an active meter ({row['id']}) with this event name.", "event_name")
    return ask.put(
        {
            "id": ask.store.new_id("mtr"),
            "object": "billing.meter",
            "created": ask.now,
            "customer_mapping": told.get(
                "customer_mapping", {"event_payload_key": "stripe_customer_id", "type": "by_id"}
            ),
            "default_aggregation": told["default_aggregation"],
            "display_name": told["display_name"],
            "event_name": told["event_name"],
            "event_time_window": told.get("event_time_window"),
            "livemode": ask.is_live,
            "status": "active",
            "status_transitions": {"deactivated_at": None},
            "updated": ask.now,
            "value_settings": told.get("value_settings", {"event_payload_key": "value"}),
        }
    )


def check_name(told: dict[str, Any]) -> None:
    for name in ("event_name", "identifier"):
        if len(told.get(name, "")) > _NAME_LENGTH:
            raise invalid(f"Invalid string: {name} must be at most {_NAME_LENGTH} characters", name)


def retrieve(ask: Ask) -> Json:
    return ask.find("billing.meter", ask.ids[0])


def update(ask: Ask) -> Json:
    return ask.put({**ask.find("billing.meter", ask.ids[0]), **ask.params, "updated": ask.now})


def list_(ask: Ask) -> Json:
    rows = [row for row in ask.rows("billing.meter") if ask.params.get("status") in (None, row["status"])]
    return page(rows, ask.params, "/v1/billing/meters", "meter")


def deactivate(ask: Ask) -> Json:
    meter = ask.find("billing.meter", ask.ids[0])
    if meter["status"] == "inactive":
        raise invalid(f"The meter {meter['id']} is already inactive.")
    transitions = {"deactivated_at": ask.now}
    return ask.put({**meter, "status": "inactive", "status_transitions": transitions, "updated": ask.now})


def create_event(ask: Ask) -> Json:
    told, payload = ask.params, ask.params["payload"]
    meter = _meter_of(ask, told["event_name"])
    whose, value = meter["customer_mapping"]["event_payload_key"], meter["value_settings"]["event_payload_key"]
    is_counting = meter["default_aggregation"]["formula"] == "count"
    for name in (whose,) if is_counting else (whose, value):
        if name not in payload:
            raise missing(f"payload[{name}]")
    if not is_counting:
        _check_value(payload[value], f"payload[{value}]")
    timestamp = told.get("timestamp", ask.now)
    _check_timestamp(timestamp, ask.now)
    identifier = told.get("identifier") or ask.store.new_id("mtrevt")
    for row in ask.rows("billing.meter_event", identifier=identifier):
        if ask.now - row["created"] < ask.settings.identifier_ttl:
            raise ApiError(
                400,
                f"An event already exists with identifier {identifier}.",
                headers={"Stripe-Should-Retry": "false"},
            )
    event = {
        "object": "billing.meter_event",
        "created": ask.now,
        "event_name": told["event_name"],
        "identifier": identifier,
        "livemode": ask.is_live,
        "payload": payload,
        "timestamp": timestamp,
    }
    customer = ask.store.get(ask.is_live, "customer", payload[whose])
    if customer is None or customer.get("deleted"):
        ask.put(_error("meter_event_customer_not_found", ask, meter, event))
    else:
        kept = {"id": ask.store.new_id("mtrevt"), "customer": customer["id"], "_stream": _stream(meter, customer["id"])}
        ask.put({**event, **kept, "_value": 1 if is_counting else int(payload[value])})
    return event


def _meter_of(ask: Ask, event_name: str) -> Json:
    meters = [row for row in ask.rows("billing.meter") if row["event_name"] == event_name]
    for meter in meters:
        if meter["status"] == "active":
            return meter
    if meters:
        raise invalid(f"The meter for event name {event_name} is inactive.", "event_name", "archived_meter")
    raise invalid(f"No active meter found for event name {event_name}.", "event_name", "no_meter")


def _check_value(value: str, param: str) -> None:
    if _WHOLE.fullmatch(value) is None:
        raise invalid(
            f"Invalid value: {value}. Meter event values are whole numbers.", param, "meter_event_invalid_value"
        )
    if len(value.lstrip("-0")) > _DIGITS:
        raise invalid(
            f"Invalid value: {value} has more than {_DIGITS} significant digits.",
            param,
            "meter_event_value_too_many_digits",
        )


def _check_timestamp(timestamp: int, now: int) -> None:
    if timestamp < now - PAST:
        raise invalid("The timestamp is more than 35 days in the past.", "timestamp", "timestamp_too_far_in_past")
    if timestamp > now + FUTURE:
        raise invalid("The timestamp is more than 5 minutes in the future.", "timestamp", "timestamp_in_future")


def _error(code: str, ask: Ask, meter: Json, event: Json) -> Json:
    return {
        "id": ask.store.new_id("mtrerr"),
        "object": "practice.meter_error",
        "code": code,
        "created": ask.now,
        "meter": meter["id"],
        "identifier": event["identifier"],
        "event": event,
    }


def _stream(meter: Json, customer: str) -> str:
    return f"{meter['id']} {customer}"


def cancel_event(ask: Ask) -> Json:
    """Within a day of the event, by its identifier."""
    told = ask.params
    identifier = told.get("cancel", {}).get("identifier")
    if identifier is None:
        raise missing("cancel[identifier]")
    for row in ask.rows("billing.meter_event", identifier=identifier):
        if row["event_name"] == told["event_name"] and ask.now - row["created"] <= CANCELLED_WITHIN:
            ask.put({**row, "_is_cancelled": True})
            return {
                "object": "billing.meter_event_adjustment",
                "cancel": {"identifier": identifier},
                "event_name": told["event_name"],
                "livemode": ask.is_live,
                "status": "pending",
                "type": "cancel",
            }
    raise invalid(f"No event of the last 24 hours has the identifier {identifier}.", "cancel[identifier]")


def summaries(ask: Ask) -> Json:
    told, start, end = ask.params, ask.params["start_time"], ask.params["end_time"]
    meter = ask.find("billing.meter", ask.ids[0])
    customer = ask.find("customer", told["customer"], "customer")
    window = told.get("value_grouping_window")
    step = WINDOWS.get(window or "", 60)
    for name in ("start_time", "end_time"):
        if told[name] % step:
            raise invalid(f"{name} must be aligned with {window or 'minute'} boundaries.", name)
    if end <= start:
        raise invalid("end_time must be after start_time.", "end_time")
    events = [event for event in _counted(ask, meter, customer["id"]) if start <= event["timestamp"] < end]
    starts = sorted({_floor(event["timestamp"], step) for event in events}, reverse=True) if window else [start]
    length = step if window else end - start
    rows = [
        {
            "id": f"mtrusg_{meter['id'].removeprefix('mtr_')}{customer['id'].removeprefix('cus_')}{at}{length}",
            "object": "billing.meter_event_summary",
            "aggregated_value": _aggregate(meter, (it for it in events if at <= it["timestamp"] < at + length)),
            "end_time": at + length,
            "livemode": ask.is_live,
            "meter": meter["id"],
            "start_time": at,
        }
        for at in starts
    ]
    return page(rows, told, f"/v1/billing/meters/{meter['id']}/event_summaries", "meter event summary")


def _counted(ask: Ask, meter: Json, customer: str) -> list[Json]:
    """Oldest first, without what is still on its way; in a meter of windows the newest of each alone."""
    events = [
        row
        for row in ask.store.all(ask.is_live, "billing.meter_event", _stream=_stream(meter, customer))
        if row["created"] + ask.settings.meter_lag <= ask.now and not row.get("_is_cancelled")
    ]
    if meter["event_time_window"]:
        step = WINDOWS[meter["event_time_window"]]
        events = list({_floor(event["timestamp"], step): event for event in events}.values())
    return events


def _aggregate(meter: Json, events: Iterable[Json]) -> int:
    if meter["default_aggregation"]["formula"] == "last":
        newest = max(events, key=lambda event: event["timestamp"], default=None)
        return newest["_value"] if newest else 0
    return sum(event["_value"] for event in events)


def _floor(timestamp: int, step: int) -> int:
    return timestamp - timestamp % step
