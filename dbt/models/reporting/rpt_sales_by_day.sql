select
  purchase_date,
  cast(count(*) as bigint) as transactions,
  {{ total_items('quantity') }} as items,
  cast(count(distinct customer_id) as bigint) as customers,
  cast(coalesce(sum(line_usd), 0) as decimal(38, 2)) as usd,
  {{ total_gbp('line_gbp', 'is_unconverted') }} as gbp
from {{ ref('fct_purchases') }}
group by purchase_date
