-- What each price list charges, under tonight's catalogue and under those that closed periods were reckoned with.
with settings as (
    select * from {{ source('catalog', 'settings') }}
),

charges as (
    select
        settings.catalog_id, plan, version_from, meter, aggregate, of_field, digits, is_pooled, model, price, fixed, min_amount,
        max_amount, is_clamped, rate_num, rate_den, divide_num, divide_den, package_per, package_free, package_size
    from {{ source('catalog', 'charges') }}
    cross join settings
    union all
    select
        catalog_id, plan, version_from, meter, aggregate, of_field, digits, is_pooled, model, price, fixed, min_amount,
        max_amount, is_clamped, rate_num, rate_den, divide_num, divide_den, package_per, package_free, package_size
    from {{ source('books', 'close_charges') }} as close_charges
    anti join settings on close_charges.catalog_id = settings.catalog_id
),

final as (
    select
        *,
        -- At more than this the least of quantities leaves no room to bill it.
        case
            when 1000000000 % rate_den = 0 and abs(rate_num) < 10000000000000000000000000000
                then cast(
                        cast(rate_num * {{ quotient('1000000000', 'rate_den') }} as decimal(38, 0))
                        * cast(0.000000001 as decimal(9, 9)) as decimal(38, 9)
                    )
        end as rate_exact,
        -- One number for each price list, so that millions of rows are joined by it.
        cast(dense_rank() over (order by catalog_id, plan, version_from) as bigint) as list_no
    from charges
)

select * from final
