-- A fixed calendar, and any day outside it that a fact refers to: a clock that is wrong by decades loses no purchase.
with days as (
  select cast(cast('2020-01-01' as date) + numbers.n as date) as date_day
  from ({{ whole_numbers(4) }}) as numbers
  union
  select purchase_date from {{ ref('fct_purchases') }}
  union
  select rate_date from {{ ref('fct_exchange_rates') }}
)

select
  date_day,
  cast(extract(year from date_day) as integer) as year_number,
  cast(extract(quarter from date_day) as integer) as quarter_of_year,
  cast(extract(month from date_day) as integer) as month_of_year,
  cast(extract(day from date_day) as integer) as day_of_month,
  cast({{ iso_day_of_week('date_day') }} as integer) as day_of_week,
  {{ iso_day_of_week('date_day') }} in (6, 7) as is_weekend,
  cast(date_trunc('month', date_day) as date) as month_start
from days
