-- Whatever enters the ledger tonight lies in a period, and every stretch of a period has a price list.
{{ config(meta={'dagster': {'ref': {'name': 'int_periods__slices'}}}) }}

with slices as (
    select * from {{ ref('int_periods__slices') }}
),

placed as (
    select
        entries.source,
        entries.raw_file,
        entries.raw_line,
        entries.subscription_id,
        entries.occurred_at,
        entries.cost as at_stake,
        coalesce(entries.occurred_at < slices.period_end, false) as is_inside
    from {{ ref('int_ledger__new') }} as entries
    left join ({{ paged('slices') }}) as slices
        on {{ falls_in('entries', 'slices') }}
)

select source, raw_file, raw_line, subscription_id, occurred_at, at_stake, 'no period holds this usage' as problem
from placed
where not is_inside
union all by name
select subscription_id, slice_start as occurred_at, 'no price list is in force' as problem
from slices
where version_from is null or plan is null or catalog_id is null
