{# A JSON pointer to one key of an object, whatever characters the key has. #}
{% macro json_pointer(key) -%}
    '/' || replace(replace({{ key }}, '~', '~0'), '/', '~1')
{%- endmacro %}
