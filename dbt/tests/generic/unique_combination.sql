{#- The grain of a model whose key has several columns: no combination of them occurs twice. -#}
{% test unique_combination(model, columns=none, arguments=none) %}
{%- set keys = (columns or arguments['columns']) | join(', ') %}
select {{ keys }}, count(*) as occurrences
from {{ model }}
group by {{ keys }}
having count(*) > 1
{% endtest %}
