-- What this book has closed stays closed: no period that is open or closes tonight reaches into a closed one.
{{ config(meta={'dagster': {'ref': {'name': 'int_periods__open'}}}) }}

select
    periods.subscription_id,
    periods.period_start,
    periods.period_end,
    closes.period_start as closed_start,
    closes.period_end as closed_end
from {{ ref('int_periods__open') }} as periods
inner join {{ source('books', 'closes') }} as closes
    on
        periods.subscription_id = closes.subscription_id
        and periods.period_start < closes.period_end
        and periods.period_end > closes.period_start
semi join {{ source('catalog', 'settings') }} as settings on closes.book = settings.book
