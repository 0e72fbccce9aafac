-- Which accounts will soon be charged in the middle of their period?
-- Open periods whose plan has a threshold, nearest first. `unbilled` is overage not billed yet; once it reaches `threshold`
-- the next night bills it. `share` is how much of the way is done, in percent.
SELECT
    account_id,
    subscription_id,
    period_end,
    currency,
    overage - billed.billed AS unbilled,
    threshold,
    threshold - (overage - billed.billed) AS to_threshold,
    floor(100 * (overage - billed.billed) / threshold)::INT AS share
FROM periods,
    LATERAL (
        -- Cents to units: all currencies here but the yen have two decimals.
        SELECT coalesce(sum(billed_minor), 0) * if(currency = 'JPY', 1, 0.01) AS billed
        FROM charges
        WHERE (charges.subscription_id, charges.period_start) = (periods.subscription_id, periods.period_start)
          AND charge = 'overage'
    ) AS billed
WHERE state = 'open' AND threshold IS NOT NULL
ORDER BY share DESC, account_id;
