-- Prices as straight pieces, under tonight's catalogue and under those that closed periods were reckoned with.
{{ config(materialized='view') }}

with settings as (
    select * from {{ source('catalog', 'settings') }}
)

select
    settings.catalog_id, plan, version_from, meter, segment_no, up_to_units, base, rate_num, rate_den
from {{ source('catalog', 'segments') }}
cross join settings
union all
select
    catalog_id, plan, version_from, meter, segment_no, up_to_units, base, rate_num, rate_den
from {{ source('books', 'close_segments') }} as close_segments
anti join settings on close_segments.catalog_id = settings.catalog_id
