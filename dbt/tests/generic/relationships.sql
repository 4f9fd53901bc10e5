{#- Each value of the column is in the other relation's field. As dbt's own, in dbt 1.9's spelling of arguments too. -#}
{% test relationships(model, column_name, to=none, field=none, arguments=none) %}
{{ default__test_relationships(model, column_name, to or arguments['to'], field or arguments['field']) }}
{% endtest %}
