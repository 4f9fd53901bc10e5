{#-
  What a test on the outside world does, such as a rate that is missing there: the variable says `error` or `warn`. Left
  `by target`, it is an error in an account and a warning on one machine, where people try their own files.
-#}
{% macro severity_by_target(variable) %}
  {% set told = var(variable) %}
  {{ return(told if told in ['error', 'warn'] else 'warn' if target.type == 'duckdb' else 'error') }}
{% endmacro %}

{#- The ledger of loads: a row for each commit that was loaded, also for one without rows. -#}
{% macro load_ledger() %}
  {{ return('ADMIN' ~ ('__' if target.type == 'duckdb' else '.') ~ 'OBSERVABILITY.LOADS') }}
{% endmacro %}

{#- The sources that commits fill and that have an `error_after`: their names in the ledger, and the oldest load allowed. -#}
{% macro source_age_limits() %}
  {% set limits = [] %}
  {% for node in graph.sources.values() | sort(attribute='unique_id') if node.config.get('loaded_at_query') %}
    {% set limit = node.config.get('freshness').error_after %}
    {% set age = modules.datetime.timedelta(**{limit.period ~ 's': limit.count}) %}
    {% set database_and_schema = node.schema | replace('__', '.') if target.type == 'duckdb' else node.database ~ '.' ~ node.schema %}
    {% do limits.append({
      'table': database_and_schema ~ '.' ~ node.identifier,
      'oldest': (run_started_at - age).strftime('%Y-%m-%d %H:%M:%S'),
    }) %}
  {% endfor %}
  {{ return(limits) }}
{% endmacro %}
