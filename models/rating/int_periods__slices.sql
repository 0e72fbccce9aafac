-- The slices of every period, numbered, with what millions of usages are looked up by.
with cuts as (
    select * from {{ ref('int_periods__cuts') }}
),

lists as (
    select distinct catalog_id, plan, version_from, list_no from {{ ref('int_catalogue__charges') }}
),

final as (
    select
        cuts.*,
        lists.list_no,
        -- One number for each, so that sums over millions of rows are grouped and joined by it.
        cast(
            row_number() over (order by cuts.subscription_id, cuts.period_start, cuts.slice_start) as bigint
        ) as slice_no,
        -- Usage is looked up by the slice that begins last before it; a period's first one serves from its start.
        if(
            cuts.slice_start = min(cuts.slice_start) over (partition by cuts.subscription_id, cuts.period_start),
            cuts.period_start,
            cuts.slice_start
        ) as lookup_from
    from cuts
    left join lists
        on cuts.catalog_id = lists.catalog_id and cuts.plan = lists.plan and cuts.version_from = lists.version_from
)

select * from final
