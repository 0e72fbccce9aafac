-- The month's lines straight from the raw files: what somebody who knows DuckDB and these prices writes, on integers alone.
-- Values come in millionths, prices in millionths of a dollar, so money is in 10^-12 dollars and a cent is 10^10 of them.
with rows as (
    select id, ts, org, meter, value
    from read_json(
        $raw, format = 'newline_delimited',
        columns = {
            id: 'VARCHAR', type: 'VARCHAR', ts: 'TIMESTAMP', org: 'VARCHAR', meter: 'VARCHAR', value: 'DECIMAL(18, 6)',
            payload: 'STRUCT("user" VARCHAR, model VARCHAR)'
        }
    )
    where type = 'usage'
),

usages as (
    select any_value(ts) as ts, any_value(org) as org, any_value(meter) as meter, any_value(value) as value
    from rows
    group by id
),

days as (
    select org, meter, cast(ts as date) as day, sum(cast(value * 1000000 as bigint)) as micro
    from usages
    group by all
),

priced as (
    select s.subscription_id, s.plan, s.seats, d.meter, d.day, d.micro, p.* exclude (plan, meter)
    from days as d
    join read_csv($subscriptions) as s on d.org = s.account_id
    join read_csv($prices) as p on s.plan = p.plan and d.meter = p.meter
),

windows as (
    select subscription_id, plan, seats, day, sum(micro * unit_micro) as pico
    from priced
    where is_pooled
    group by all
),

pooled as (
    select w.subscription_id, sum(w.pico) - sum(least(w.pico, p.allowance_micro * 1000000 * w.seats))
        - any_value(p.included_micro * 1000000 * w.seats) as pico
    from windows as w
    join read_csv($plans) as p on w.plan = p.plan
    group by all
),

metered as (
    select
        subscription_id, 'metered:' || plan || ':' || meter as charge, any_value(unit_micro) as unit,
        any_value(bound_micro) as bound, any_value(beyond_micro) as beyond, any_value(flat_micro) as flat, sum(micro) as micro
    from priced
    where not is_pooled
    group by subscription_id, plan, meter
),

owed as (
    select subscription_id, 'overage' as charge, greatest(pico, 0) as pico from pooled
    union all
    select subscription_id, charge, least(micro, bound) * unit + if(micro > bound, (micro - bound) * beyond + flat * 1000000, 0)
    from metered
)

select subscription_id, charge, cast((pico + 5000000000) // 10000000000 as bigint) as amount_minor
from owed
where pico >= 5000000000
