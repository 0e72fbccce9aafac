-- Prices as straight pieces, under tonight's catalogue and under those that closed periods were reckoned with.
{{ config(materialized='view') }}

with settings as (
    select * from {{ source('catalog', 'settings') }}
)

select settings.catalog_id, segments.*
from {{ source('catalog', 'segments') }} as segments
cross join settings
union all by name
select close_segments.*
from {{ source('books', 'close_segments') }} as close_segments
anti join settings on close_segments.catalog_id = settings.catalog_id
