"""A published file of many accounts, made in SQL over the real tables: what reports make of a long list."""

from __future__ import annotations

from pathlib import Path

import duckdb

from assets import publish

NIGHT = "2026-06-01 01:00:00+00"


def many_accounts(workspace: Path, like: Path, accounts: int) -> None:
    """Accounts with a closed May each: every tenth pays in EUR; the i-th used i cents and owes one unit more."""
    (workspace / "published").mkdir(parents=True)
    with duckdb.connect(str(workspace / "published" / "tallyhouse.duckdb")) as con:
        con.execute("SET TimeZone = 'UTC'")
        con.execute(f"ATTACH '{like / 'published' / 'tallyhouse.duckdb'}' AS shape (READ_ONLY)")
        con.execute("CREATE SCHEMA billing; USE billing")
        for table in publish.TABLES:
            con.execute(f"CREATE TABLE {table} AS FROM shape.billing.{table} LIMIT 0")
        con.execute(f"""
            INSERT INTO runs VALUES ('night', '{NIGHT}', 'done', '{{}}');
            INSERT INTO meters FROM shape.billing.meters;
            INSERT INTO accounts
            SELECT 'acc_' || i, 'user', 'Company ' || i, if(i % 10 = 0, 'EUR', 'USD'), 'UTC', NULL
            FROM range(1, {accounts} + 1) AS t (i);
            INSERT INTO periods BY NAME
            SELECT account_id, 'sub_' || account_id AS subscription_id, 'pro' AS plan,
                   '2026-05-01 00:00:00+00'::TIMESTAMPTZ AS period_start,
                   '2026-06-01 00:00:00+00'::TIMESTAMPTZ AS period_end,
                   'closed' AS state, currency, 0 AS baseline, split_part(account_id, '_', 2)::INT / 100 AS usage,
                   0 AS refresh, usage AS effective, 0 AS included, usage AS overage, 1 AS metered, 0 AS minimum,
                   usage + 1 AS owed, split_part(account_id, '_', 2)::INT + 100 AS billed_minor,
                   '{NIGHT}'::TIMESTAMPTZ AS closed_at
            FROM accounts;
            INSERT INTO invoice_items BY NAME
            SELECT 'line_' || account_id AS line_id, account_id, subscription_id, period_start, period_end,
                   'overage' AS charge, 'close' AS reason, billed_minor AS amount_minor, currency, '' AS description,
                   closed_at AS created_as_of, 'shadow' AS state
            FROM periods;
            INSERT INTO ledger BY NAME
            SELECT 'key_' || account_id AS event_key, 'log' AS source, account_id, subscription_id, period_start,
                   period_end, '2026-05-14 12:00:00+00'::TIMESTAMPTZ AS occurred_at, closed_at AS landed_at,
                   closed_at AS entered_at, 'agent_cost' AS meter, usage AS amount, currency, 'billable' AS state,
                   false AS counted_in_baseline, 'log.csv' AS raw_file, 1 AS raw_line, plan
            FROM periods""")
