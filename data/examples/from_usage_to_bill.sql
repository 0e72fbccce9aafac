-- How does a customer's usage become their bill?
-- The bridge for every period with anything in it: baseline and usage, less refresh, less included, is overage; with
-- metered charges and a minimum it is owed. `billed_minor` has all lines so far, adjustments too; credits are beside it.
WITH lines AS (
    SELECT
        subscription_id,
        period_start,
        coalesce(sum(amount_minor) FILTER (WHERE charge NOT LIKE 'credit:%'), 0) AS billed_minor,
        coalesce(sum(amount_minor) FILTER (WHERE charge LIKE 'credit:%'), 0) AS credit_minor
    FROM invoice_items
    GROUP BY ALL
)

SELECT
    account_id,
    period_start::DATE AS period,
    state,
    currency,
    baseline,
    usage,
    refresh,
    included,
    overage,
    metered,
    minimum,
    owed,
    coalesce(lines.billed_minor, 0)::BIGINT AS billed_minor,
    coalesce(credit_minor, 0)::BIGINT AS credit_minor
FROM periods LEFT JOIN lines USING (subscription_id, period_start)
WHERE owed <> 0 OR usage <> 0 OR baseline <> 0
ORDER BY currency, account_id, period_start;
