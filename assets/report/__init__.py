"""Reports: what a night, a month or an account's period came to, as pages that can be read, printed and sent.

They are written once the night is published, from what is published and nothing else, so they say what any reader can
check. Written again from the same tables they are the same to the last byte.
"""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

from assets.core.instants import format_instant
from assets.core.refusal import Refusal
from assets.report import account, forms, index, month, night, page, published
from assets.rerate import Models


def folder(workspace: Path) -> Path:
    return workspace / "published" / "reports"


def page_of(workspace: Path, as_of: datetime) -> Path:
    """Where the page of a night is."""
    return folder(workspace) / forms.night_file(as_of)


def write(workspace: Path) -> list[Path]:
    """What a night writes: its own page, those of the months it touched, and the index.

    A night that was killed before its page was written gets it from the next one that ends.
    """
    place = folder(workspace)
    with published.opened(workspace) as con:
        *before, last = published.nights(con)
        nights = [it for it in before if not (place / forms.night_file(it)).exists()]
        touched = published.closed_months(con, last)
        months = [
            it for it in published.closed_months(con) if it in touched or not (place / forms.month_file(it)).exists()
        ]
        written = [page.write(place / forms.night_file(it), night.report(con, it)) for it in [*nights, last]]
        written += [page.write(place / forms.month_file(it), month.report(con, it)) for it in months]
        written.append(page.write(place / index.FILE, index.report(con, place)))
    return written


def write_night(workspace: Path, as_of: datetime | None = None) -> Path:
    """The page of a night: the last one's is written again; an earlier one's stands as its night wrote it."""
    place = folder(workspace)
    with published.opened(workspace) as con:
        found = published.nights(con)
        wanted = as_of or found[-1]
        if wanted not in found:
            raise Refusal(
                f"No night of {format_instant(wanted)} is in the books of {workspace}; the last is "
                f"{format_instant(found[-1])}, and billing.runs has all."
            )
        file = place / forms.night_file(wanted)
        if wanted == found[-1] or not file.exists():
            page.write(file, night.report(con, wanted))
    return file


def write_month(workspace: Path, wanted: date) -> Path:
    """The page of a closed month."""
    with published.opened(workspace) as con:
        if wanted not in published.closed_months(con):
            raise Refusal(_not_closed(con, workspace, wanted))
        return page.write(folder(workspace) / forms.month_file(wanted), month.report(con, wanted))


def _not_closed(con: published.Connection, workspace: Path, wanted: date) -> str:
    months = [f"{each:%Y-%m}" for each in published.closed_months(con)]
    known = f"closed are {', '.join(months[-12:])}" if months else "no month is closed yet"
    still = published.one(con, "SELECT count(*) AS periods FROM dated WHERE month = ? AND state = 'open'", [wanted])[
        "periods"
    ]
    why = f"{still} of its periods still open" if still else "nothing to report"
    return f"{wanted:%Y-%m} has {why} in {workspace}; {known}."


def write_account(
    workspace: Path, account_id: str, period: str | None, models: Models, out: Path | None = None
) -> Path:
    """The page of an account's period, where it is asked for or among the other reports."""
    with published.opened(workspace) as con:
        wanted = account.find(con, account_id, period)
        file = out or folder(workspace) / account.file_name(wanted)
        return page.write(file, account.report(con, workspace, wanted, models))
