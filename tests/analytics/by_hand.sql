-- Every tile of the dashboards once more, written by hand over the marts. `{sales}`, `{pounds}` and `{dollars}` are the days from
-- which periods count: of purchases, of rates of a pound, of rates of a dollar. Columns as on the tile, rows in its order.

-- sales/revenue-usd
select sum(line_usd) from fct_purchases where purchase_date between date '{sales}' - interval 12 month and date '{sales}'
-- sales/revenue-gbp
select sum(line_gbp) from fct_purchases where purchase_date between date '{sales}' - interval 12 month and date '{sales}'
-- sales/purchases
select count(*) from fct_purchases where purchase_date between date '{sales}' - interval 12 month and date '{sales}'
-- sales/revenue-per-purchase
select round(sum(line_usd) / count(*), 2) from fct_purchases where purchase_date between date '{sales}' - interval 12 month and date '{sales}'
-- sales/last-sale-date
select max(purchase_date) from fct_purchases
-- sales/revenue-by-day
select purchase_date, coalesce(sum(line_usd), 0), coalesce(sum(line_gbp), 0)
from fct_purchases where purchase_date between date '{sales}' - interval 12 month and date '{sales}' group by 1 order by 1
-- sales/revenue-by-month
select date_trunc('month', purchase_date), sum(line_usd), sum(line_gbp), count(*)
from fct_purchases where purchase_date between date '{sales}' - interval 12 month and date '{sales}' group by 1 order by 1
-- sales/buyers-per-day-by-month
select date_trunc('month', purchase_date), avg(buyers) from
(select purchase_date, count(distinct customer_id) as buyers from fct_purchases group by 1)
where purchase_date between date '{sales}' - interval 12 month and date '{sales}' group by 1 order by 1
-- sales/top-products-by-revenue
select cast(product_id as varchar), (select arg_max(product_name, valid_from) from dim_products as p where p.product_id = f.product_id),
coalesce(sum(line_usd), 0), coalesce(sum(line_gbp), 0), count(*), sum(quantity)
from fct_purchases as f group by product_id order by 3 desc, 1 limit 10
-- sales/sales-left-out
select count(*), count(*) filter (is_unpriced), count(*) filter (is_unconverted), count(*) filter (is_rate_carried_forward and not is_unpriced)
from fct_purchases
-- exchange-rates/newest-rate-date
select max(rate_date) from fct_exchange_rates where base_currency = 'USD' and target_currency = 'GBP'
-- exchange-rates/gbp-rates
select rate_date, code, rate from pounds where code in ('AUD', 'CAD', 'CHF', 'EUR', 'USD')
and rate_date between date '{pounds}' - interval 6 month and date '{pounds}' order by 1, 2
-- exchange-rates/gbp-volatility
select code, stddev_samp(change) from pounds where code in ('AUD', 'CAD', 'CHF', 'EUR', 'JPY', 'NZD', 'SEK', 'USD')
and rate_date between date '{pounds}' - interval 90 day and date '{pounds}' group by 1 order by 2 desc, 1
-- exchange-rates/gbp-latest-rates
select code, (select currency_name from dim_currencies where currency_code = code), rate_date, rate, before, change, kind
from (select *, row_number() over (partition by code order by rate_date desc) as place from pounds) where place = 1 order by 1
-- exchange-rates/gbp-rate-range
select code, min(rate), avg(rate), max(rate) from pounds
where rate_date between date '{pounds}' - interval 90 day and date '{pounds}' group by 1 order by 1
-- exchange-rates/usd-rates-by-month
select date_trunc('month', rate_date), target_currency, avg(rate) from fct_exchange_rates
where target_currency in (select currency_code from dim_currencies where is_major)
and rate_date between date '{dollars}' - interval 12 month and date '{dollars}' group by 1, 2 order by 1 desc, 2
-- products/products-on-sale
select count(*) from dim_products where valid_to is null and product_id is not null
-- products/average-price
select avg(price_usd) from dim_products where valid_to is null and product_id is not null
-- products/price-range
select min(price_usd), median(price_usd), avg(price_usd), max(price_usd) from dim_products where valid_to is null and product_id is not null
-- products/products-by-price-band
select band, count(*), min(price_usd) from (select price_usd, case when price_usd < 10 then 'below 10' when price_usd < 50 then '10 to 50'
when price_usd < 100 then '50 to 100' else '100 and more' end as band from dim_products where valid_to is null and product_id is not null)
group by 1 order by 3
-- products/most-expensive-products
select cast(product_id as varchar), product_name, price_usd, date_trunc('day', valid_from)
from dim_products where valid_to is null and product_id is not null order by 3 desc, 1 limit 10
-- products/price-changes-by-month
select date_trunc('month', valid_from), count(*), count(distinct product_id) from dim_products where product_id is not null group by 1 order by 1
-- products/new-prices-by-month
select date_trunc('month', valid_from), avg(price_usd) from dim_products where product_id is not null group by 1 order by 1
-- customers/customers
select count(*) from dim_customers where customer_id <> '-1'
-- customers/buyers
select count(distinct customer_id) from fct_purchases where customer_id <> '-1'
-- customers/revenue-per-buyer
select round(sum(line_usd) / count(distinct customer_id), 2) from fct_purchases where customer_id <> '-1'
-- customers/customers-by-lifecycle-stage
select lifecycle_stage, count(*) from dim_customers where customer_id <> '-1' group by 1 order by 2 desc, 1 nulls last
-- customers/revenue-by-lifecycle-stage
select lifecycle_stage, coalesce(sum(line_usd), 0), coalesce(sum(line_gbp), 0), count(distinct fct_purchases.customer_id)
from dim_customers left join fct_purchases using (customer_id) where customer_id <> '-1' group by 1 order by 2 desc, 1 nulls last
-- customers/buyers-by-first-month
select first, count(distinct customer_id), count(*), sum(line_usd) from
(select *, date_trunc('month', min(purchased_at) over (partition by customer_id)) as first from fct_purchases where customer_id <> '-1')
group by 1 order by 1
-- customers/revenue-by-first-month
select first, sum(line_usd), sum(line_gbp) from
(select *, date_trunc('month', min(purchased_at) over (partition by customer_id)) as first from fct_purchases where customer_id <> '-1')
group by 1 order by 1
-- customers/top-customers
select customer_id, any_value(lifecycle_stage), coalesce(sum(line_usd), 0), coalesce(sum(line_gbp), 0), count(event_id), coalesce(sum(quantity), 0)
from dim_customers left join fct_purchases using (customer_id) where customer_id <> '-1' group by 1 order by 3 desc, 1 limit 10
