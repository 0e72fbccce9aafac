-- What is left of each language model's usage after paying its provider?
-- Priced tokens by model, beside what the provider takes for a million of them. Write what you pay into `paid`. `usage` is
-- at list price, before refresh and included: what customers get for free is not deducted here (refresh_given_away is).
WITH paid(model, meter, per_million) AS (
    VALUES
        ('orchid-large', 'input_tokens', 1.80), ('orchid-large', 'output_tokens', 7.00),
        ('orchid-small', 'input_tokens', 0.40), ('orchid-small', 'output_tokens', 1.60),
        ('finch-mini', 'input_tokens', 0.15), ('finch-mini', 'output_tokens', 0.60),
        ('embed-large', 'input_tokens', 0.10)
),

used AS (
    SELECT context ->> '$.model' AS model, meter, currency, sum(quantity) AS tokens, sum(amount) AS usage
    FROM ledger
    WHERE source = 'llm_gateway' AND state = 'billable' AND currency = 'USD'
    GROUP BY ALL
)

SELECT
    model,
    currency,
    sum(tokens)::BIGINT AS tokens,
    sum(usage) AS usage,
    sum(tokens * per_million) * 0.000001 AS cost,
    sum(usage) - sum(tokens * per_million) * 0.000001 AS margin
FROM used JOIN paid USING (model, meter)
GROUP BY ALL
ORDER BY margin DESC;
