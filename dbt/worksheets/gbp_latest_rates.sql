-- The newest rate of each currency beside the rate before it, whatever days those are of.
-- Role ANALYTICS_REPORTER, warehouse REPORTING. Chart: table, or bar of change_since by target_currency.
select
  rates.target_currency,
  rates.rate_date,
  rates.rate,
  rates.previous_rate,
  rates.daily_return as change_since
from analytics.reporting.rpt_gbp_exchange_rates as rates
where rates.is_latest
order by abs(rates.daily_return) desc nulls last, rates.target_currency asc;
