-- Two counts of the same usage were not far apart for two hours in a row, as long as parity must be clean. A warning, no more:
-- what this side bills is right or wrong whatever the other side counts.
{{ config(severity='warn', meta={'dagster': {'ref': {'name': 'int_parity__totals'}}}) }}

select distinct totals.comparison, totals.hour_start
from {{ ref('int_parity__totals') }} as totals
inner join {{ ref('int_parity__scope') }} as scope on totals.comparison = scope.comparison
where totals.is_alert and totals.hour_start >= scope.watched_from
