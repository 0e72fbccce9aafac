-- What does not add up and is taken from the rows themselves, per period in scope, plan and meter: the greatest and the latest
-- quantity, how many different ones there were, and what every single event owes within its least and most.
with scope as (
    select * from {{ ref('int_periods__scope') }}
),

meters as (
    select distinct charges.meter
    from scope
    inner join {{ ref('int_catalogue__charges') }} as charges
        on
            scope.catalog_id = charges.catalog_id
            and scope.plan = charges.plan
            and scope.version_from = charges.version_from
    where charges.is_clamped or charges.aggregate in ('max', 'latest', 'unique_count')
),

entries as (
    select entries.*
    from {{ ref('int_ledger__entries') }} as entries
    semi join meters on entries.meter = meters.meter
),

rated as (
    {{ rated('entries', 'scope', join='inner') }}
),

billable as (
    select
        *,
        case
            when of_field = 'actor' then actor
            when of_field is not null then {{ json_text('context', 'of_field') }}
        end as of_value,
        case
            when is_clamped and aggregate = 'cost' then {{ femto('cost') }}
            when is_clamped then {{ nano('quantity') }}
        end as units
    from rated
    where aggregate is not null and not is_pooled and state = 'billable'
),

valued as (
    select
        *,
        case
            when is_clamped
                then least(
                        greatest(
                            fixed + case aggregate
                                when 'cost' then {{ times_ratio('units', 'rate_num', 'rate_den', 15) }}
                                else {{ times_ratio('units', 'rate_num', 'rate_den') }}
                            end,
                            min_amount
                        ),
                        max_amount
                    )
        end as owed
    from billable
),

final as (
    select
        subscription_id,
        period_start,
        plan,
        meter,
        case any_value(aggregate)
            when 'max' then {{ nano('max(quantity)') }}
            when 'latest'
                then {{ nano("max_by(quantity, (occurred_at, key_hi, key_lo)) filter (where aggregate = 'latest')") }}
            when 'unique_count'
                then {{ whole("count(distinct of_value) filter (where aggregate = 'unique_count')") }} * 1000000000
        end as units,
        cast(sum(owed) as decimal(38, 18)) as clamped
    from valued
    group by subscription_id, period_start, plan, meter
)

select * from final
