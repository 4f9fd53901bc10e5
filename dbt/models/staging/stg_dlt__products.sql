select
  audit_id as audit_id,
  product_id as product_id,
  {{ trimmed('product_name') }} as product_name,
  price_usd as price_usd,
  operation as operation,
  valid_ts as valid_from,
  _sluice_loaded_at as loaded_at
from {{ source('dlt_application_data', 'products') }} as arrived
where {{ counts('DLT.APPLICATION_DATA.PRODUCTS', 'arrived', {'audit_id': 'bigint'}) }}
