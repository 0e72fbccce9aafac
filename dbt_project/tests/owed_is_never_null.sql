-- Every period in scope owes an overage and every charge an amount, be it zero: nothing is lost on the way to the lines
-- because a join found no price, currency or level.
{{ config(meta={'dagster': {'ref': {'name': 'int_charges__owed'}}}) }}

with charges as (
    select * from {{ ref('int_charges__owed') }}
),

due as (
    select subscription_id, period_start, 'overage' as charge
    from {{ ref('int_periods__scope') }}
    union
    select subscription_id, period_start, 'metered:' || plan || ':' || meter as charge
    from {{ ref('int_usage__metered') }}
    union
    select subscription_id, period_start, 'minimum' as charge
    from {{ ref('int_periods__figures') }}
    where minimum > 0 and (is_closed or is_closing)
)

select subscription_id, period_start, charge, charges.quantity, charges.owed, charges.owed_minor
from due
full join charges using (subscription_id, period_start, charge)
where charges.owed is null or charges.owed_minor is null or charges.currency is null
