-- Both counts of every account and hour (UTC) in which either has usage: how far they are apart, and what that means.
-- Once this side is live, an hour that the reference does not know at all is not compared: the old side has stopped.
-- The hour before the first is here too: an alert takes two in a row.
with scope as (
    select * from {{ ref('int_parity__scope') }}
),

sides as (
    {{ parity_sides('scope') }}
),

entries as (
    select meter, source, account_id, occurred_at, quantity, cost
    from {{ ref('int_ledger__entries') }}
    where
        occurred_at >= (select min(from_at) - interval 1 hour from scope)
        and occurred_at < (select max(until_at) from scope)
        and meter in (select meter from sides)
),

counted as (
    select
        sides.comparison,
        sides.side,
        entries.account_id,
        cast(date_trunc('hour', entries.occurred_at) as timestamp) as hour_start,
        count(*) as usages,
        {{ parity_units('sides', 'entries') }} as units
    from sides
    inner join entries
        on
            sides.meter = entries.meter
            and coalesce(sides.source, entries.source) = entries.source
            and entries.occurred_at >= sides.from_at - interval 1 hour
            and entries.occurred_at < sides.until_at
    group by
        sides.comparison, sides.side, sides.measure, sides.is_count, sides.factor,
        entries.account_id, cast(date_trunc('hour', entries.occurred_at) as timestamp)
),

paired as (
    select
        comparison,
        account_id,
        hour_start,
        cast(coalesce(sum(usages) filter (where side = 'reference'), 0) as bigint) as reference_usages,
        cast(coalesce(sum(usages) filter (where side = 'candidate'), 0) as bigint) as candidate_usages,
        coalesce(sum(units) filter (where side = 'reference'), 0) as reference_units,
        coalesce(sum(units) filter (where side = 'candidate'), 0) as candidate_units,
        candidate_units - reference_units as difference_units
    from counted
    group by comparison, account_id, hour_start
),

judged as (
    select
        paired.*,
        scope.per,
        scope.digits,
        scope.measure,
        scope.unit as unit_of_meter,
        coalesce(paired.hour_start < scope.live_from, true)
        or sum(paired.reference_usages) over (partition by paired.comparison, paired.hour_start) > 0 as is_compared,
        greatest(abs(paired.reference_units), abs(paired.candidate_units)) >= scope.real_volume_units as is_real,
        {{ drifts_above('paired.difference_units', 'paired.reference_units', 'scope.flag_num', 'scope.flag_den') }}
            as is_above_flag,
        {{ drifts_above('paired.difference_units', 'paired.reference_units', 'scope.alert_num', 'scope.alert_den') }}
            as is_above_alert
    from paired
    inner join scope on paired.comparison = scope.comparison
),

-- An hour that one side does not know is one-sided however little it holds; rows that come to nothing are no usage.
final as (
    select
        judged.* {{ but('measure, unit_of_meter, is_real, is_above_flag, is_above_alert') }},
        if(judged.measure = 'cost', coalesce(accounts.currency, 'unknown'), judged.unit_of_meter) as unit,
        judged.is_compared
        and (judged.reference_usages = 0) <> (judged.candidate_usages = 0)
        and judged.difference_units <> 0 as is_one_sided,
        judged.is_compared and judged.is_above_flag as is_drifting,
        judged.is_compared and judged.is_real and judged.is_above_alert as is_alarming
    from judged
    left join {{ source('catalog', 'accounts') }} as accounts on judged.account_id = accounts.account_id
)

select * from final
