"""All that was read, before it is known to hold together, and what its checks share."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import pairwise

from assets.core.catalogue.models import Account, ClosedPeriod, Plan, Settings
from assets.core.catalogue.problems import sentence, shown, suggestion
from assets.core.catalogue.read_accounts import AccountFiles
from assets.core.catalogue.subscriptions import (
    Subscription,
    as_subscription,
    group_terms,
    quarrels,
    spans_by_subscription,
)
from assets.core.periods import Span


@dataclass(frozen=True, slots=True)
class Draft:
    settings: Settings
    is_settled: bool  # False: workspace.yaml has mistakes, so the defaults are not known
    plans: dict[str, Plan] | None  # None: the file could not be read, so no plan can be called unknown
    plans_file: str
    rows: AccountFiles
    accounts: dict[str, Account]
    subscriptions: dict[str, Subscription]  # those whose own terms hold together
    by_account: dict[str, list[Subscription]]  # of these, in order of time
    doubtful_accounts: set[str]  # with a subscription that does not, so that none of its periods can be missed
    told: dict[str, list[Span]]
    closed: dict[str, list[Span]]

    @classmethod
    def of(
        cls,
        settings: Settings,
        is_settled: bool,
        plans: dict[str, Plan] | None,
        plans_file: str,
        rows: AccountFiles,
        closed: Collection[ClosedPeriod],
    ) -> Draft:
        subscriptions: dict[str, Subscription] = {}
        by_account: dict[str, list[Subscription]] = {}
        doubtful: set[str] = set()
        for subscription_id, terms in group_terms(rows.terms).items():
            if subscription_id in rows.broken_subscriptions or any(
                True for one, other in pairwise(terms) for _ in quarrels(one, other)
            ):
                doubtful.update(row.account_id for row in terms)
                continue
            subscription = subscriptions[subscription_id] = as_subscription(terms)
            by_account.setdefault(subscription.account_id, []).append(subscription)
        for owned in by_account.values():
            if len(owned) > 1:
                owned.sort(key=lambda subscription: (subscription.starts_at, subscription.terms[0].line))
        return cls(
            settings,
            is_settled,
            plans,
            plans_file,
            rows,
            {account.account_id: account for account in reversed(rows.accounts)},
            subscriptions,
            by_account,
            doubtful,
            spans_by_subscription(rows.told_periods),
            spans_by_subscription(closed),
        )

    def plan(self, name: str | None) -> Plan | None:
        return None if self.plans is None or name is None else self.plans.get(name)

    def has_currency(self, account: Account | None, currency: str | None) -> bool:
        """False where the account surely has another."""
        return account is None or not self.is_settled or currency in (None, account.currency)

    def unknown_account(self, place: str, column: str, account_id: str) -> Iterator[str]:
        known = self.rows.account_ids
        if known is not None and account_id not in known:
            wrong = f"{column} is {shown(account_id)}, which accounts.csv does not list"
            yield sentence(place, wrong, did_you_mean(account_id, known, "add the account"))


def did_you_mean(wrong: str, known: Collection[str], otherwise: str) -> str:
    # Nearness costs a walk over all names, and among thousands of exported ids it is no help to a person.
    return suggestion(wrong, known, otherwise) if len(known) <= 1000 else otherwise


def at_line(file: str, line: int) -> str:
    return f"{file} line {line}:"
