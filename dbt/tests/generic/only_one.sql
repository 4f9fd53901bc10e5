{#- Exactly one row of the model meets the condition, e.g. one unknown member. -#}
{% test only_one(model, condition=none, arguments=none) %}
select count(*) as matching from {{ model }} where {{ condition or arguments['condition'] }} having count(*) <> 1
{% endtest %}
