{#- What a query is for, in its tag: the run and the model, so that what it costs can be told of both. dbt calls these before and
    after each materialization; tests keep the profile's tag. -#}

{% macro snowflake__set_query_tag() %}
  {#- dbt Cloud's number of the run is the one that ADMIN.OBSERVABILITY.DBT_RUNS has; elsewhere dbt's own id is. -#}
  {% set run = env_var('DBT_CLOUD_RUN_ID', invocation_id) %}
  {% do run_query("alter session set query_tag = 'sluice:dbt:" ~ run ~ ":" ~ model.name ~ "'") %}
  {{ return(target.get('query_tag') or 'dbt') }}
{% endmacro %}

{% macro snowflake__unset_query_tag(original_query_tag) %}
  {% do run_query("alter session set query_tag = '" ~ original_query_tag ~ "'") %}
{% endmacro %}
