-- Both counts of every hour over all accounts, per unit (money of different currencies does not add up), and whether the hour
-- alarms: enough accounts of real volume drift, or a total does. Two hours in a row are an alert; an hour without usage on
-- either side is clean.
with scope as (
    select * from {{ ref('int_parity__scope') }}
),

summed as (
    select
        comparison,
        hour_start,
        unit,
        per,
        digits,
        bool_or(is_compared) as is_compared,
        count(*) as accounts,
        count(*) filter (where is_drifting or is_one_sided) as accounts_flagged,
        count(*) filter (where is_one_sided) as accounts_one_sided,
        count(*) filter (where is_alarming) as accounts_alarming,
        cast(sum(reference_usages) as bigint) as reference_usages,
        cast(sum(candidate_usages) as bigint) as candidate_usages,
        sum(reference_units) as reference_units,
        sum(candidate_units) as candidate_units,
        sum(candidate_units) - sum(reference_units) as difference_units
    from {{ ref('int_parity__hours') }}
    group by comparison, hour_start, unit, per, digits
),

totalled as (
    select
        summed.*,
        scope.from_at,
        scope.accounts as accounts_alarm,
        summed.is_compared
        and {{ drifts_above('summed.difference_units', 'summed.reference_units', 'scope.alert_num', 'scope.alert_den') }}
            as is_total_alarming
    from summed
    inner join scope on summed.comparison = scope.comparison
),

judged as (
    select
        *,
        sum(accounts_alarming) over hours >= accounts_alarm or bool_or(is_total_alarming) over hours as is_alarming
    from totalled
    window hours as (partition by comparison, hour_start)
),

alarms as (
    select distinct comparison, hour_start from judged where is_alarming
),

final as (
    select
        judged.* {{ but('from_at, accounts_alarm, is_compared, is_total_alarming') }},
        judged.is_alarming and alarms.comparison is not null as is_alert
    from judged
    left join alarms on judged.comparison = alarms.comparison and judged.hour_start = alarms.hour_start + interval 1 hour
    where judged.hour_start >= judged.from_at
)

select * from final
