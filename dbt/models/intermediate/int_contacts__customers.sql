-- A customer is a live contact. Purchases name a customer by e-mail, so each address has one owner: the contact with the
-- lowest id among those that share it. HubSpot keeps the id of a contact that was merged away in the
-- merged_ids of the one that stayed; the record itself may still be in the raw table.
with contacts as (
  select * from {{ ref('stg_airbyte__contacts') }}
),

-- Numbers up to the count of separators give the parts: both warehouses split a text in this way alike.
replaced as (
  select
    contacts.contact_id as kept_id,
    try_cast({{ trimmed("split_part(contacts.merged_ids, ';', numbers.n + 1)") }} as bigint) as merged_id
  from contacts
  join ({{ whole_numbers(3) }}) as numbers
    on length(contacts.merged_ids) - length(replace(contacts.merged_ids, ';', '')) >= numbers.n
  where contacts.merged_ids <> ''
),

merged_away as (
  select distinct merged_id from replaced where merged_id <> kept_id
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
  coalesce(contacts.email, '') <> ''
  and row_number() over (partition by contacts.email order by contacts.contact_id) = 1 as owns_email
from contacts
left join merged_away on contacts.contact_id = merged_away.merged_id
where not contacts.is_archived
  and merged_away.merged_id is null
