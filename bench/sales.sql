-- What the mart `sales` says of the files, in one statement over `products`, `contacts`, `purchases` and `rates` as they
-- were read: the rules of dbt/models/marts/sales/sales.yml, as far as these files have a case of them.
with merged as (
  select unnest(string_split(merged_ids, ';'))::bigint as consumed_id, id as survivor_id from contacts where merged_ids <> ''
),

customers as (
  select id, trim(firstname) as first_name, trim(lastname) as last_name, lower(trim(email)) as email
  from contacts
  anti join merged on contacts.id = merged.consumed_id
  where not archived
),

addresses as (
  select email, id as customer_id, 0 as inherited from customers
  union all
  select lower(trim(contacts.email)), customers.id, 1
  from merged
  join contacts on merged.consumed_id = contacts.id
  join customers on merged.survivor_id = customers.id
),

owners as (
  select email, customer_id
  from addresses
  where email <> ''
  qualify row_number() over (partition by email order by inherited, customer_id) = 1
),

prices as (
  select product_id, valid_ts, case when operation <> 'DELETE' then price_usd end as price_usd
  from products
  qualify row_number() over (partition by product_id, valid_ts order by audit_id desc) = 1
),

events as (
  select distinct on (event_id) event_id, lower(trim(customer_email)) as email, product_id, quantity, purchase_ts from purchases
),

priced as (
  select
    events.*,
    cast(cast(events.quantity as decimal(9, 0)) * prices.price_usd as decimal(16, 4)) as amount
  from events
  asof left join prices on events.product_id = prices.product_id and events.purchase_ts >= prices.valid_ts
),

totals as (
  select
    coalesce(cast(owners.customer_id as varchar), '-1') as customer_id,
    count(*) as transactions,
    sum(priced.quantity) as items,
    sum(round(priced.amount, 2)) as usd,
    sum(round(priced.amount * rates.rate, 2)) as gbp,
    min(priced.purchase_ts) as first_purchase_at,
    max(priced.purchase_ts) as last_purchase_at,
    count(*) - count(priced.amount) as unpriced_lines
  from priced
  left join owners on priced.email = owners.email
  left join rates
    on rates.rate_date = cast(priced.purchase_ts as date)
    and rates.base_currency = 'USD'
    and rates.target_currency = 'GBP'
  group by all
)

select
  named.customer_id,
  named.first_name,
  named.last_name,
  named.email,
  cast(coalesce(totals.transactions, 0) as bigint) as total_transactions,
  cast(coalesce(totals.items, 0) as decimal(38, 0)) as total_items,
  cast(coalesce(totals.usd, 0) as decimal(38, 2)) as total_usd,
  cast(coalesce(totals.gbp, 0) as decimal(38, 2)) as total_gbp,
  totals.first_purchase_at,
  totals.last_purchase_at,
  cast(coalesce(totals.unpriced_lines, 0) as bigint) as unpriced_lines
from (
  select cast(id as varchar) as customer_id, first_name, last_name, email from customers
  union all
  select '-1', 'Unknown', 'Customer', 'unknown'
) as named
left join totals on named.customer_id = totals.customer_id
