-- Every change ends the version before it, a DELETE too. Ranking comes before deletions are set aside: filtered first,
-- the version before a DELETE would never end and the product would come back.
with changes as (
  select *
  from {{ ref('stg_dlt__products') }}
  -- Of several changes at one moment only the last one was ever visible.
  qualify row_number() over (partition by product_id, valid_from order by audit_id desc) = 1
)

select
  audit_id,
  product_id,
  product_name,
  price_usd,
  valid_from,
  lead(valid_from) over (partition by product_id order by valid_from) as valid_to,
  operation = 'DELETE' as is_deletion,
  loaded_at
from changes
