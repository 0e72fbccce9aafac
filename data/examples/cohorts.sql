-- Do customers stay, and do they use more with time?
-- Accounts by the month of their first usage, followed through the months after it: how many were active, and their usage
-- money together. Month 0 is the first; a cohort's share of month 0 that is still there is its retention.
WITH first_seen AS (
    SELECT account_id, min(date_trunc('month', occurred_at)) AS cohort
    FROM ledger
    GROUP BY account_id
)

SELECT
    cohort::DATE AS cohort,
    date_diff('month', cohort, date_trunc('month', occurred_at)) AS month,
    currency,
    count(DISTINCT account_id) AS accounts,
    coalesce(sum(amount) FILTER (WHERE state = 'billable'), 0) AS usage
FROM ledger JOIN first_seen USING (account_id)
GROUP BY ALL
ORDER BY ALL;
