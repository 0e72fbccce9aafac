-- The settings of every night, tonight's included: what lands when its period has been closed keeps the state that the files
-- of its night give it.
{{ config(materialized='view') }}

with settings as (
    select * from {{ source('catalog', 'settings') }}
),

nights as (
    select * from {{ source('books', 'nights') }}
)

select as_of, bill_from, late_window_us
from nights
union all
select settings.as_of, settings.bill_from, settings.late_window_us
from settings
anti join nights on settings.as_of = nights.as_of
