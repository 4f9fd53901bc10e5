-- A priced purchase for which no rate of its day or of the days before is known: its line_gbp is null and total_gbp is
-- too low until the rate arrives.
{{ config(severity=severity_by_target('missing_rate_severity')) }}
select event_id, purchase_date from {{ ref('fct_purchases') }} where is_unconverted
