-- The products with the most revenue, and what share of it they have.
-- Role ANALYTICS_REPORTER, warehouse REPORTING. Chart: bar; x product_name, y usd.
select
  products.product_id,
  products.product_name,
  products.transactions,
  products.usd,
  cast(products.usd / nullif(sum(products.usd) over (), 0) as decimal(9, 6)) as share_of_usd
from analytics.reporting.rpt_sales_by_product as products
order by products.usd desc, products.product_id asc
limit 20;
