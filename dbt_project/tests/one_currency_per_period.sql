-- All that belongs to a period in scope - its slices, charges, lines of before and of tonight - is in one currency:
-- an account that has lines in an open period keeps its currency in accounts.csv until that period has closed.
{{ config(meta={'dagster': {'ref': {'name': 'int_charges__owed'}}}) }}

with named as (
    select subscription_id, period_start, currency from {{ ref('int_charges__owed') }}
    union all
    select subscription_id, period_start, currency from {{ ref('int_periods__scope') }}
    union all
    select subscription_id, period_start, currency from {{ ref('int_lines__new') }}
    union all
    select lines.subscription_id, lines.period_start, lines.currency
    from {{ source('books', 'lines') }} as lines
    semi join {{ source('catalog', 'settings') }} as settings on lines.book = settings.book
    semi join {{ ref('int_periods__scope') }} as scope
        on lines.subscription_id = scope.subscription_id and lines.period_start = scope.period_start
)

select subscription_id, period_start, min(currency) as currency, max(currency) as other_currency
from named
group by subscription_id, period_start
having min(currency) <> max(currency) or count(*) <> count(currency)
