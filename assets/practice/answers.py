"""Answers, and the words of those that stand for trouble on Stripe's side."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from assets.practice.errors import ApiError
from assets.practice.faults import Fault
from assets.practice.store import Json


@dataclass(slots=True)
class Answer:
    """What goes back; `how` says whether anything does."""

    status: int = 200
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    how: str = "sent"  # or reset, or closed without a word


def public(body: Json) -> Json:
    """Without what only we note of an object."""
    shown = {name: value for name, value in body.items() if not name.startswith("_")}
    if shown.get("object") == "list":
        shown["data"] = [public(row) for row in shown["data"]]
    return shown


def written(body: Json) -> str:
    return json.dumps(body, indent=2)


def failed(fault: Fault) -> Answer:
    if fault.kind == "lock_timeout":
        error = lock_timeout(fault.saved)
    elif fault.kind == "refuse":
        error = ApiError(fault.status or 400, fault.message, code=fault.code)
    else:
        headers = {"Stripe-Should-Retry": "false"} if fault.saved else {}
        error = ApiError(fault.status or 500, "An unknown error occurred.", kind="api_error", headers=headers)
    return Answer(error.status, written(error.body), dict(error.headers))


def lock_timeout(is_saved: bool) -> ApiError:
    return ApiError(
        429,
        "Another request is at work on this object; try again in a moment.",
        code="lock_timeout",
        headers={} if is_saved else {"Stripe-Should-Retry": "true"},
    )


def in_use() -> ApiError:
    return ApiError(
        409,
        "Another request with this idempotency key is still at work; try again in a moment.",
        code="idempotency_key_in_use",
        kind="idempotency_error",
    )


def reused(key: str | None, why: str) -> ApiError:
    return ApiError(400, f"The idempotency key '{key}' was first used {why}.", kind="idempotency_error")


def gateway(status: int) -> Answer:
    """Not Stripe's application but something in front of it: a page, no JSON."""
    return Answer(status, f"<html><body><h1>{status}</h1></body></html>", {"Content-Type": "text/html"})
