-- What every charge of the periods in scope owes, exactly: overage, each metered charge, and at the close the minimum.
with figures as (
    select * from {{ ref('int_periods__figures') }}
),

metered as (
    select * from {{ ref('int_usage__metered') }}
),

-- A price is a row of straight pieces; the aggregate lies in the first one whose upper bound it does not pass.
pieces as (
    select
        *,
        max(up_to_units) over (
            partition by catalog_id, plan, version_from, meter order by segment_no
            rows between unbounded preceding and 1 preceding
        ) as above_units
    from {{ ref('int_catalogue__segments') }}
),

prices as (
    select
        charges.*,
        pieces.base,
        pieces.rate_num as piece_num,
        pieces.rate_den as piece_den,
        pieces.above_units,
        pieces.up_to_units
    from {{ ref('int_catalogue__charges') }} as charges
    left join pieces
        on
            charges.catalog_id = pieces.catalog_id
            and charges.plan = pieces.plan
            and charges.version_from = pieces.version_from
            and charges.meter = pieces.meter
),

priced as (
    select
        metered.*,
        prices.* {{ but('catalog_id, plan, version_from, meter, aggregate') }}
    from metered
    left join prices
        on
            metered.catalog_id = prices.catalog_id
            and metered.plan = prices.plan
            and metered.version_from = prices.version_from
            and metered.meter = prices.meter
            and (prices.above_units is null or metered.units > prices.above_units * metered.denominator)
            and (prices.up_to_units is null or metered.units <= prices.up_to_units * metered.denominator)
),

metered_owed as (
    select
        subscription_id,
        period_start,
        'metered:' || plan || ':' || meter as charge,
        case digits
            when 15 then {{ times_ratio('units', 'divide_den', 'divide_num', 15) }}
            else {{ times_ratio_over('units', 'divide_den', 'divide_num', 'denominator') }}
        end as quantity,
        cast(
            case
                when is_clamped then clamped
                when model is null then {{ money('units * 1000') }}
                when model = 'package'
                    then cast(
                            price * greatest(
                                {{ quotient(
                                    '(units * package_per - package_free * denominator + package_size * denominator - 1)',
                                    'package_size * denominator'
                                ) }},
                                0
                            ) as decimal(38, 18)
                        )
                when digits = 15 then base + {{ times_ratio('units', 'piece_num', 'piece_den', 15) }}
                else base + {{ times_ratio_over('units', 'piece_num', 'piece_den', 'denominator') }}
            end
            + if(model = 'percentage' and not is_clamped, fixed * events, 0) as decimal(38, 18)
        ) as owed,
        -- Of the rate of every event where each is clamped; else of a piece's base, unless it ends by the 15th digit, and rate.
        case
            when is_clamped then if(if(digits = 15, 1000, 1000000000) % rate_den <> 0, events, 0)
            when model is null or model = 'package' then 0
            else if(base <> round(base, 15), 1, 0)
                + if(
                    digits = 15,
                    {{ is_rounded('units', 'piece_num', 'piece_den', 15) }},
                    {{ is_rounded_over('units', 'piece_num', 'piece_den', 'denominator') }}
                )
        end as roundings
    from priced
),

metered_meant as (
    select
        subscription_id,
        period_start,
        charge,
        quantity,
        {{ meant('owed', 'roundings') }} as owed
    from metered_owed
),

overage_owed as (
    select
        subscription_id,
        period_start,
        'overage' as charge,
        cast(null as decimal(38, 18)) as quantity,
        overage as owed
    from figures
),

charges as (
    select * from overage_owed
    union all
    select * from metered_meant
),

rounded as (
    select
        charges.*,
        figures.account_id,
        figures.currency,
        {{ round_minor('charges.owed', 'currencies') }} as owed_minor
    from charges
    inner join figures on charges.subscription_id = figures.subscription_id and charges.period_start = figures.period_start
    left join {{ source('catalog', 'currencies') }} as currencies on figures.currency = currencies.currency
),

totals as (
    select subscription_id, period_start, cast(sum(owed_minor) as bigint) as owed_minor
    from rounded
    group by all
),

minimums as (
    select
        figures.subscription_id,
        figures.period_start,
        'minimum' as charge,
        cast(null as decimal(38, 18)) as quantity,
        cast(greatest(figures.minimum - {{ from_minor('totals.owed_minor', 'currencies') }}, 0) as decimal(38, 18)) as owed,
        figures.account_id,
        figures.currency
    from figures
    inner join totals on figures.subscription_id = totals.subscription_id and figures.period_start = totals.period_start
    left join {{ source('catalog', 'currencies') }} as currencies on figures.currency = currencies.currency
    where figures.minimum > 0 and (figures.is_closed or figures.is_closing)
),

final as (
    select subscription_id, period_start, charge, quantity, owed, account_id, currency, owed_minor
    from rounded
    union all
    select
        minimums.subscription_id,
        minimums.period_start,
        minimums.charge,
        minimums.quantity,
        minimums.owed,
        minimums.account_id,
        minimums.currency,
        {{ round_minor('minimums.owed', 'currencies') }} as owed_minor
    from minimums
    left join {{ source('catalog', 'currencies') }} as currencies on minimums.currency = currencies.currency
)

select * from final
