-- How much revenue is recognised on each day?
-- The billed amount of every charge is laid over the days of its period: overage by what each day used beyond its refresh,
-- everything else evenly (overage too, where all of it was counted before the logs begin). Shares are cut so that they add up to the lines exactly, to the last cent. Credits stay outside.
WITH billed AS (
    SELECT subscription_id, period_start, charge, currency, sum(amount_minor)::HUGEINT AS billed_minor
    FROM invoice_items
    WHERE charge NOT LIKE 'credit:%'
    GROUP BY ALL
    HAVING sum(amount_minor) <> 0
),

-- Net usage in millionths, so that weights are whole.
weighed AS (
    SELECT
        billed.*,
        window_start::DATE AS day,
        if(charge = 'overage', (greatest(usage - refresh, 0) * 1000000)::HUGEINT, 1) AS weight
    FROM billed JOIN daily_refresh USING (subscription_id, period_start)
),

evened AS (
    SELECT * REPLACE (if(max(weight) OVER (PARTITION BY subscription_id, period_start, charge) = 0, 1, weight) AS weight)
    FROM weighed
),

shared AS (
    SELECT
        *,
        sum(weight) OVER (PARTITION BY subscription_id, period_start, charge ORDER BY day)::HUGEINT AS so_far,
        sum(weight) OVER (PARTITION BY subscription_id, period_start, charge)::HUGEINT AS whole
    FROM evened
)

SELECT
    day,
    currency,
    sum(billed_minor * so_far // whole - billed_minor * (so_far - weight) // whole)::BIGINT AS recognised_minor
FROM shared
GROUP BY ALL
ORDER BY ALL;
