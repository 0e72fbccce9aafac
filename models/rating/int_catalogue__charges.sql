-- What each price list charges, under tonight's catalogue and under those that closed periods were reckoned with.
{{ config(materialized='view') }}

with settings as (
    select * from {{ source('catalog', 'settings') }}
)

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
