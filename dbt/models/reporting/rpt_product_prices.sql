-- Every name and price that a product has had, so also of products that are no longer on sale.
select
  product_id,
  product_name,
  price_usd,
  valid_from,
  valid_to,
  is_current
from {{ ref('dim_products') }}
where product_id is not null
