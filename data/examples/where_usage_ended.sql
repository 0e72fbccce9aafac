-- Is anything lost between the logs and the bill?
-- All that was ever received, by meter: how many usages were billed, are free, wait in quarantine, came twice, lie before
-- bill_from or came too late. `difference` is 0, or the night would not have been published.
SELECT
    meter,
    sum(received)::BIGINT AS received,
    sum(billed)::BIGINT AS billed,
    sum(free)::BIGINT AS free,
    sum(held)::BIGINT AS held,
    sum(duplicate)::BIGINT AS duplicate,
    sum(ignored)::BIGINT AS ignored,
    sum(pre_cutover)::BIGINT AS pre_cutover,
    sum(expired)::BIGINT AS expired,
    sum(difference)::BIGINT AS difference
FROM leak_ledger
WHERE measure = 'usages'
GROUP BY meter
ORDER BY meter NULLS LAST;
