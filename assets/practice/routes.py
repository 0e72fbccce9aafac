"""Every endpoint the practice Stripe has: its path, its parameters as the SDK types them, and those it acts on."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from stripe import params
from stripe.params import billing

from assets.practice import customers, invoices, items, meters, prices
from assets.practice.ask import Ask
from assets.practice.errors import ApiError, not_practised
from assets.practice.shapes import read, shape_of
from assets.practice.store import Json

_ID = r"([^/]+)"


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    path: str  # with {} for ids
    known: type
    acts_on: frozenset[str]
    handle: Callable[[Ask], Json]
    check: Callable[[dict[str, Any]], None] | None
    pattern: re.Pattern[str] = field(repr=False)

    @property
    def name(self) -> str:
        return f"{self.method} {self.path.format('ID')}"

    def read(self, told: dict[str, Any]) -> dict[str, Any]:
        """The parameters in their types. ApiError where they are wrong whatever Stripe holds."""
        typed: dict[str, Any] = read(shape_of(self.known), told)
        for name in typed:
            if name not in self.acts_on:
                raise not_practised(name)
        if self.check:
            self.check(typed)
        return typed


def _route(
    method: str,
    path: str,
    known: type,
    handle: Callable[[Ask], Json],
    acts_on: set[str] | None = None,
    check: Callable[[dict[str, Any]], None] | None = None,
) -> Route:
    pattern = re.compile(re.escape(path).replace(r"\{\}", _ID))
    return Route(method, path, known, frozenset(acts_on or ()), handle, check, pattern)


# fmt: off
ROUTES = (
    _route("GET", "/v1/account", params.AccountRetrieveCurrentParams, customers.account),
    _route("POST", "/v1/customers", params.CustomerCreateParams, customers.create, customers.CREATES),
    _route("GET", "/v1/customers", params.CustomerListParams, customers.list_, customers.LISTS),
    _route("GET", "/v1/customers/{}", params.CustomerRetrieveParams, customers.retrieve),
    _route("POST", "/v1/customers/{}", params.CustomerUpdateParams, customers.update, customers.CREATES),
    _route("DELETE", "/v1/customers/{}", params.CustomerDeleteParams, customers.delete),
    _route("POST", "/v1/invoiceitems", params.InvoiceItemCreateParams, items.create, items.CREATES, items.check),
    _route("GET", "/v1/invoiceitems", params.InvoiceItemListParams, items.list_, items.LISTS),
    _route("GET", "/v1/invoiceitems/{}", params.InvoiceItemRetrieveParams, items.retrieve),
    _route("POST", "/v1/invoiceitems/{}", params.InvoiceItemUpdateParams, items.update, items.UPDATES, items.check),
    _route("DELETE", "/v1/invoiceitems/{}", params.InvoiceItemDeleteParams, items.delete),
    _route("POST", "/v1/invoices", params.InvoiceCreateParams, invoices.create, invoices.CREATES, invoices.check),
    _route("GET", "/v1/invoices", params.InvoiceListParams, invoices.list_, invoices.LISTS),
    _route("GET", "/v1/invoices/{}", params.InvoiceRetrieveParams, invoices.retrieve),
    _route("POST", "/v1/invoices/{}", params.InvoiceUpdateParams, invoices.update, invoices.UPDATES, invoices.check),
    _route("DELETE", "/v1/invoices/{}", params.InvoiceDeleteParams, invoices.delete),
    _route("POST", "/v1/invoices/{}/finalize", params.InvoiceFinalizeInvoiceParams,
           invoices.finalize, invoices.FINALIZES),
    _route("POST", "/v1/invoices/{}/void", params.InvoiceVoidInvoiceParams, invoices.void),
    _route("GET", "/v1/invoices/{}/lines", params.InvoiceLineItemListParams, invoices.lines, invoices.LINE_LISTS),
    _route("POST", "/v1/products", params.ProductCreateParams, prices.create_product, prices.PRODUCT_CREATES),
    _route("GET", "/v1/products", params.ProductListParams, prices.list_products, prices.PRODUCT_LISTS),
    _route("GET", "/v1/products/{}", params.ProductRetrieveParams, prices.retrieve_product),
    _route("POST", "/v1/products/{}", params.ProductUpdateParams, prices.update_product, prices.PRODUCT_UPDATES),
    _route("POST", "/v1/prices", params.PriceCreateParams, prices.create, prices.CREATES, prices.check),
    _route("GET", "/v1/prices", params.PriceListParams, prices.list_, prices.LISTS, prices.check),
    _route("GET", "/v1/prices/{}", params.PriceRetrieveParams, prices.retrieve, prices.RETRIEVES, prices.check),
    _route("POST", "/v1/prices/{}", params.PriceUpdateParams, prices.update, prices.UPDATES, prices.check),
    _route("POST", "/v1/billing/meters", billing.MeterCreateParams, meters.create, meters.CREATES, meters.check_name),
    _route("GET", "/v1/billing/meters", billing.MeterListParams, meters.list_, meters.LISTS),
    _route("GET", "/v1/billing/meters/{}", billing.MeterRetrieveParams, meters.retrieve),
    _route("POST", "/v1/billing/meters/{}", billing.MeterUpdateParams, meters.update, meters.UPDATES),
    _route("POST", "/v1/billing/meters/{}/deactivate", billing.MeterDeactivateParams, meters.deactivate),
    _route("GET", "/v1/billing/meters/{}/event_summaries", billing.MeterEventSummaryListParams,
           meters.summaries, meters.SUMMARY_LISTS),
    _route("POST", "/v1/billing/meter_events", billing.MeterEventCreateParams,
           meters.create_event, meters.EVENT_CREATES, meters.check_name),
    _route("POST", "/v1/billing/meter_event_adjustments", billing.MeterEventAdjustmentCreateParams,
           meters.cancel_event, meters.ADJUSTS),
)
# fmt: on


def route_of(method: str, path: str) -> tuple[Route, tuple[str, ...]]:
    """The endpoint, and the ids in its path."""
    for route in ROUTES:
        if route.method == method and (match := route.pattern.fullmatch(path)):
            return route, match.groups()
    raise ApiError(
        404,
        f"Unrecognized request URL ({method}: {path}). The practice Stripe has only what billing needs.",
        code="url_invalid",
    )
