-- What each stretch of a subscription's time says of the usage in it, as one word: whose it is and in which period, by which
-- prices it is rated, and until when it counts. What the books hold added up of a stretch stays true as long as its word does.
with settings as (
    select * from {{ source('catalog', 'settings') }}
),

slices as (
    select * from {{ ref('int_periods__slices') }}
),

prices as (
    select
        list_no,
        md5(
            {{ joined(
                "concat_ws(
                    chr(31), meter, aggregate, coalesce(of_field, ''), cast(is_pooled as string), cast(rate_num as string),
                    cast(rate_den as string), if(is_clamped, cast(fixed as string), ''),
                    coalesce(cast(min_amount as string), ''), coalesce(cast(max_amount as string), '')
                )",
                'meter'
            ) }}
        ) as prices
    from {{ ref('int_catalogue__charges') }}
    group by list_no
),

final as (
    select
        slices.slice_no,
        slices.subscription_id,
        slices.lookup_from as from_at,
        lead(slices.lookup_from, 1, slices.period_end) over (
            partition by slices.subscription_id, slices.period_start order by slices.lookup_from
        ) as until_at,
        slices.period_end + {{ microseconds('slices.late_window_us') }} as late_at,
        md5(
            concat_ws(
                chr(31), settings.book, slices.account_id, slices.currency,
                cast(slices.period_start as string), cast(slices.period_end as string),
                cast(slices.slice_start as string), cast(slices.slice_end as string),
                coalesce(slices.plan, ''), coalesce(prices.prices, ''), if(slices.baseline is null, 'none', 'baseline'),
                coalesce(cast(slices.bill_from as string), ''), cast(slices.late_window_us as string),
                coalesce(cast(slices.ledger_cutover as string), '')
            )
        ) as said
    from slices
    cross join settings
    left join prices on slices.list_no = prices.list_no
)

select * from final
