-- The raw table is appended to, so a day that was fetched again is there twice: the newest load of a key wins. The
-- commit's sequence decides before the load time, because Snowpipe may load two commits in either order. What is not more
-- than 0 is no rate: purchases of its day would cost nothing.
select
  rate_date as rate_date,
  {{ normalised_code('base_currency') }} as base_currency,
  {{ normalised_code('target_currency') }} as target_currency,
  rate as rate,
  rate_kind as rate_kind,
  source_timestamp as source_timestamp,
  _sluice_loaded_at as loaded_at
from {{ source('snowpipe_open_exchange_rates', 'exchange_rates') }} as arrived
where rate > 0
  and {{ counts('SNOWPIPE.OPEN_EXCHANGE_RATES.EXCHANGE_RATES', 'arrived', {
    'rate_date': 'date', 'base_currency': 'text', 'target_currency': 'text', 'rate_kind': 'text',
  }) }}
qualify row_number() over (
  partition by
    rate_date,
    {{ normalised_code('base_currency') }},
    {{ normalised_code('target_currency') }},
    rate_kind
  order by _sluice_sequence desc, _sluice_loaded_at desc, _sluice_source_file desc, _sluice_row_number desc
) = 1
