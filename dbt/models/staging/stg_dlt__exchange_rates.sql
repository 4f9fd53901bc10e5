-- The raw table is appended to, so a day that was fetched again is there twice: the newest load of a key wins. The
-- commit's sequence decides before the load time, because Snowpipe may load two commits in either order.
select
  rate_date as rate_date,
  upper({{ trimmed('base_currency') }}) as base_currency,
  upper({{ trimmed('target_currency') }}) as target_currency,
  rate as rate,
  rate_kind as rate_kind,
  source_timestamp as source_timestamp,
  _sluice_loaded_at as loaded_at
from {{ source('snowpipe_open_exchange_rates', 'exchange_rates') }}
qualify row_number() over (
  partition by
    rate_date,
    upper({{ trimmed('base_currency') }}),
    upper({{ trimmed('target_currency') }}),
    rate_kind
  order by _sluice_sequence desc, _sluice_loaded_at desc, _sluice_source_file desc, _sluice_row_number desc
) = 1
