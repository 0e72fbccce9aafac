-- Credit is used only against a positive net of a period's new lines, and never for more than it.
{{ config(meta={'dagster': {'ref': {'name': 'int_lines__new'}}}) }}

select
    subscription_id,
    period_start,
    coalesce(sum(amount_minor) filter (where grant_id is null), 0) as net_minor,
    sum(amount_minor) filter (where grant_id is not null) as credit_minor
from {{ ref('int_lines__new') }}
group by all
having
    max(amount_minor) filter (where grant_id is not null) >= 0
    or -credit_minor > greatest(net_minor, 0)
    or count(distinct reason) > 1
