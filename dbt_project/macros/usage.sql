{# Ledger entries, each with its period, price list and state: the one place that says what a usage is in the eyes of a
   period. `entries` and `slices` are relations or CTEs. Usage that no period holds any more, because terms were moved
   after it had landed, keeps its place in the ledger with an empty period and owes nothing (an inner join leaves it out);
   so does usage in a part of a told period that no terms cover any more. Nobody reads all of these columns, and DuckDB
   reckons only those that are read. #}
{% macro rated(entries, slices, join='left') -%}
    select
        entries.* {{ but(
            'units, closed_at, slice_plan, slice_start, slice_end, version_from, catalog_id, baseline, bill_from, late_at,
            ledger_cutover'
        ) }},
        if(entries.occurred_at >= slice_start and entries.occurred_at < slice_end, slice_plan, null) as plan,
        charges.aggregate,
        charges.of_field,
        charges.rate_num,
        charges.rate_den,
        charges.fixed,
        charges.min_amount,
        charges.max_amount,
        coalesce(charges.is_clamped, false) as is_clamped,
        coalesce(charges.is_pooled, false) as is_pooled,
        {{ div('(' ~ epoch_us('entries.occurred_at') ~ ' - ' ~ epoch_us('entries.period_start') ~ ')', 86400000000) }} as window_no,
        case
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
                then {{ times_ratio('units', 'charges.rate_num', 'charges.rate_den') }}
        end as amount
    from (
        select
            entries.*,
            {{ nano('entries.quantity') }} as units,
            slices.currency,
            slices.period_start,
            slices.period_end,
            slices.slice_no,
            slices.closed_at,
            slices.plan as slice_plan,
            slices.slice_start,
            slices.slice_end,
            slices.version_from,
            slices.catalog_id,
            slices.baseline,
            -- What lands when its period is closed has its state by the settings of its night, all else by the period's.
            if(entries.entered_at > slices.closed_at, nights.bill_from, slices.bill_from) as bill_from,
            slices.period_end + {{ microseconds(
                'if(entries.entered_at > slices.closed_at, nights.late_window_us, slices.late_window_us)'
            ) }} as late_at,
            slices.ledger_cutover
        from {{ entries }} as entries
        {{ join }} join ({{ paged(slices) }}) as slices
            on {{ falls_in('entries', 'slices') }}
        left join {{ ref('int_ledger__nights') }} as nights on entries.entered_at = nights.as_of
    ) as entries
    left join {{ ref('int_catalogue__charges') }} as charges
        on
            entries.occurred_at >= entries.slice_start
            and entries.occurred_at < entries.slice_end
            and entries.catalog_id = charges.catalog_id
            and entries.slice_plan = charges.plan
            and entries.version_from = charges.version_from
            and entries.meter = charges.meter
{%- endmacro %}

{# Slices, once on each page they reach, from where usage is looked up in them up to where the next one or the period's end
   takes over. #}
{% macro paged(slices) -%}
    select
        *,
        {{ each_from(page('lookup_from'), page('lookup_until')) }} as page
    from (
        select
            *,
            lead(lookup_from, 1, period_end) over (
                partition by subscription_id, period_start order by lookup_from
            ) as lookup_until
        from {{ slices }}
    ) as slices
{%- endmacro %}

{# Which of the paged slices a usage falls in, one at most. A subscription's slices are looked up by the page of four weeks
   that a usage lies on, so that millions of usages meet the one or two slices of their time, however long the history; and
   by the bounds themselves, from which DuckDB knows what of the ledger need not be read. #}
{% macro falls_in(entries, slices) -%}
    {{ entries }}.subscription_id = {{ slices }}.subscription_id
    and {{ page(entries ~ '.occurred_at') }} = {{ slices }}.page
    and {{ entries }}.occurred_at >= {{ slices }}.lookup_from
    and {{ entries }}.occurred_at < {{ slices }}.lookup_until
{%- endmacro %}

{% macro page(instant) -%}
    ({{ div(epoch_us(instant), 2419200000000) }})
{%- endmacro %}
