select
  rates.rate_date,
  rates.base_currency,
  rates.target_currency,
  currencies.currency_name as target_currency_name,
  currencies.is_major as is_major_currency,
  rates.rate,
  rates.rate_kind
from {{ ref('fct_exchange_rates') }} as rates
join {{ ref('dim_currencies') }} as currencies on rates.target_currency = currencies.currency_code
