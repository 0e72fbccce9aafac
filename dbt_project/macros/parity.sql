{# Counts in common units (assets/core/drift.py) as readers see them: `per` of them are one, counted in 10^-digits. #}
{% macro count_shown(units, per, digits) -%}
    cast(
        case {{ digits }}
            when 15 then {{ divide_round(units, 1000) }}
            else ({{ quotient(units, per) }}) * 1000 + {{ divide_round("((" ~ units ~ " % " ~ per ~ ") * 1000)", per) }}
        end as decimal(38, 0)
    ) * cast(0.000000000001 as decimal(12, 12))
{%- endmacro %}

{# (candidate - reference) / reference to six digits, for show; null where there is no reference to measure by. #}
{% macro drift_shown(difference, reference) -%}
    {#- Of counts beyond 10^30 the last six digits are left out, so that six can be multiplied on within 38 digits. -#}
    {%- set cut = "if(abs(" ~ reference ~ ") < 1000000000000000000000000000000, 1, 1000000)" -%}
    {%- set over = "(" ~ quotient("(" ~ difference ~ " * " ~ whole("sign(" ~ reference ~ ")") ~ ")", cut) ~ ")" -%}
    {%- set under = "(" ~ quotient("abs(" ~ reference ~ ")", cut) ~ ")" -%}
    case when {{ reference }} <> 0 then
        cast(
            ({{ quotient(over, under) }}) * 1000000 + {{ divide_round("((" ~ over ~ " % " ~ under ~ ") * 1000000)", under) }}
            as decimal(38, 0)
        ) * cast(0.000001 as decimal(6, 6))
    end
{%- endmacro %}

{# |difference| above num/den of |reference|, by multiplication alone. #}
{% macro drifts_above(difference, reference, num, den) -%}
    abs({{ difference }}) * {{ den }} > {{ num }} * abs({{ reference }})
{%- endmacro %}

{# The two sides of every comparison, each with the rows it counts and what brings them to common units. #}
{% macro parity_sides(scope) -%}
    select
        comparison, 'reference' as side, measure, unit, digits, per,
        reference_meter as meter, reference_source as source, is_reference_count as is_count, reference_factor as factor,
        from_at, until_at, clean_from, clean_until, is_going_live, bill_from
    from {{ scope }}
    union all
    select
        comparison, 'candidate' as side, measure, unit, digits, per,
        candidate_meter as meter, candidate_source as source, is_candidate_count as is_count, candidate_factor as factor,
        from_at, until_at, clean_from, clean_until, is_going_live, bill_from
    from {{ scope }}
{%- endmacro %}

{# Rows of one side, counted in common units. `sides` and `entries` are aliases. #}
{% macro parity_units(sides, entries) -%}
    {{ sides }}.factor * coalesce(
        case
            when {{ sides }}.measure = 'cost' then {{ femto('sum(' ~ entries ~ '.cost)') }}
            when {{ sides }}.is_count then {{ whole('count(*)') }} * 1000000000
            else {{ nano('sum(' ~ entries ~ '.quantity)') }}
        end,
        0
    )
{%- endmacro %}
