{# How far a count of `part` out of `whole` is surely above its usual share, in shares: what chance alone explains (three standard
   deviations, and three rows of a small number) is taken off first. #}
{% macro surely_above(part, whole, usual) -%}
    ({{ part }} - 3 * sqrt({{ whole }} * {{ usual }} * (1 - {{ usual }})) - 3) / greatest({{ whole }}, 1) - {{ usual }}
{%- endmacro %}

{# What came in on nights before, and tonight: a night posted with further files has both. #}
{% macro usage_seen() -%}
    select landed_at, source, meter, currency, fate, age_hours, usages, negatives, quantity, cost, amount
    from {{ source('gate', 'usage_seen') }}
    union all
    select landed_at, source, meter, currency, fate, age_hours, usages, negatives, quantity, cost, amount
    from {{ ref('gate_usage') }}
{%- endmacro %}
