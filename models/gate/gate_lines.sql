-- The lines that tonight would bill, or has billed, as money.
with settings as (
    select * from {{ source('catalog', 'settings') }}
),

lines as (
    select
        line_id, account_id, subscription_id, period_start, period_end, charge, reason, amount_minor, currency, created_as_of
    from {{ ref('int_lines__new') }}
    union all
    select
        lines.line_id, lines.account_id, lines.subscription_id, lines.period_start, lines.period_end, lines.charge,
        lines.reason, lines.amount_minor, lines.currency, lines.created_as_of
    from {{ source('books', 'lines') }} as lines
    semi join settings on lines.book = settings.book and lines.created_as_of = settings.as_of
),

final as (
    select
        lines.created_as_of as night,
        lines.line_id,
        lines.account_id,
        lines.subscription_id,
        lines.period_start,
        lines.period_end,
        lines.charge,
        lines.reason,
        lines.amount_minor,
        lines.charge like 'credit:%' as is_credit,
        coalesce(currencies.step, 1) as step_minor,
        lines.currency,
        figures.currency as period_currency,
        {{ shown(from_minor('lines.amount_minor', 'currencies')) }} as at_stake
    from lines
    left join {{ source('catalog', 'currencies') }} as currencies on lines.currency = currencies.currency
    left join {{ ref('int_periods__figures') }} as figures
        on lines.subscription_id = figures.subscription_id and lines.period_start = figures.period_start
)

select * from final
