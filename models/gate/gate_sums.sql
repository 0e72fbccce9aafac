-- What must agree, by currency: usage of periods and of their windows, and lines with what settled charges owe.
with settings as (
    select * from {{ source('catalog', 'settings') }}
),

periods as (
    select * from {{ ref('int_periods__figures') }}
),

windows as (
    select periods.currency, sum(windows.usage_not_in_baseline) as usage
    from {{ ref('int_usage__windows') }} as windows
    inner join periods on windows.subscription_id = periods.subscription_id and windows.period_start = periods.period_start
    group by all
),

settled as (
    select charges.subscription_id, charges.period_start, charges.currency, charges.owed_minor
    from {{ ref('int_charges__owed') }} as charges
    inner join periods on charges.subscription_id = periods.subscription_id and charges.period_start = periods.period_start
    where periods.is_closed or periods.is_closing
),

lines as (
    select lines.subscription_id, lines.period_start, lines.charge, lines.currency, lines.amount_minor
    from {{ source('books', 'lines') }} as lines
    semi join settings on lines.book = settings.book
    union all
    select subscription_id, period_start, charge, currency, amount_minor from {{ ref('int_lines__new') }}
),

billed as (
    select lines.currency, sum(lines.amount_minor) as billed_minor
    from lines
    semi join settled on lines.subscription_id = settled.subscription_id and lines.period_start = settled.period_start
    where lines.charge not like 'credit:%'
    group by all
),

named as (
    select currency, sum(usage) as usage, 0 as windows, 0 as owed_minor, 0 as billed_minor from periods group by currency
    union all
    select currency, 0 as usage, usage as windows, 0 as owed_minor, 0 as billed_minor from windows
    union all
    select currency, 0 as usage, 0 as windows, sum(owed_minor) as owed_minor, 0 as billed_minor from settled group by currency
    union all
    select currency, 0 as usage, 0 as windows, 0 as owed_minor, billed_minor from billed
),

summed as (
    select
        currency,
        cast(coalesce(sum(usage), 0) as decimal(38, 18)) as usage,
        cast(coalesce(sum(windows), 0) as decimal(38, 18)) as windows,
        cast(coalesce(sum(owed_minor), 0) as decimal(38, 0)) as owed_minor,
        cast(coalesce(sum(billed_minor), 0) as decimal(38, 0)) as billed_minor
    from named
    group by all
),

final as (
    select
        settings.as_of as night,
        summed.usage,
        summed.windows,
        summed.owed_minor,
        summed.billed_minor,
        summed.currency,
        {{ shown(
            'abs(summed.usage - summed.windows) + abs(' ~ from_minor('summed.owed_minor - summed.billed_minor', 'currencies') ~ ')'
        ) }}
            as at_stake
    from summed
    cross join settings
    left join {{ source('catalog', 'currencies') }} as currencies on summed.currency = currencies.currency
)

select * from final
