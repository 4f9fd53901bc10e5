-- A customer is a live contact: neither archived nor merged into another one. Of those that share an address the one with
-- the lowest id has it.
with contacts as (
  select * from {{ ref('stg_airbyte__contacts') }}
)

select
  contacts.contact_id,
  contacts.email,
  contacts.first_name,
  contacts.last_name,
  contacts.lifecycle_stage,
  contacts.created_at,
  contacts.last_modified_at,
  contacts.loaded_at,
  contacts.is_opted_out,
  contacts.total_orders as hubspot_total_orders,
  contacts.lifetime_value as hubspot_lifetime_value,
  contacts.customer_tier as hubspot_customer_tier,
  coalesce(contacts.email, '') <> ''
  and row_number() over (partition by contacts.email order by contacts.contact_id) = 1 as owns_email
from contacts
left join {{ ref('int_contacts__merged') }} as merged on contacts.contact_id = merged.merged_id
where not contacts.is_archived
  and merged.merged_id is null
