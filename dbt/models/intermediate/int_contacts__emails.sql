-- Purchases name a customer by e-mail. A customer's addresses are its own, HubSpot's additional ones (the address of a
-- contact that is merged away becomes one of them) and those of the contacts that it is made of, as far as their rows still
-- have one. An address that a live contact has for its own is that contact's, also where another contact had it before.
with recursive

contacts as (
  select contact_id, email, additional_emails from {{ ref('stg_airbyte__contacts') }}
),

customers as (
  select contact_id, email, owns_email from {{ ref('int_contacts__customers') }}
),

-- Down from the customers: each merged contact is part of one other, so nothing comes twice and no circle is entered.
parts as (
  select contact_id as customer_id, contact_id as part_id from customers
  union all
  select parts.customer_id, merged.merged_id as part_id
  from parts
  join {{ ref('int_contacts__merged') }} as merged on parts.part_id = merged.kept_id
),

addresses as (
  select email, contact_id as customer_id, true as is_own from customers where owns_email

  union all

  select contacts.email, parts.customer_id, false as is_own
  from parts
  join contacts on parts.part_id = contacts.contact_id
  where parts.part_id <> parts.customer_id

  union all

  select
    {{ normalised_email("split_part(contacts.additional_emails, ';', numbers.n + 1)") }} as email,
    parts.customer_id,
    false as is_own
  from parts
  join contacts on parts.part_id = contacts.contact_id
  join ({{ whole_numbers(3) }}) as numbers
    on length(contacts.additional_emails) - length(replace(contacts.additional_emails, ';', '')) >= numbers.n
  where contacts.additional_emails <> ''
)

select email, customer_id, is_own
from addresses
where email <> ''
qualify row_number() over (partition by email order by case when is_own then 0 else 1 end, customer_id) = 1
