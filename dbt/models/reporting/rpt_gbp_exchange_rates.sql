-- The rates once more with the pound as base: what a pound is worth in each currency. Divided for people to look at, to 10
-- decimals; money is converted with the rates as they came, by multiplication only. Snowflake gives a quotient 6 decimals
-- more than the dividend has, 12 at most: the dividend's own decimals decide, so a 1 is divided as a rate of 10 decimals.
with rates as (
  select rate_date, target_currency, rate, rate_kind
  from {{ ref('fct_exchange_rates') }}
  where base_currency = 'USD'
),

pounds as (
  select rate_date, rate, rate_kind from rates where target_currency = 'GBP' and rate > 0
),

crossed as (
  select
    pounds.rate_date,
    rates.target_currency,
    cast(rates.rate / pounds.rate as decimal(28, 10)) as rate,
    case when pounds.rate_kind = 'final' and rates.rate_kind = 'final' then 'final' else 'provisional' end as rate_kind
  from pounds
  join rates on pounds.rate_date = rates.rate_date
  where rates.target_currency not in ('GBP', 'USD')

  union all

  select
    rate_date,
    'USD' as target_currency,
    cast(cast(1 as decimal(18, 10)) / rate as decimal(28, 10)) as rate,
    rate_kind
  from pounds
)

select
  crossed.rate_date,
  'GBP' as base_currency,
  crossed.target_currency,
  currencies.currency_name as target_currency_name,
  crossed.rate,
  crossed.rate_kind,
  cast(
    crossed.rate / nullif(lag(crossed.rate) over (partition by crossed.target_currency order by crossed.rate_date), 0) - 1
    as decimal(18, 8)
  ) as daily_return,
  lag(crossed.rate) over (partition by crossed.target_currency order by crossed.rate_date) as previous_rate,
  crossed.rate_date = max(crossed.rate_date) over (partition by crossed.target_currency) as is_latest
from crossed
join {{ ref('dim_currencies') }} as currencies on crossed.target_currency = currencies.currency_code
