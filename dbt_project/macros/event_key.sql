{# The 64 hex digits of an event key out of the two 128-bit halves it is stored and joined as. #}
{% macro event_key(hi, lo) -%}
    format('{:032x}{:032x}', {{ hi }}, {{ lo }})
{%- endmacro %}
