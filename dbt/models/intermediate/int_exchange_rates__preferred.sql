-- A final rate replaces the provisional one of the same day.
select
  rate_date,
  base_currency,
  target_currency,
  rate,
  rate_kind,
  source_timestamp,
  loaded_at
from {{ ref('stg_dlt__exchange_rates') }}
qualify row_number() over (
  partition by rate_date, base_currency, target_currency
  order by case rate_kind when 'final' then 0 else 1 end
) = 1
