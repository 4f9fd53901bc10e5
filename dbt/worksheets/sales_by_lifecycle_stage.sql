-- What the customers of each lifecycle stage bought; read the last columns before a total is believed.
-- Role ANALYTICS_REPORTER, warehouse REPORTING. Chart: table.
select
  coalesce(customers.lifecycle_stage, 'none') as stage_name,
  count(*) as customers,
  sum(customers.total_transactions) as purchases,
  sum(customers.total_usd) as usd,
  sum(customers.total_gbp) as gbp,
  sum(customers.unpriced_lines) as unpriced,
  sum(customers.unconverted_lines) as unconverted
from analytics.reporting.rpt_sales as customers
group by stage_name
order by usd desc nulls last, stage_name asc;
