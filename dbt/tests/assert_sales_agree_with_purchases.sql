-- The totals over all customers are the totals over all purchases: grouping lost nothing and counted nothing twice.
with by_customer as (
  select
    sum(total_transactions) as transactions,
    sum(total_items) as items,
    sum(total_usd) as usd,
    coalesce(sum(total_gbp), 0) as gbp,
    sum(unpriced_lines) as unpriced,
    sum(unconverted_lines) as unconverted
  from {{ ref('sales') }}
),

by_purchase as (
  select
    count(*) as transactions,
    coalesce(sum(quantity), 0) as items,
    coalesce(sum(line_usd), 0) as usd,
    coalesce(sum(line_gbp), 0) as gbp,
    coalesce(sum(case when is_unpriced then 1 else 0 end), 0) as unpriced,
    coalesce(sum(case when is_unconverted then 1 else 0 end), 0) as unconverted
  from {{ ref('fct_purchases') }}
)

select
  by_customer.usd as usd_by_customer,
  by_purchase.usd as usd_by_purchase,
  by_customer.gbp as gbp_by_customer,
  by_purchase.gbp as gbp_by_purchase
from by_customer
cross join by_purchase
where by_customer.transactions <> by_purchase.transactions
  or by_customer.items <> by_purchase.items
  or by_customer.usd <> by_purchase.usd
  or by_customer.gbp <> by_purchase.gbp
  or by_customer.unpriced <> by_purchase.unpriced
  or by_customer.unconverted <> by_purchase.unconverted
