{# Money and quantities as readers see them: twelve digits, half away from zero. Nothing is billed from these. #}
{% macro shown(amount) -%}
    cast({{ amount }} as decimal(38, 12))
{%- endmacro %}
