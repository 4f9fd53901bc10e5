-- Every purchase that arrived is in the fact table, once, and no other is.
select raw.event_id as arrived, facts.event_id as kept
from (select distinct event_id from {{ source('streaming_public', 'purchases') }}) as raw
full outer join {{ ref('fct_purchases') }} as facts on raw.event_id = facts.event_id
where raw.event_id is null or facts.event_id is null
