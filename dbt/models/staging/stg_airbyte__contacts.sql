select
  id as contact_id,
  {{ normalised_email('email') }} as email,
  {{ trimmed('firstname') }} as first_name,
  {{ trimmed('lastname') }} as last_name,
  {{ trimmed('lifecyclestage') }} as lifecycle_stage,
  createdate as created_at,
  lastmodifieddate as last_modified_at,
  archived as is_archived,
  merged_ids as merged_ids,
  additional_emails as additional_emails,
  total_orders as total_orders,
  lifetime_value as lifetime_value,
  customer_tier as customer_tier,
  coalesce(opted_out, false) as is_opted_out,
  _sluice_loaded_at as loaded_at
from {{ source('airbyte_hubspot', 'contacts') }} as arrived
where {{ counts('AIRBYTE.HUBSPOT.CONTACTS', 'arrived', {'id': 'bigint'}) }}
