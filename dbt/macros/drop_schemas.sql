{#-
  Drops every schema of a change or of a person, by the prefix that DBT_SLUICE_SCHEMA_PREFIX gave them:

    dbt run-operation drop_schemas --args '{prefix: CI_PR_12_}'

  Only a prefix that ends in an underscore is taken, so that CI_PR_1 is not the beginning of CI_PR_12, and none under which
  production's own schemas would fall.
-#}
{% macro drop_schemas(prefix) %}
  {% set wanted = ('ANALYTICS__' if target.type == 'duckdb' else '') ~ prefix | upper %}
  {% if not modules.re.fullmatch('[A-Z][A-Z0-9_]*[A-Z0-9]_', prefix | upper) or prefix | upper in ['ANALYTICS_', 'TEST_'] %}
    {% do exceptions.raise_compiler_error('A prefix is a name that ends in one underscore, such as CI_PR_12_; ' ~ prefix ~ ' is none') %}
  {% endif %}
  {% set found = run_query(
    "select schema_name from information_schema.schemata where left(schema_name, " ~ wanted | length ~ ") = '" ~ wanted
    ~ "' and upper(catalog_name) = '" ~ target.database | upper ~ "' order by 1"
  ) %}
  {% for row in found %}
    {% do adapter.drop_schema(api.Relation.create(database=target.database, schema=row[0])) %}
    {% do log('dropped ' ~ row[0], info=true) %}
  {% endfor %}
{% endmacro %}
