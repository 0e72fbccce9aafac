-- Whose usage changed most in the last week?
-- The seven days before the last night against the seven before those, in usage money, the largest change first.
WITH night AS (
    SELECT max(as_of) AS as_of FROM runs
),

weeks AS (
    SELECT
        account_id,
        ledger.currency,
        coalesce(sum(amount) FILTER (WHERE occurred_at < as_of - INTERVAL 7 DAY), 0) AS week_before,
        coalesce(sum(amount) FILTER (WHERE occurred_at >= as_of - INTERVAL 7 DAY), 0) AS last_week
    FROM ledger, night
    WHERE state = 'billable' AND occurred_at >= as_of - INTERVAL 14 DAY AND occurred_at < as_of
    GROUP BY ALL
)

SELECT account_id, currency, week_before, last_week, last_week - week_before AS change
FROM weeks
ORDER BY abs(change) DESC, account_id;
