{#-
  Whether the model adds to what is there. `dbt compile` without a warehouse cannot look, so DBT_SLUICE_COMPILE_AS tells it:
  `first_run` or `incremental`.
-#}
{% macro is_incremental() %}
  {% set told = env_var('DBT_SLUICE_COMPILE_AS', '') %}
  {% if told and execute %}
    {{ return(told == 'incremental' and model.config.materialized == 'incremental') }}
  {% endif %}
  {{ return(dbt.is_incremental()) }}
{% endmacro %}

{#-
  The incremental strategy `replace`: a row goes when it shares any one of the unique keys with a new row. With the keys day
  and event, whole days are replaced, and an event that has moved to another day leaves the one where it was.
-#}
{% macro get_incremental_replace_sql(arg_dict) %}
  {% set columns = arg_dict.dest_columns | map(attribute='quoted') | join(', ') %}
  {% set change %}
    delete from {{ arg_dict.target_relation }}
    where
      {%- for key in arg_dict.unique_key %}
      {{ 'or ' if not loop.first }}{{ key }} in (select {{ key }} from {{ arg_dict.temp_relation }})
      {%- endfor %}
    ;
    insert into {{ arg_dict.target_relation }} ({{ columns }})
    select {{ columns }} from {{ arg_dict.temp_relation }}
  {% endset %}
  {{ return(adapter.dispatch('one_transaction')(change)) }}
{% endmacro %}

{#- dbt has begun one. -#}
{% macro duckdb__one_transaction(change) %}
  {{ return(change) }}
{% endmacro %}

{% macro snowflake__one_transaction(change) %}
  {{ return('begin;' ~ change ~ ';commit;') }}
{% endmacro %}
