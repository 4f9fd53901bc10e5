{#- Every value of the column is above zero; null is fine. -#}
{% test more_than_zero(model, column_name) %}
select {{ column_name }} from {{ model }} where {{ column_name }} <= 0
{% endtest %}
