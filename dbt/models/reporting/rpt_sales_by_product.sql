-- By product id, not by version: a product that changed its name or price is one row, under its newest name.
with names as (
  select product_id, product_name
  from {{ ref('dim_products') }}
  qualify row_number() over (partition by product_id order by valid_from desc) = 1
)

select
  purchases.product_id,
  max(names.product_name) as product_name,
  cast(count(*) as bigint) as transactions,
  {{ total_items('purchases.quantity') }} as items,
  cast(coalesce(sum(purchases.line_usd), 0) as decimal(38, 2)) as usd,
  {{ total_gbp('purchases.line_gbp', 'purchases.is_unconverted') }} as gbp
from {{ ref('fct_purchases') }} as purchases
left join names on purchases.product_id = names.product_id
group by purchases.product_id
