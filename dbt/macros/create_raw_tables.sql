{#-
  Creates every raw table empty from the sources' columns, the ledger of loads and the list of rows that were put aside, where they do not exist:

    dbt run-operation create_raw_tables

  For tests and for working on the models without a platform. In a deployed account and in the demo the tables come from
  the platform's own DDL.
-#}
{% macro create_raw_tables() %}
  {% set platform_columns = [
    '_sluice_run_id varchar', '_sluice_sequence decimal(20, 0)', '_sluice_loaded_at datetime',
    '_sluice_source_file varchar', '_sluice_row_number decimal(20, 0)',
  ] %}
  {% set kafka_columns = [
    '_kafka_topic varchar', '_kafka_partition bigint', '_kafka_offset decimal(20, 0)', '_kafka_timestamp datetime',
  ] %}
  {% for node in graph.sources.values() %}
    {% set columns = [] %}
    {% for column in node.columns.values() %}
      {% do columns.append(column.name ~ ' ' ~ column.data_type) %}
    {% endfor %}
    {% do columns.extend(platform_columns) %}
    {% if node.source_name == 'streaming_public' %}{% do columns.extend(kafka_columns) %}{% endif %}
    {% if target.type == 'snowflake' %}
      {% do run_query('create database if not exists ' ~ node.database) %}
    {% endif %}
    {% set relation = source(node.source_name, node.name) %}
    {% do run_query('create schema if not exists ' ~ relation.without_identifier()) %}
    {% do run_query('create table if not exists ' ~ relation ~ ' (' ~ columns | join(', ') ~ ')') %}
    {% do log('created ' ~ relation, info=true) %}
  {% endfor %}
  {% set observability = api.Relation.create(
    database=target.database if target.type == 'duckdb' else 'ADMIN',
    schema=('ADMIN__' if target.type == 'duckdb' else '') ~ 'OBSERVABILITY',
  ) %}
  {% if target.type == 'snowflake' %}{% do run_query('create database if not exists ADMIN') %}{% endif %}
  {% do run_query('create schema if not exists ' ~ observability) %}
  {% do run_query('create table if not exists ' ~ observability ~ '.LOADS (TABLE_NAME varchar, STATUS varchar, LOADER varchar, LOADED_AT datetime)') %}
  {% do run_query('create table if not exists ' ~ put_aside_rows() ~ ' (TABLE_NAME varchar, ROW_KEY varchar, TAKEN_BACK_AT datetime)') %}
{% endmacro %}
