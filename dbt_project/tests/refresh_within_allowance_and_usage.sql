-- A window gives back neither more than it used nor more than its allowance, and never takes; and it lies in its period
-- and has begun.
{{ config(meta={'dagster': {'ref': {'name': 'int_refresh__windows'}}}) }}

select windows.*, windows.refresh as at_stake
from {{ ref('int_refresh__windows') }} as windows
cross join {{ source('catalog', 'settings') }} as settings
where
    windows.refresh < 0
    or windows.refresh > windows.allowance
    or windows.refresh > greatest(windows.usage, 0)
    or (windows.refresh < windows.allowance and windows.refresh < windows.usage)
    or windows.refresh is null
    or windows.window_start < windows.period_start
    or windows.window_start > settings.as_of
