{#
  A model is put in its place by one statement. dbt makes it beside the old one, renames both and drops the old, for those
  who read it meanwhile; nobody reads these while they are made, and a night that is killed makes all of them again.
#}
{% materialization table, adapter="duckdb" %}
    {%- set target = this.incorporate(type="table") -%}
    {{ make_room(target) }}
    {% call statement("main") -%}
        {{ get_assert_columns_equivalent(sql) }}
        create or replace table {{ target }} {{ get_table_columns_and_constraints() }};
        insert into {{ target }} {{ get_column_names() }} ({{ get_select_subquery(sql) }});
    {%- endcall %}
    {% do adapter.commit() %}
    {{ return({"relations": [target]}) }}
{% endmaterialization %}

{% materialization view, adapter="duckdb" %}
    {%- set target = this.incorporate(type="view") -%}
    {{ make_room(target) }}
    {% call statement("main") -%}
        create or replace view {{ target }} {{ get_assert_columns_equivalent(sql) }} as ({{ sql }});
    {%- endcall %}
    {% do persist_docs(target, model) %}
    {% do adapter.commit() %}
    {{ return({"relations": [target]}) }}
{% endmaterialization %}

{# What was a view and is a table now, or the other way round, can't be replaced. #}
{% macro make_room(target) -%}
    {%- set existing = load_cached_relation(target) -%}
    {%- if existing is not none and existing.type != target.type -%}
        {{ adapter.drop_relation(existing) }}
    {%- endif -%}
{%- endmacro %}

{# All comments in one go: the contract has seen to it that the columns are there. #}
{% macro duckdb__persist_docs(relation, model, for_relation, for_columns) -%}
    {%- if config.persist_relation_docs() -%}
        {%- set comments -%}
            {{ alter_relation_comment(relation, model.description) }}
            {% for name, column in model.columns.items() -%}
                comment on column {{ relation }}.{{ adapter.quote(name) if column.quote else name }}
                is {{ duckdb_escape_comment(column.description) }};
            {% endfor %}
        {%- endset -%}
        {%- do run_query(comments) -%}
    {%- endif -%}
{%- endmacro %}
