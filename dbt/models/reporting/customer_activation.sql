-- What HubSpot's contacts are to hold. Every column is the property of that name, but for the record's id, why nothing is
-- sent of it, and what the extract has seen there last.
select
  sales.customer_id as record_id,
  sales.total_transactions as total_orders,
  sales.total_usd as lifetime_value,
  cast(
    case when sales.total_usd >= 1000 then 'high' when sales.total_usd >= 100 then 'medium' else 'low' end as varchar
  ) as customer_tier,
  cast(case when customers.is_opted_out then 'opted out of e-mail' end as varchar) as suppressed_because,
  customers.last_modified_at as seen_at,
  customers.hubspot_total_orders as seen_total_orders,
  customers.hubspot_lifetime_value as seen_lifetime_value,
  customers.hubspot_customer_tier as seen_customer_tier
from {{ ref('sales') }} as sales
inner join {{ ref('dim_customers') }} as customers on sales.customer_id = customers.customer_id
where sales.customer_id <> {{ unknown_key() }}
