-- The producer may send an event twice: the first arrival is kept.
select
  event_id as event_id,
  {{ normalised_email('customer_email') }} as customer_email,
  product_id as product_id,
  quantity as quantity,
  purchase_ts as purchased_at,
  cast(purchase_ts as date) as purchase_date,
  schema_version as schema_version,
  _sluice_loaded_at as loaded_at
from {{ source('streaming_public', 'purchases') }} as arrived
where {{ counts('STREAMING.PUBLIC.PURCHASES', 'arrived', {'event_id': 'text'}) }}
qualify row_number() over (
  partition by event_id
  order by _kafka_timestamp, _kafka_partition, _kafka_offset
) = 1
