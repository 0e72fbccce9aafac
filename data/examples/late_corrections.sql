-- What came in after a month was closed, and what did it change?
-- Every adjustment line with the usage that entered its period after the close and before the line. `usages` of state
-- expired came past the late window and change nothing.
SELECT
    lines.line_id,
    lines.account_id,
    lines.period_start::DATE AS period,
    closed_at,
    lines.created_as_of AS adjusted_at,
    lines.charge,
    lines.amount_minor,
    lines.currency,
    count(entered_at) AS usages,
    coalesce(sum(amount), 0) AS usage
FROM invoice_items AS lines
JOIN periods USING (subscription_id, period_start)
LEFT JOIN ledger
    ON ledger.subscription_id = lines.subscription_id AND ledger.period_start = lines.period_start
    AND ledger.state = 'billable' AND entered_at > closed_at AND entered_at <= lines.created_as_of
WHERE reason = 'adjustment'
GROUP BY ALL
ORDER BY adjusted_at, lines.account_id, charge;
