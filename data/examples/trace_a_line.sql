-- Which raw rows stand behind a line?
-- Put any line_id of invoice_items in place of the newest overage line. Each row names its file and line below raw/; for a
-- metered charge add `AND meter = ...`. `tallyhouse explain LINE_ID` shows the arithmetic between these rows and the line.
WITH line AS (
    SELECT * FROM invoice_items
    WHERE line_id = (
        SELECT line_id FROM invoice_items WHERE charge = 'overage' ORDER BY created_as_of DESC, line_id LIMIT 1)
)

SELECT raw_file, raw_line, occurred_at, actor, meter, quantity, amount, counted_in_baseline
FROM ledger SEMI JOIN line
    ON ledger.subscription_id = line.subscription_id AND ledger.period_start = line.period_start
    AND ledger.entered_at <= line.created_as_of
WHERE amount IS NOT NULL AND state = 'billable'
ORDER BY occurred_at, raw_file, raw_line, meter;
