select
  cast(audit_id as varchar) as product_key,
  product_id,
  product_name,
  price_usd,
  valid_from,
  valid_to,
  valid_to is null as is_current,
  loaded_at
from {{ ref('int_products__versions') }}
where not is_deletion

union all

select
  {{ unknown_key() }},
  cast(null as bigint),
  'Unknown product',
  cast(null as decimal(18, 4)),
  cast(null as datetime),
  cast(null as datetime),
  false,
  cast(null as datetime)
