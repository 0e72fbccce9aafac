-- Conservation from rows to sums: per meter of a slice, exactly the ledger's billable rows, and those that a baseline holds,
-- stand in what was added up: in number, quantity and cost, with nothing over.
{{ config(meta={'dagster': {'ref': {'name': 'int_usage__added'}}}) }}

with scope as (
    {{ looked_at_tonight() }}
),

rated as (
    {{ rated(ref('int_ledger__entries'), 'scope', join='inner') }}
),

in_ledger as (
    select
        slice_no,
        meter,
        count(*) as events,
        coalesce(sum(quantity), 0) as quantity,
        coalesce(sum(cost), 0) as cost
    from rated
    where aggregate <> 'time_weighted' and (state = 'billable' or is_counted_in_baseline)
    group by slice_no, meter
),

added as (
    select
        slice_no,
        meter,
        sum(events) as events,
        coalesce(sum(quantity), 0) as quantity,
        coalesce(sum(cost), 0) as cost
    from {{ ref('int_usage__added') }} as added
    semi join scope on added.slice_no = scope.slice_no
    group by slice_no, meter
)

select
    scope.subscription_id,
    scope.period_start,
    slice_no,
    meter,
    in_ledger.events as events_in_ledger,
    added.events as events_added,
    coalesce(in_ledger.quantity, 0) - coalesce(added.quantity, 0) as quantity_at_stake,
    coalesce(in_ledger.cost, 0) - coalesce(added.cost, 0) as at_stake
from in_ledger
full join added using (slice_no, meter)
left join scope using (slice_no)
where
    in_ledger.events is distinct from added.events
    or in_ledger.quantity is distinct from added.quantity
    or in_ledger.cost is distinct from added.cost
