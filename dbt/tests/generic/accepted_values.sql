{#- The column holds none but these values. As dbt's own, in dbt 1.9's spelling of arguments too (see README). -#}
{% test accepted_values(model, column_name, values=none, arguments=none) %}
{{ default__test_accepted_values(model, column_name, values or arguments['values']) }}
{% endtest %}
