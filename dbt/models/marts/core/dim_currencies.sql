-- The newest list, and every code that a rate was ever loaded for: a code that vanished from the list keeps its history.
with codes as (
  select currency_code from {{ ref('stg_dlt__currencies') }}
  union
  select base_currency from {{ ref('int_exchange_rates__preferred') }}
  union
  select target_currency from {{ ref('int_exchange_rates__preferred') }}
)

select
  codes.currency_code,
  coalesce(listed.currency_name, codes.currency_code) as currency_name,
  listed.currency_code is not null as is_listed,
  codes.currency_code in ('USD', 'EUR', 'GBP', 'JPY', 'AUD', 'CAD', 'CHF') as is_major
from codes
left join {{ ref('stg_dlt__currencies') }} as listed on codes.currency_code = listed.currency_code
