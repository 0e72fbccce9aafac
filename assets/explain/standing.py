"""A whole period as it stands: every charge of it with its arithmetic, lines or no lines, late usage included."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

from assets import warehouse
from assets.core.refusal import Refusal
from assets.explain import KEEP, Alarm, facts_of
from assets.explain.line import Line
from assets.explain.metered import Metered
from assets.explain.other import Minimum, Vanished
from assets.explain.overage import Overage
from assets.explain.reckoning import go_back, stay
from assets.rerate import Models

Charges: TypeAlias = dict[str, Overage | Metered | Minimum | Vanished]


def period_of(
    account_id: str, subscription_id: str, start: datetime, end: datetime, currency: str, as_of: datetime
) -> Line:
    """A period where a line is asked for: a charge of it, as of a night. Instants are UTC without a zone."""
    return Line(
        line_id="", book="", account_id=account_id, subscription_id=subscription_id, period_start=start, period_end=end,
        charge="overage", reason="close", amount_minor=0, currency=currency, quantity=None, owed=None, grant_id=None,
        created_as_of=as_of, state="",
    )  # fmt: skip


def standing(workspace: Path, models: Models, period: Line, is_open: bool) -> Charges:
    """By charge what the ledger gives, as of the last night; raises the alarm where the parts do not add up."""
    with warehouse.beside(workspace) as con:
        found = con.execute("SELECT as_of, book FROM warehouse.catalog.settings").fetchone()
        assert found is not None
        as_of, book = found
        if is_open and as_of != period.created_as_of:
            raise Refusal(f"A night has begun in {workspace} since and has not come to its end; run it again first.")
        period = replace(period, book=book)
        (stay if is_open else go_back)(con, models, period)
        charges = con.execute(
            "SELECT charge FROM night.int_charges__owed ORDER BY charge <> 'overage', charge = 'minimum', charge"
        ).fetchall()
        stands = {charge: facts_of(con, replace(period, charge=charge)) for (charge,) in charges}
    wrong = [f"{charge}: {why}" for charge, facts in stands.items() for why in facts.disagreements()]
    if wrong:
        raise Alarm(f"The books do not give {period.subscription_id}: {'; '.join(wrong)}. {KEEP}")
    return stands
