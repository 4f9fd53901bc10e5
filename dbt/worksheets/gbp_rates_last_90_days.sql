-- What a pound is worth in dollars and euros, the newest 90 days.
-- Role ANALYTICS_REPORTER, warehouse REPORTING. Chart: line; x rate_date, y rate, series target_currency.
select
  rates.rate_date,
  rates.target_currency,
  rates.rate
from analytics.reporting.rpt_gbp_exchange_rates as rates
where
  rates.target_currency in ('USD', 'EUR')
  and rates.rate_date > dateadd(day, -90, (select max(newest.rate_date) from analytics.reporting.rpt_gbp_exchange_rates as newest))
order by rates.rate_date, rates.target_currency;
