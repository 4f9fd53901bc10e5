-- Built whole every time: a late or corrected rate may be of any day.
select
  rate_date,
  base_currency,
  target_currency,
  rate,
  rate_kind,
  source_timestamp,
  loaded_at
from {{ ref('int_exchange_rates__preferred') }}
