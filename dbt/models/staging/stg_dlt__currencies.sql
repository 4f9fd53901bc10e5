-- Codes are compared in upper case; should the list hold one in two spellings, the later row is kept.
select
  {{ normalised_code('code') }} as currency_code,
  {{ trimmed('name') }} as currency_name,
  _sluice_loaded_at as loaded_at
from {{ source('dlt_open_exchange_rates', 'currencies') }} as arrived
where {{ counts('DLT.OPEN_EXCHANGE_RATES.CURRENCIES', 'arrived', {'code': 'text'}) }}
qualify row_number() over (
  partition by {{ normalised_code('code') }}
  order by _sluice_sequence desc, _sluice_source_file desc, _sluice_row_number desc
) = 1
