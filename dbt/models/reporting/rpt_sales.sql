select
  sales.customer_id,
  sales.first_name,
  sales.last_name,
  {{ masked_email('sales.email') }} as email,
  customers.lifecycle_stage,
  sales.total_transactions,
  sales.total_items,
  sales.total_usd,
  sales.total_gbp,
  sales.first_purchase_at,
  sales.last_purchase_at,
  sales.unpriced_lines,
  sales.unconverted_lines,
  sales.carried_forward_lines
from {{ ref('sales') }} as sales
left join {{ ref('dim_customers') }} as customers on sales.customer_id = customers.customer_id
