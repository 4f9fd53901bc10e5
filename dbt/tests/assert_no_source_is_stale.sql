-- Sources that are older than their `error_after` in _sources.yml: nothing that is built on them is published. One that was
-- never loaded is not old; what it should have brought is missed by other tests. A replay brings nothing new.
{{ config(severity=severity_by_target('stale_source_severity')) }}
-- depends_on: {{ ref('fct_purchases') }}
{% set limits = source_age_limits() if execute else [] %}
with newest as (
  select table_name, max(loaded_at) as loaded_at
  from {{ load_ledger() }}
  where status = 'loaded' and loader <> 'replay'
  group by table_name
)

select table_name, loaded_at
from newest
where
  {%- for limit in limits %}
  {{ 'or ' if not loop.first }}table_name = '{{ limit.table }}' and loaded_at < cast('{{ limit.oldest }}' as datetime)
  {%- else %}
  1 = 0
  {%- endfor %}
