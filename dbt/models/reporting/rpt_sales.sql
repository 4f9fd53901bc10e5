select
  customer_id,
  first_name,
  last_name,
  {{ masked_email('email') }} as email,
  total_transactions,
  total_items,
  total_usd,
  total_gbp,
  first_purchase_at,
  last_purchase_at,
  unpriced_lines,
  unconverted_lines,
  carried_forward_lines
from {{ ref('sales') }}
