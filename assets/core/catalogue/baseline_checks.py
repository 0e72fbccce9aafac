"""A baseline names the start of a period that exists, once (SPEC section 5)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from assets.core.catalogue.draft import Draft, at_line
from assets.core.catalogue.models import Account
from assets.core.catalogue.problems import sentence, shown
from assets.core.catalogue.read_accounts import BASELINES
from assets.core.catalogue.subscriptions import periods_of
from assets.core.instants import format_instant
from assets.core.periods import BEGINNING, END, calendar_month, union, without, zone_of

_TICK = timedelta(microseconds=1)


def baselines_are_told_once(draft: Draft) -> Iterator[str]:
    first: dict[tuple[str, datetime], int] = {}
    for row in draft.rows.baselines:
        line = first.setdefault((row.account_id, row.period_start), row.line)
        if line != row.line:
            wrong = f"the period of account {shown(row.account_id)} has a baseline on line {line} already"
            yield sentence(at_line(BASELINES, row.line), wrong, "keep one of them")


def baselines_name_a_period(draft: Draft) -> Iterator[str]:
    for row in draft.rows.baselines:
        place = at_line(BASELINES, row.line)
        account = draft.accounts.get(row.account_id)
        if account is None:
            yield from draft.unknown_account(place, "account_id", row.account_id)
        elif not _is_doubtful(draft, row.account_id) and not _begins_a_period(draft, row.period_start, account):
            start = format_instant(row.period_start)
            wrong = f"period_start is {start}, where no period of account {shown(row.account_id)} begins"
            yield sentence(place, wrong, _nearest_start(draft, row.period_start, account))


def _is_doubtful(draft: Draft, account_id: str) -> bool:
    """Whether rows with mistakes may hide a period of the account: then none can be called missing."""
    rows = draft.rows
    return (
        not draft.is_settled
        or rows.subscription_ids is None
        or bool(rows.broken_subscriptions)
        or account_id in draft.doubtful_accounts
        or draft.plans is None
    )


def _begins_a_period(draft: Draft, start: datetime, account: Account) -> bool:
    since = max(start, BEGINNING + _TICK) - _TICK
    for subscription in draft.by_account.get(account.account_id, ()):
        closed = draft.closed.get(subscription.subscription_id, ())
        found = periods_of(subscription, account.timezone, draft.told, draft.closed, start, since)
        if any(begin == start for begin, _ in [*closed, *found]):
            return True
    of_default_plan = draft.closed.get(f"default:{account.account_id}", ())
    return any(begin == start for begin, _ in of_default_plan) or _begins_a_month(draft, start, account)


def _begins_a_month(draft: Draft, start: datetime, account: Account) -> bool:
    """Whether the default plan could serve the account from then on: it does where no subscription covers."""
    plan = draft.plan(draft.settings.default_plan)
    if plan is None or plan.currency not in (None, account.currency):
        return False
    month = calendar_month(start, zone_of(account.timezone))
    lives = [(life.starts_at, life.ends_at or END) for life in draft.by_account.get(account.account_id, ())]
    is_priced = not plan.versions or plan.versions[0].version_from <= start
    return month[0] == start and is_priced and bool(without(month, union(lives)))


def _nearest_start(draft: Draft, start: datetime, account: Account) -> str:
    for subscription in draft.by_account.get(account.account_id, ()):
        for begin, end in periods_of(subscription, account.timezone, draft.told, draft.closed, start):
            if begin < start < end:
                return f"the period that holds it begins at {format_instant(begin)}"
    month = calendar_month(start, zone_of(account.timezone))[0]
    if _begins_a_month(draft, month, account):
        return f"the default plan's month that holds it begins at {format_instant(month)}"
    return "write the start of a period that it has, or take the row out"
