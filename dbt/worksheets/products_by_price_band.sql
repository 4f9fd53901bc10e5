-- How many products are on sale in each band of prices.
-- Role ANALYTICS_REPORTER, warehouse REPORTING. Chart: bar; x price_band, y products.
select
  case
    when products.price_usd < 10 then '1: below 10'
    when products.price_usd < 50 then '2: 10 to 50'
    when products.price_usd < 100 then '3: 50 to 100'
    else '4: 100 and more'
  end as price_band,
  count(*) as products,
  min(products.price_usd) as lowest_price,
  max(products.price_usd) as highest_price
from analytics.reporting.rpt_products as products
group by price_band
order by price_band;
