-- Conservation from rows to parity: the hours compared, and the parts of the seam, hold every row of both sides once.
{{ config(meta={'dagster': {'ref': {'name': 'int_parity__hours'}}}) }}

with scope as (
    select * from {{ ref('int_parity__scope') }}
),

sides as (
    {{ parity_sides('scope') }}
),

entries as (
    select *
    from {{ ref('int_ledger__entries') }}
    where
        meter in (select meter from sides)
        and occurred_at >= (
            select if(bool_or(is_going_live), timestamp '-infinity', min(from_at) - to_hours(1)) from scope
        )
),

found as (
    select
        sides.comparison,
        sides.side,
        sides.is_going_live and sides.bill_from is not null as has_seam,
        count(*) filter (
            entries.occurred_at >= sides.from_at - to_hours(1) and entries.occurred_at < sides.until_at
        ) as in_hours,
        count(*) as in_all
    from sides
    inner join entries on sides.meter = entries.meter and coalesce(sides.source, entries.source) = entries.source
    group by all
),

hours as (
    select comparison, sum(reference_usages) as reference, sum(candidate_usages) as candidate
    from {{ ref('int_parity__hours') }}
    group by all
),

seam as (
    select comparison, side, sum(usages) as usages from {{ ref('int_parity__seam') }} group by all
)

select
    found.*,
    coalesce(if(found.side = 'reference', hours.reference, hours.candidate), 0) as compared,
    coalesce(seam.usages, 0) as at_seam
from found
left join hours on found.comparison = hours.comparison
left join seam on found.comparison = seam.comparison and found.side = seam.side
where compared <> found.in_hours or at_seam <> if(found.has_seam, found.in_all, 0)
