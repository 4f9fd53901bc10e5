-- One row per customer, the unknown member included; the rules are in this model's description. Lines are rounded before
-- they are summed, so that a customer's total is the sum of the lines that the customer can see.
with totals as (
  select
    customer_id,
    count(*) as transactions,
    {{ total_items('quantity') }} as items,
    sum(line_usd) as usd,
    {{ total_gbp('line_gbp', 'is_unconverted') }} as gbp,
    min(purchased_at) as first_purchase_at,
    max(purchased_at) as last_purchase_at,
    sum(case when is_unpriced then 1 else 0 end) as unpriced_lines,
    sum(case when is_unconverted then 1 else 0 end) as unconverted_lines,
    sum(case when line_gbp is not null and is_rate_carried_forward then 1 else 0 end) as carried_forward_lines
  from {{ ref('fct_purchases') }}
  group by customer_id
)

select
  customers.customer_id,
  customers.first_name,
  customers.last_name,
  customers.email,
  cast(coalesce(totals.transactions, 0) as bigint) as total_transactions,
  cast(coalesce(totals.items, 0) as decimal(38, 0)) as total_items,
  cast(coalesce(totals.usd, 0) as decimal(38, 2)) as total_usd,
  cast(case when totals.customer_id is null then 0 else totals.gbp end as decimal(38, 2)) as total_gbp,
  totals.first_purchase_at,
  totals.last_purchase_at,
  cast(coalesce(totals.unpriced_lines, 0) as bigint) as unpriced_lines,
  cast(coalesce(totals.unconverted_lines, 0) as bigint) as unconverted_lines,
  cast(coalesce(totals.carried_forward_lines, 0) as bigint) as carried_forward_lines
from {{ ref('dim_customers') }} as customers
left join totals on customers.customer_id = totals.customer_id
