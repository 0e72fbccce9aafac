-- Lines: what was billed, when and why. Lines of a charge add up to its rounded total.
with settings as (
    select * from {{ source('catalog', 'settings') }}
),

final as (
    select
        lines.line_id,
        lines.account_id,
        lines.subscription_id,
        {{ instant('lines.period_start') }} as period_start,
        {{ instant('lines.period_end') }} as period_end,
        lines.charge,
        lines.reason,
        lines.amount_minor,
        lines.currency,
        {{ shown('lines.quantity') }} as quantity,
        lines.description,
        {{ instant('lines.created_as_of') }} as created_as_of,
        lines.state,
        lines.state_reason,
        lines.stripe_id
    from {{ source('books', 'lines') }} as lines
    semi join settings on lines.book = settings.book
)

select * from final
