-- The law of billing: what was billed for a charge before and tonight is what it owes, rounded once. The rounding is
-- reckoned here in another way than where it bills: the nearest step, and of two equally near ones the one away from zero.
{{ config(meta={'dagster': {'ref': {'name': 'int_lines__new'}}}) }}

with billed as (
    select subscription_id, period_start, charge, currency, amount_minor, false as is_new
    from {{ source('books', 'lines') }} as lines
    semi join {{ source('catalog', 'settings') }} as settings on lines.book = settings.book
    union all
    select subscription_id, period_start, charge, currency, amount_minor, true as is_new
    from {{ ref('int_lines__new') }}
),

totals as (
    select
        subscription_id,
        period_start,
        charge,
        any_value(currency) as currency,
        sum(amount_minor) as billed_minor,
        bool_or(is_new) as has_new
    from billed
    where not starts_with(charge, 'credit:')
    group by all
),

settled as (
    select
        subscription_id,
        period_start,
        charge,
        coalesce(figures.currency, totals.currency) as currency,
        coalesce(charges.owed, 0) as owed,
        cast(coalesce(totals.billed_minor, 0) as decimal(38, 0)) as billed_minor
    from {{ ref('int_charges__owed') }} as charges
    full join totals using (subscription_id, period_start, charge)
    -- A period that is gone from the account files owes nothing, and what was billed for it is given back.
    left join {{ ref('int_periods__figures') }} as figures using (subscription_id, period_start)
    where figures.is_closed or figures.is_closing or totals.has_new
),

compared as (
    select
        settled.subscription_id,
        settled.period_start,
        settled.charge,
        settled.owed,
        settled.billed_minor,
        {{ from_minor('settled.billed_minor', 'currencies') }} as billed,
        -- The least that Stripe takes, as money.
        {{ from_minor('coalesce(currencies.step, 1)', 'currencies') }} as step,
        settled.billed_minor % coalesce(currencies.step, 1) as rest
    from settled
    left join {{ source('catalog', 'currencies') }} as currencies on settled.currency = currencies.currency
)

select *, owed - billed as at_stake
from compared
where
    rest <> 0
    or 2 * abs(owed - billed) > step
    or (2 * abs(owed - billed) = step and abs(billed) < abs(owed))
