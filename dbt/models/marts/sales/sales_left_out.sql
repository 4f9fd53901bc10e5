-- What the totals of `sales` leave out, and what they cannot give to a customer; each reason always has its row.
select
  'unpriced' as reason,
  cast(count(*) as bigint) as lines,
  cast(null as decimal(38, 2)) as usd,
  min(purchase_date) as first_date,
  max(purchase_date) as last_date
from {{ ref('fct_purchases') }}
where is_unpriced

union all

select
  'unconverted' as reason,
  cast(count(*) as bigint) as lines,
  cast(coalesce(sum(line_usd), 0) as decimal(38, 2)) as usd,
  min(purchase_date) as first_date,
  max(purchase_date) as last_date
from {{ ref('fct_purchases') }}
where is_unconverted

union all

select
  'unknown customer' as reason,
  cast(count(*) as bigint) as lines,
  cast(coalesce(sum(line_usd), 0) as decimal(38, 2)) as usd,
  min(purchase_date) as first_date,
  max(purchase_date) as last_date
from {{ ref('fct_purchases') }}
where customer_id = {{ unknown_key() }}
