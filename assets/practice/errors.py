"""What Stripe says when it refuses: a status, and a body that names type, code and parameter."""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """An answer that is not 200. `headers` go out with it."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        kind: str = "invalid_request_error",
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        self.body: dict[str, Any] = {"error": {"message": message, "type": kind}}
        if code:
            self.body["error"]["code"] = code
            self.body["error"]["doc_url"] = f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}"
        if param:
            self.body["error"]["param"] = param


def invalid(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    return ApiError(400, message, code=code, param=param)


def missing(param: str) -> ApiError:
    return invalid(f"Missing required param: {param}.", param, "parameter_missing")


def unknown(param: str) -> ApiError:
    return invalid(f"Received unknown parameter: {param}", param, "parameter_unknown")


def not_practised(param: str) -> ApiError:
    """Stripe knows it and this counterpart does not: better refused than quietly ignored."""
    return invalid(f"The practice Stripe does not know what {param} does.", param, "practice_unsupported")


def no_such(noun: str, id: str, param: str | None, is_live: bool, exists_in_other_mode: bool) -> ApiError:
    """404 where the id stands in the path (no param), 400 where it is a parameter."""
    message = f"No such {noun}: '{id}'"
    if exists_in_other_mode:
        there, here = ("test", "live") if is_live else ("live", "test")
        message += f"; a similar object exists in {there} mode, but a {here} mode key was used to make this request."
    return ApiError(400 if param else 404, message, code="resource_missing", param=param or "id")
