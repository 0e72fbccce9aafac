-- What each charge of a period owes and what was billed for it, late usage and adjustments included.
with settings as (
    select * from {{ source('catalog', 'settings') }}
),

billed as (
    select lines.subscription_id, lines.period_start, lines.charge, cast(sum(lines.amount_minor) as bigint) as billed_minor
    from {{ source('books', 'lines') }} as lines
    semi join settings on lines.book = settings.book
    group by all
),

charges as (
    select owed.subscription_id, owed.period_start, owed.charge, owed.quantity, owed.owed
    from {{ ref('int_charges__owed') }} as owed
    cross join settings
    inner join {{ ref('int_periods__open') }} as periods
        on owed.subscription_id = periods.subscription_id and owed.period_start = periods.period_start
    where not periods.is_closing and owed.period_start <= settings.as_of
    union all
    select charges.subscription_id, charges.period_start, charges.charge, charges.quantity, charges.owed
    from {{ source('books', 'charges') }} as charges
    semi join settings on charges.book = settings.book
),

final as (
    select
        charges.subscription_id,
        {{ instant('charges.period_start') }} as period_start,
        charges.charge,
        {{ shown('charges.quantity') }} as quantity,
        {{ shown('charges.owed') }} as owed,
        coalesce(billed.billed_minor, 0) as billed_minor
    from charges
    left join billed
        on
            charges.subscription_id = billed.subscription_id
            and charges.period_start = billed.period_start
            and charges.charge = billed.charge
)

select * from final
