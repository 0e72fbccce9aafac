-- What is held back, why, for how long, and how much money could be in it?
-- Rows in quarantine by reason and source. Cost and quantity are summed where they could be read; a quantity gets its money
-- only once the row lands. The last column is one of the rows, to see what to mend.
SELECT
    reason,
    source,
    count(*) AS rows,
    coalesce(sum(cost), 0) AS cost,
    coalesce(sum(quantity) FILTER (WHERE cost IS NULL), 0) AS quantity,
    min(first_seen) AS since,
    date_diff('day', min(first_seen), (SELECT max(as_of) FROM runs)) AS days,
    min(raw_file || ':' || raw_line || '  ' || coalesce(detail, '')) AS for_example
FROM quarantine
GROUP BY ALL
ORDER BY cost DESC, rows DESC, reason, source;
