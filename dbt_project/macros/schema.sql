{# A model's folder names its schema outright: no target prefix, every workspace is a file of its own. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ custom_schema_name or target.schema }}
{%- endmacro %}
