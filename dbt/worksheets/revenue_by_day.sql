-- Revenue by day with its average over seven days with purchases.
-- Role ANALYTICS_REPORTER, warehouse REPORTING. Chart: line; x purchase_date, y usd and usd_of_seven_days.
select
  days.purchase_date,
  days.transactions,
  days.usd,
  days.gbp,
  cast(
    avg(days.usd) over (order by days.purchase_date rows between 6 preceding and current row) as decimal(38, 2)
  ) as usd_of_seven_days
from analytics.reporting.rpt_sales_by_day as days
order by days.purchase_date;
