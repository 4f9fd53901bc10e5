{#-
  A data test keeps the rows that fail it in a table of its own, which is empty when it passes. On DuckDB, where people open
  the file to look at it, the empty ones are dropped: a table in TEST_FAILURES is a failure.
-#}
{% macro drop_tables_of_passed_tests(results) %}
  {% if target.type != 'duckdb' %}{{ return('') }}{% endif %}
  {% set statements = [] %}
  {% for result in results %}
    {% if result.node.resource_type == 'test' and result.status == 'pass' and not result.failures and result.node.relation_name %}
      {% do statements.append('drop table if exists ' ~ result.node.relation_name) %}
    {% endif %}
  {% endfor %}
  {{ return(statements | join(';\n')) }}
{% endmacro %}
