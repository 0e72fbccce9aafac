{# Ledger entries, each with its period, price list and state: the one place that says what a usage is in the eyes of a
   period. `entries` and `slices` are relations or CTEs. Usage that no period holds any more, because terms were moved
   after it had landed, keeps its place in the ledger with an empty period and owes nothing (an inner join leaves it out);
   so does usage in a part of a told period that no terms cover any more. Nobody reads all of these columns, and DuckDB
   reckons only those that are read. #}
{% macro rated(entries, slices, join='left') -%}
    select
        entries.* {{ but(
            'closed_at, slice_plan, slice_start, slice_end, list_no, baseline, bill_from, late_at, ledger_cutover'
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
            when charges.is_pooled and charges.rate_exact is not null
                then entries.quantity * charges.rate_exact
            when charges.is_pooled
                then {{ times_ratio(nano('entries.quantity'), 'charges.rate_num', 'charges.rate_den') }}
        end as amount
    from (
        select
            entries.*,
            slices.currency,
            slices.period_start,
            slices.period_end,
            slices.slice_no,
            slices.closed_at,
            slices.plan as slice_plan,
            slices.slice_start,
            slices.slice_end,
            slices.list_no,
            slices.baseline,
            -- What lands when its period is closed, or is in none, has its state by the settings of its night, all else by the
            -- period's.
            if(
                slices.subscription_id is null or entries.entered_at > slices.closed_at, nights.bill_from, slices.bill_from
            ) as bill_from,
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
            and entries.list_no = charges.list_no
            and entries.meter = charges.meter
{%- endmacro %}

{# Usage of the periods in scope, row by row, that the books do not hold added up yet: what enters tonight, and of stretches
   that are new or say something else than before, all that there is. Levels over time do not add up and are not in it. #}
{% macro not_added_yet() -%}
    {%- set columns = 'slice_no, meter, occurred_at, key_hi, key_lo, actor, context, is_pooled, window_no, is_counted_in_baseline, '
        ~ 'aggregate, of_field, is_clamped, fixed, rate_num, rate_den, min_amount, max_amount, state, quantity, cost' -%}
    {%- set not_added -%}
        (
            select scope.*
            from {{ ref('int_periods__scope') }} as scope
            anti join (
                select stretches.slice_no
                from {{ source('books', 'stretches') }} as before
                inner join {{ ref('int_periods__stretches') }} as stretches on {{ says_the_same('before', 'stretches') }}
                where before.is_added
            ) as known on scope.slice_no = known.slice_no
        )
    {%- endset -%}
    select *
    from (
        select {{ columns }} from ({{ rated('(' ~ entering_tonight() ~ ')', ref('int_periods__scope'), join='inner') }}) as new_rows
        union all
        select {{ columns }} from ({{ rated(source('books', 'ledger'), not_added, join='inner') }}) as old_rows
    ) as entries
    where aggregate <> 'time_weighted' and (state = 'billable' or is_counted_in_baseline)
{%- endmacro %}

{% macro entering_tonight() -%}
    select entries.*, settings.as_of as entered_at
    from {{ ref('int_ledger__new') }} as entries
    cross join {{ source('catalog', 'settings') }} as settings
{%- endmacro %}

{# What the books hold of the stretches that are in scope and say what they said before: rows of a table by stretch, each with
   the slice of tonight. #}
{% macro kept(table) -%}
    select stretches.slice_no, kept.*
    from {{ source('books', table) }} as kept
    inner join {{ source('books', 'stretches') }} as before on kept.stretch_no = before.stretch_no and before.is_added
    inner join {{ ref('int_periods__stretches') }} as stretches on {{ says_the_same('before', 'stretches') }}
    inner join {{ ref('int_periods__scope') }} as scope on stretches.slice_no = scope.slice_no
{%- endmacro %}

{% macro says_the_same(before, now) -%}
    {{ before }}.subscription_id = {{ now }}.subscription_id
    and {{ before }}.from_at = {{ now }}.from_at
    and {{ before }}.said = {{ now }}.said
{%- endmacro %}

{# What is left of rated rows that do not add up, per slice and meter: the greatest or the latest row, each different value, and
   the sum of what single events owe within their least and most. #}
{% macro picks(rows) -%}
    select
        slice_no,
        meter,
        of_value,
        {{ pick('quantity') }} as quantity,
        {{ pick('occurred_at') }} as occurred_at,
        {{ pick('key_hi') }} as key_hi,
        {{ pick('key_lo') }} as key_lo,
        cast(sum(owed) as decimal(38, 18)) as clamped
    from (
        select
            *,
            least(
                greatest(
                    fixed + if(
                        aggregate = 'cost',
                        {{ times_ratio('units', 'rate_num', 'rate_den', 15) }},
                        {{ times_ratio('units', 'rate_num', 'rate_den') }}
                    ),
                    min_amount
                ),
                max_amount
            ) as owed
        from (
            select
                *,
                case
                    when aggregate <> 'unique_count' then null
                    when of_field = 'actor' then actor
                    else {{ json_text('context', 'of_field') }}
                end as of_value,
                case
                    when is_clamped and aggregate = 'cost' then {{ femto('cost') }}
                    when is_clamped then {{ nano('quantity') }}
                end as units
            from {{ rows }}
            where not is_pooled and state = 'billable' and (is_clamped or aggregate in ('max', 'latest', 'unique_count'))
        ) as counted
        where aggregate <> 'unique_count' or of_value is not null
    ) as valued
    group by slice_no, meter, of_value
{%- endmacro %}

{# What picks come to, per period in scope, plan and meter. #}
{% macro picked(picks) -%}
    select
        scope.subscription_id,
        scope.period_start,
        scope.plan,
        picks.meter,
        case any_value(charges.aggregate)
            when 'max' then {{ nano('max(picks.quantity)') }}
            when 'latest' then {{ nano('max_by(picks.quantity, (picks.occurred_at, picks.key_hi, picks.key_lo))') }}
            when 'unique_count' then {{ whole('count(distinct picks.of_value)') }} * 1000000000
        end as units,
        cast(sum(picks.clamped) as decimal(38, 18)) as clamped
    from {{ picks }} as picks
    inner join {{ ref('int_periods__scope') }} as scope on picks.slice_no = scope.slice_no
    inner join {{ ref('int_catalogue__charges') }} as charges
        on scope.list_no = charges.list_no and picks.meter = charges.meter
    group by scope.subscription_id, scope.period_start, scope.plan, picks.meter
{%- endmacro %}

{# Of the row that `max` or `latest` picks. #}
{% macro pick(column) -%}
    case any_value(aggregate)
        when 'max' then max_by({{ column }}, (quantity, occurred_at, key_hi, key_lo)) filter (where aggregate = 'max')
        when 'latest' then max_by({{ column }}, (occurred_at, key_hi, key_lo)) filter (where aggregate = 'latest')
    end
{%- endmacro %}

{# The slices in scope whose running sums are held against their rows tonight: of a long ledger every subscription's once a
   week, by turns, and whenever its period closes. #}
{% macro looked_at_tonight() -%}
    select scope.*
    from {{ ref('int_periods__scope') }} as scope
    cross join {{ source('catalog', 'settings') }} as settings
    where
        scope.is_closing
        or (select count(*) from {{ source('books', 'added') }}) < 1000000
        or hash(scope.subscription_id) % 7 = epoch_us(settings.as_of) // 86400000000 % 7
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

{# The live book begins empty at bill_from: a period that has ended by then has neither a minimum nor a baseline in it. #}
{% macro is_before_book(book, period_end, bill_from) -%}
    coalesce({{ book }} = 'live' and {{ period_end }} <= {{ bill_from }}, false)
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
