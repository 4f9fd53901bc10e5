-- The rate that a purchase of a day is converted with: the day's own, else the latest of the days before. Each rate is
-- offered to its own day and to the days after it, and each day takes the youngest offer, so that the join to purchases
-- is one on equality.
with offers as (
  select
    cast(rates.rate_date + ages.n as date) as purchase_date,
    rates.rate_date,
    rates.rate,
    rates.rate_kind,
    ages.n as age_days
  from {{ ref('int_exchange_rates__preferred') }} as rates
  cross join ({{ whole_numbers(2) }}) as ages
  where rates.base_currency = 'USD'
    and rates.target_currency = 'GBP'
    and ages.n <= {{ var('rate_carry_forward_days') }}
)

select
  purchase_date,
  rate_date,
  rate,
  rate_kind,
  age_days > 0 as is_carried_forward
from offers
qualify row_number() over (partition by purchase_date order by age_days) = 1
