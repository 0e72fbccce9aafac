{# Ledger entries, each with its period, price list and state: the one place that says what a usage is in the eyes of a
   period. `entries` and `slices` are relations or CTEs. Usage that no period holds any more, because terms were moved
   after it had landed, keeps its place in the ledger with an empty period and owes nothing; so does usage in a part of a
   told period that no terms cover any more. #}
{% macro rated(entries, slices) -%}
    select
        entries.* exclude (
            period_start, period_end, slice_no, plan, version_from, catalog_id, baseline, bill_from, late_at, ledger_cutover,
            is_in_period, is_under_terms
        ),
        if(is_in_period, entries.period_start, null) as period_start,
        if(is_in_period, entries.period_end, null) as period_end,
        if(is_in_period, entries.slice_no, null) as slice_no,
        if(is_under_terms, entries.plan, null) as plan,
        charges.aggregate,
        charges.rate_num,
        charges.rate_den,
        coalesce(charges.is_pooled, false) as is_pooled,
        (epoch_us(entries.occurred_at) - epoch_us(entries.period_start)) // 86400000000 as window_no,
        case
            when not is_in_period then 'billable'
            when entries.occurred_at < entries.bill_from then 'pre_cutover'
            when entries.landed_at > entries.late_at then 'expired'
            else 'billable'
        end as state,
        coalesce(
            charges.is_pooled
            and not entries.is_account_named
            and entries.occurred_at < entries.ledger_cutover
            and entries.landed_at <= entries.late_at
            and entries.baseline is not null,
            false
        ) as is_counted_in_baseline,
        case
            when entries.cost is not null and coalesce(charges.aggregate, 'cost') = 'cost'
                then cast(entries.cost as decimal(38, 18))
            when charges.is_pooled
                then {{ times_ratio(nano('entries.quantity'), 'charges.rate_num', 'charges.rate_den') }}
        end as amount
    from (
        select
            entries.*,
            slices.currency,
            slices.is_closed,
            slices.period_start,
            slices.period_end,
            slices.slice_no,
            slices.plan,
            slices.version_from,
            slices.catalog_id,
            slices.baseline,
            -- What lands when its period is closed has its state by the settings of its night, all else by the period's.
            if(entries.entered_at > slices.closed_at, nights.bill_from, slices.bill_from) as bill_from,
            slices.period_end + to_microseconds(
                if(entries.entered_at > slices.closed_at, nights.late_window_us, slices.late_window_us)
            ) as late_at,
            slices.ledger_cutover,
            coalesce(entries.occurred_at < slices.period_end, false) as is_in_period,
            coalesce(entries.occurred_at >= slices.slice_start and entries.occurred_at < slices.slice_end, false) as is_under_terms
        from {{ entries }} as entries
        asof left join {{ slices }} as slices
            on entries.subscription_id = slices.subscription_id and entries.occurred_at >= slices.lookup_from
        left join {{ ref('int_ledger__nights') }} as nights on entries.entered_at = nights.as_of
    ) as entries
    left join {{ ref('int_catalogue__charges') }} as charges
        on
            entries.is_under_terms
            and entries.catalog_id = charges.catalog_id
            and entries.plan = charges.plan
            and entries.version_from = charges.version_from
            and entries.meter = charges.meter
{%- endmacro %}
