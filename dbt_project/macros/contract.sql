{# A contract's types are DuckDB's. On Spark it holds a model to its columns' names, which the selection of them sees to; to
   their types it is held when the rows come back (assets/spark/tables.py). #}
{% macro spark__get_assert_columns_equivalent(sql) -%}
{%- endmacro %}

{# On DuckDB one query holds the columns of a model against its contract; where they differ, dbt asks again and says how. #}
{% macro duckdb__get_assert_columns_equivalent(sql) -%}
    {%- set told = get_empty_schema_sql(model["columns"]) -%}
    {%- set unlike = run_query(
        "with given as (select column_name, column_type from (describe " ~ sql ~ "\n)), "
        ~ "told as (select column_name, column_type from (describe " ~ told ~ ")) "
        ~ "(from given except all from told) union all (from told except all from given) limit 1"
    ) -%}
    {%- if unlike | length > 0 -%}
        {{ assert_columns_equivalent(sql) }}
    {%- endif -%}
{%- endmacro %}
