"""Reports: what a night, a month or an account's period came to, as pages that can be read, printed and sent.

They are written once the night is published, from what is published and nothing else, so they say what any reader can
check. Written again from the same tables they are the same to the last byte.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from assets.report import night, page, published


def folder(workspace: Path) -> Path:
    return workspace / "published" / "reports"


def write_night(workspace: Path, as_of: datetime) -> Path:
    with published.opened(workspace) as con:
        return page.write(folder(workspace) / night.file_name(as_of), night.report(con, as_of))
