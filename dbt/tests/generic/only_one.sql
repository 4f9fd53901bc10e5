{#- Exactly one row of the model meets the condition, e.g. one unknown member. -#}
{% test only_one(model, condition) %}
select count(*) as matching from {{ model }} where {{ condition }} having count(*) <> 1
{% endtest %}
