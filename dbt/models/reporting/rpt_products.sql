-- What is on sale now. A product that was deleted is not, and one that came back is there once.
select
  product_id,
  product_name,
  price_usd,
  valid_from as price_since
from {{ ref('dim_products') }}
where is_current
