-- How much a pound moves against each currency, the newest 30 days: deviation of the changes, not of the rates.
-- Role ANALYTICS_REPORTER, warehouse REPORTING. Chart: bar; x target_currency, y volatility.
select
  rates.target_currency,
  stddev_samp(rates.daily_return) as volatility,
  min(rates.rate) as lowest_rate,
  max(rates.rate) as highest_rate,
  count(*) as number_of_rates
from analytics.reporting.rpt_gbp_exchange_rates as rates
where rates.rate_date > dateadd(day, -30, (select max(newest.rate_date) from analytics.reporting.rpt_gbp_exchange_rates as newest))
group by rates.target_currency
order by volatility desc nulls last, rates.target_currency asc;
