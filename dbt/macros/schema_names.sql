{#-
  Where models land.

  Snowflake: <target database>.<prefix><CUSTOM>, e.g. ANALYTICS.MARTS.
  DuckDB:    ANALYTICS__<prefix><CUSTOM> in the one file, the same mapping that the raw tables have.

  SLUICE_SCHEMA_PREFIX (e.g. `CI_PR_12_`) keeps a developer or a pull request apart from production.
-#}
{% macro generate_schema_name(custom_schema_name, node) -%}
  {%- if custom_schema_name is none -%}
    {{ target.schema }}
  {%- else -%}
    {%- set schema = env_var('SLUICE_SCHEMA_PREFIX', '') ~ custom_schema_name | trim -%}
    {{ ('ANALYTICS__' ~ schema if target.type == 'duckdb' else schema) | upper }}
  {%- endif -%}
{%- endmacro %}
