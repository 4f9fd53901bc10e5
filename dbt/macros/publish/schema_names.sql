{#-
  Where models land.

  Snowflake: <target database>.<prefix><CUSTOM>, e.g. ANALYTICS.STAGING.
  DuckDB:    ANALYTICS__<prefix><CUSTOM> in the one file, the same mapping that the raw tables have.

  DBT_SLUICE_SCHEMA_PREFIX (e.g. `CI_PR_12_`) keeps a developer or a pull request apart from production.

  Marts and reporting are built aside, in MARTS_AUDIT and REPORTING_AUDIT, and published from there (publish.sql).
  DBT_SLUICE_RELATIONS=published gives the published names instead: for what describes the project to readers (documentation,
  BI tools, the manifest that others defer to), never for a build.
-#}
{% macro generate_schema_name(custom_schema_name, node) -%}
  {%- if custom_schema_name is none -%}
    {{ target.schema }}
  {%- else -%}
    {%- set aside = custom_schema_name in published_layers() and not names_are_published() -%}
    {{ warehouse_schema(custom_schema_name ~ (audit_suffix() if aside else '')) }}
  {%- endif -%}
{%- endmacro %}

{% macro published_layers() -%}
  {{ return(['marts', 'reporting']) }}
{%- endmacro %}

{% macro audit_suffix() -%}
  {{ return('_AUDIT') }}
{%- endmacro %}

{% macro names_are_published() -%}
  {{ return(env_var('DBT_SLUICE_RELATIONS', 'audit') == 'published') }}
{%- endmacro %}

{% macro warehouse_schema(layer) -%}
  {%- set schema = env_var('DBT_SLUICE_SCHEMA_PREFIX', '') ~ layer | trim -%}
  {{ return(('ANALYTICS__' ~ schema if target.type == 'duckdb' else schema) | upper) }}
{%- endmacro %}
