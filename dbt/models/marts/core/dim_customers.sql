select
  cast(contact_id as varchar) as customer_id,
  email,
  first_name,
  last_name,
  lifecycle_stage,
  created_at,
  last_modified_at,
  loaded_at,
  owns_email,
  is_opted_out,
  hubspot_total_orders,
  hubspot_lifetime_value,
  hubspot_customer_tier
from {{ ref('int_contacts__customers') }}

union all

select
  {{ unknown_key() }},
  'unknown',
  'Unknown',
  'Customer',
  cast(null as varchar),
  cast(null as datetime),
  cast(null as datetime),
  cast(null as datetime),
  false,
  false,
  cast(null as varchar),
  cast(null as varchar),
  cast(null as varchar)
