"""Why a row is held (SPEC section 2)."""

from __future__ import annotations

# In the order in which they apply; dbt_project/macros/reasons.sql ranks them likewise.
REASONS = (
    "malformed",
    "missing_field",
    "bad_timestamp",
    "bad_number",
    "precision",
    "future",
    "unknown_meter",
    "unknown_account",
    "no_payer",
    "key_conflict",
)
# Those that may pass: rows held for one of them are read again every night.
RETRIED = ("future", "unknown_meter", "unknown_account", "no_payer")
