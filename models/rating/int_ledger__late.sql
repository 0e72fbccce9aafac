-- Tonight's usages that fall into a closed period: their state is settled by the files of the night they land, for good.
with settings as (
    select * from {{ source('catalog', 'settings') }}
),

final as (
    select
        entries.key_hi,
        entries.key_lo,
        case
            when entries.occurred_at < settings.bill_from then 'pre_cutover'
            when entries.landed_at > slices.period_end + to_microseconds(settings.late_window_us) then 'expired'
            else 'billable'
        end as late_state
    from {{ ref('int_ledger__new') }} as entries
    cross join settings
    asof inner join {{ ref('int_periods__slices') }} as slices
        on entries.subscription_id = slices.subscription_id and entries.occurred_at >= slices.lookup_from
    where slices.is_closed and entries.occurred_at < slices.period_end
)

select * from final
