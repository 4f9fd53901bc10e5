select
  purchase_date,
  cast(count(*) as bigint) as transactions,
  cast(sum(quantity) as bigint) as items,
  cast(count(distinct customer_id) as bigint) as customers,
  cast(coalesce(sum(line_usd), 0) as decimal(38, 2)) as usd,
  cast(coalesce(sum(line_gbp), 0) as decimal(38, 2)) as gbp
from {{ ref('fct_purchases') }}
group by purchase_date
