{# The UUID (version 5, in Tallyhouse's namespace) of a text: the same text names the same thing for ever. #}
{% macro uuid5(name) -%}
    {{ adapter.dispatch('uuid5')(name) }}
{%- endmacro %}
{% macro duckdb__uuid5(name) -%}
    (
        select
            hex[1:8] || '-' || hex[9:12] || '-5' || hex[14:16] || '-'
            || substr('89ab89ab89ab89ab', strpos('0123456789abcdef', hex[17]), 1) || hex[18:20] || '-' || hex[21:32]
        from (select sha1(from_hex('6f0f4e3c2a3d5b3f9a6f1f0d8a2c7b41') || encode({{ name }})) as hex) as digest
    )
{%- endmacro %}
{% macro spark__uuid5(name) -%}
    {%- set hex = "sha1(concat(x'6f0f4e3c2a3d5b3f9a6f1f0d8a2c7b41', cast(" ~ name ~ " as binary)))" -%}
    concat(
        substr({{ hex }}, 1, 8), '-', substr({{ hex }}, 9, 4), '-5', substr({{ hex }}, 14, 3), '-',
        substr('89ab89ab89ab89ab', instr('0123456789abcdef', substr({{ hex }}, 17, 1)), 1), substr({{ hex }}, 18, 3), '-',
        substr({{ hex }}, 21, 12)
    )
{%- endmacro %}
