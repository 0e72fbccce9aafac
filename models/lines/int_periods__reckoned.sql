-- The periods in scope as finance reads them, tonight's lines included. A closing one is written into the books like this.
with figures as (
    select * from {{ ref('int_periods__figures') }}
),

owed as (
    select
        subscription_id,
        period_start,
        cast(coalesce(sum(owed) filter (where charge like 'metered:%'), 0) as decimal(38, 18)) as metered,
        cast(coalesce(sum(owed) filter (where charge = 'minimum'), 0) as decimal(38, 18)) as minimum,
        cast(sum(owed) as decimal(38, 18)) as owed
    from {{ ref('int_charges__owed') }}
    group by all
),

lines as (
    select lines.subscription_id, lines.period_start, lines.charge, lines.amount_minor
    from {{ source('books', 'lines') }} as lines
    semi join {{ source('catalog', 'settings') }} as settings on lines.book = settings.book
    union all
    select subscription_id, period_start, charge, amount_minor from {{ ref('int_lines__new') }}
),

billed as (
    select subscription_id, period_start, cast(sum(amount_minor) as bigint) as billed_minor
    from lines
    where charge not like 'credit:%'
    group by all
),

final as (
    select
        figures.account_id,
        figures.subscription_id,
        figures.plan,
        figures.period_start,
        figures.period_end,
        figures.is_closed,
        figures.is_closing,
        figures.currency,
        figures.baseline,
        figures.usage,
        figures.refresh,
        figures.effective,
        figures.included,
        figures.overage,
        owed.metered,
        owed.minimum,
        owed.owed,
        coalesce(billed.billed_minor, 0) as billed_minor
    from figures
    inner join owed on figures.subscription_id = owed.subscription_id and figures.period_start = owed.period_start
    left join billed on figures.subscription_id = billed.subscription_id and figures.period_start = billed.period_start
)

select * from final
