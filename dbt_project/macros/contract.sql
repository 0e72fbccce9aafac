{# A contract's types are DuckDB's. On Spark it holds a model to its columns' names, which the selection of them sees to; to
   their types it is held when the rows come back (assets/spark/tables.py). #}
{% macro spark__get_assert_columns_equivalent(sql) -%}
{%- endmacro %}
