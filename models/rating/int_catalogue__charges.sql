-- What each price list charges, under tonight's catalogue and under those that closed periods were reckoned with.
{{ config(materialized='view') }}

with settings as (
    select * from {{ source('catalog', 'settings') }}
)

select settings.catalog_id, charges.*
from {{ source('catalog', 'charges') }} as charges
cross join settings
union all by name
select close_charges.*
from {{ source('books', 'close_charges') }} as close_charges
anti join settings on close_charges.catalog_id = settings.catalog_id
