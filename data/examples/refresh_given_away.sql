-- How much usage does the daily refresh give away, and how much of what is offered is taken?
-- By plan and calendar month of the windows. `allowance` was on offer, `refresh` was taken, `full_days` are windows that
-- took all of it: a plan with many of them has customers who would use more.
SELECT
    plan,
    date_trunc('month', window_start)::DATE AS month,
    currency,
    count(*) AS windows,
    count(*) FILTER (WHERE daily_refresh.refresh = allowance AND allowance > 0) AS full_days,
    sum(allowance) AS allowance,
    sum(daily_refresh.refresh) AS refresh
FROM daily_refresh JOIN periods USING (subscription_id, period_start)
GROUP BY ALL
ORDER BY ALL;
