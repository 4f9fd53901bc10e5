-- HubSpot keeps the id of a contact that was merged away in the merged_ids of the one that stayed; the record itself may
-- still be in the raw table. Should several contacts name it, it is part of one that is a customer, else of the lowest id.
with contacts as (
  select contact_id, is_archived, merged_ids from {{ ref('stg_airbyte__contacts') }}
),

-- Numbers up to the count of separators give the parts: both warehouses split a text in this way alike.
named as (
  select
    contacts.contact_id as kept_id,
    contacts.is_archived,
    try_cast({{ trimmed("split_part(contacts.merged_ids, ';', numbers.n + 1)") }} as bigint) as merged_id
  from contacts
  join ({{ whole_numbers(3) }}) as numbers
    on length(contacts.merged_ids) - length(replace(contacts.merged_ids, ';', '')) >= numbers.n
  where contacts.merged_ids <> ''
),

claims as (
  select kept_id, is_archived, merged_id from named where merged_id <> kept_id
),

gone as (
  select distinct merged_id from claims
)

select
  claims.merged_id,
  claims.kept_id
from claims
left join gone on claims.kept_id = gone.merged_id
qualify row_number() over (
  partition by claims.merged_id
  order by case when gone.merged_id is null and not claims.is_archived then 0 else 1 end, claims.kept_id
) = 1
