-- A priced purchase for which no rate of its day or of the days before is known: its line_gbp is null and total_gbp is
-- too low until the rate arrives. By default a warning, so that one missing rate does not stop everybody's marts; the
-- finding is in the run's results either way.
{{ config(severity=var('missing_rate_severity')) }}
select event_id, purchase_date from {{ ref('fct_purchases') }} where is_unconverted
