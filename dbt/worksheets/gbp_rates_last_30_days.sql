-- What a pound is worth in each currency, the newest 30 days that there are rates for.
-- Role ANALYTICS_REPORTER, warehouse REPORTING. Chart: table.
select
  rates.rate_date,
  rates.target_currency,
  rates.target_currency_name,
  rates.rate,
  rates.rate_kind
from analytics.reporting.rpt_gbp_exchange_rates as rates
where rates.rate_date > dateadd(day, -30, (select max(newest.rate_date) from analytics.reporting.rpt_gbp_exchange_rates as newest))
order by rates.rate_date desc, rates.target_currency asc;
