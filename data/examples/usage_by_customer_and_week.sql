-- What did each customer use, week by week?
-- Pooled usage money of every account, by the week (from Monday, UTC) it occurred in. `rows` are usages of any meter;
-- `usage` counts only what has money of its own, before refresh and included. Rows that owe nothing are left out.
SELECT
    account_id,
    date_trunc('week', occurred_at)::DATE AS week,
    currency,
    count(*) AS rows,
    count(DISTINCT actor) AS actors,
    coalesce(sum(amount), 0) AS usage
FROM ledger
WHERE state = 'billable'
GROUP BY ALL
ORDER BY account_id, week;
