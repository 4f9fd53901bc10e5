-- Every purchase that arrived and counts is in the fact table, once, and no other is.
select arrivals.event_id as arrived, built.event_id as kept
from (
  select distinct event_id
  from {{ source('streaming_public', 'purchases') }} as arrived
  where {{ counts('STREAMING.PUBLIC.PURCHASES', 'arrived', {'event_id': 'text'}) }}
) as arrivals
full outer join {{ ref('fct_purchases') }} as built on arrivals.event_id = built.event_id
where arrivals.event_id is null or built.event_id is null
