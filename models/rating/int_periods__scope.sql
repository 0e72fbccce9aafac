-- The periods tonight reckons: every open one, and the closed ones that something arrived for.
with slices as (
    select * from {{ ref('int_periods__slices') }}
),

arrived as (
    select distinct slices.subscription_id, slices.period_start
    from {{ ref('int_ledger__new') }} as entries
    asof inner join slices on entries.subscription_id = slices.subscription_id and entries.occurred_at >= slices.lookup_from
    where slices.is_closed and entries.occurred_at < slices.period_end
),

final as (
    select slices.*
    from slices
    left join arrived on slices.subscription_id = arrived.subscription_id and slices.period_start = arrived.period_start
    where not slices.is_closed or arrived.subscription_id is not null
)

select * from final
