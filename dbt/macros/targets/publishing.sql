{#- What publishing needs and the two warehouses do differently. -#}

{#- Snowflake ends a transaction at each DDL statement; on DuckDB everything is one transaction. -#}
{% macro run_in_publishing_order(before, within, after) %}
  {{ adapter.dispatch('run_in_publishing_order')(before, within, after) }}
{% endmacro %}

{% macro duckdb__run_in_publishing_order(before, within, after) %}
  {#- dbt begins the transaction, or goes on with the one in which it has read. -#}
  {% for change in before + within + after %}
    {% call statement('publish', auto_begin=true) %}{{ change }}{% endcall %}
  {% endfor %}
  {% do adapter.commit() %}
{% endmacro %}

{% macro snowflake__run_in_publishing_order(before, within, after) %}
  {% set transaction = ['begin'] + within + ['commit'] if within else [] %}
  {% for change in before + transaction + after %}
    {% call statement('publish', auto_begin=false) %}{{ change }}{% endcall %}
  {% endfor %}
{% endmacro %}

{% macro create_published_table(source_relation, target_relation) %}
  {{ return(adapter.dispatch('create_published_table')(source_relation, target_relation)) }}
{% endmacro %}

{% macro duckdb__create_published_table(source_relation, target_relation) %}
  {{ return('create or replace table ' ~ target_relation ~ ' as select * from ' ~ source_relation) }}
{% endmacro %}

{% macro snowflake__create_published_table(source_relation, target_relation) %}
  {{ return('create or replace table ' ~ target_relation ~ ' copy grants as select * from ' ~ source_relation) }}
{% endmacro %}

{#- The days of which the two tables hold different rows. -#}
{% macro query_of_changed_days(source_relation, target_relation, day, names) %}
  {{ return(adapter.dispatch('query_of_changed_days')(source_relation, target_relation, day, names)) }}
{% endmacro %}

{#- A fingerprint of each day's rows: several times cheaper here than comparing the rows. -#}
{% macro duckdb__query_of_changed_days(source_relation, target_relation, day, names) %}
  {% set fingerprints = 'select ' ~ day ~ ', count(*) as n, sum(hash(' ~ names ~ ')) as fingerprint from ' %}
  {% set query %}
    select coalesce(built.{{ day }}, seen.{{ day }})
    from ({{ fingerprints }} {{ source_relation }} group by 1) as built
    full join ({{ fingerprints }} {{ target_relation }} group by 1) as seen on built.{{ day }} = seen.{{ day }}
    where built.n is distinct from seen.n or built.fingerprint is distinct from seen.fingerprint
    order by 1
  {% endset %}
  {{ return(query) }}
{% endmacro %}

{% macro snowflake__query_of_changed_days(source_relation, target_relation, day, names) %}
  {% set query %}
    select {{ day }} from (select {{ names }} from {{ source_relation }} except select {{ names }} from {{ target_relation }}) as gained
    union
    select {{ day }} from (select {{ names }} from {{ target_relation }} except select {{ names }} from {{ source_relation }}) as lost
    order by 1
  {% endset %}
  {{ return(query) }}
{% endmacro %}

{% macro create_published_view(node, query) %}
  {{ return(adapter.dispatch('create_published_view')(node, query)) }}
{% endmacro %}

{% macro duckdb__create_published_view(node, query) %}
  {{ return('create or replace view ' ~ published_relation(node) ~ ' as ' ~ query) }}
{% endmacro %}

{#-
  Comments of a view are given when it is made, in a list of its columns. The list is matched to the query by position, so
  the columns are selected by name in the list's order, whatever the order of the query's own.
-#}
{% macro snowflake__create_published_view(node, query) %}
  {% set columns = [] %}
  {% for column in node.columns.values() %}
    {% do columns.append(column.name ~ ' comment ' ~ text_literal(column.description)) %}
  {% endfor %}
  {{ return(
    'create or replace view ' ~ published_relation(node) ~ ' (' ~ columns | join(', ') ~ ') copy grants comment = '
    ~ text_literal(node.description) ~ ' as select ' ~ node.columns.values() | map(attribute='name') | join(', ') ~ ' from (\n'
    ~ query ~ '\n) as built'
  ) }}
{% endmacro %}

{#- Comments of tables. Who may read is said by platform/warehouse.yaml: dbt owns no schema, and may not grant in it. -#}
{% macro publish_comments(nodes) %}
  {{ adapter.dispatch('publish_comments')(nodes) }}
{% endmacro %}

{% macro duckdb__publish_comments(nodes) %}
  {% for node in nodes %}
    {% set relation = published_relation(node) %}
    {% do run_query('comment on ' ~ relation.type ~ ' ' ~ relation ~ ' is ' ~ text_literal(node.description)) %}
  {% endfor %}
{% endmacro %}

{% macro snowflake__publish_comments(nodes) %}
  {% for node in nodes %}
    {% set relation = published_relation(node) %}
    {% if relation.type == 'table' %}
      {% do run_query(alter_relation_comment(relation, node.description)) %}
      {% do run_query(alter_column_comment(relation, node.columns)) %}
    {% endif %}
  {% endfor %}
{% endmacro %}

{#- A text as a literal. In Snowflake a backslash begins an escape. -#}
{% macro text_literal(text) %}
  {{ return(adapter.dispatch('text_literal')(text)) }}
{% endmacro %}

{% macro duckdb__text_literal(text) %}
  {{ return("'" ~ text | replace("'", "''") ~ "'") }}
{% endmacro %}

{% macro snowflake__text_literal(text) %}
  {{ return("'" ~ text | replace("\\", "\\\\") | replace("'", "''") ~ "'") }}
{% endmacro %}
