-- Every purchase that arrived is in the fact table, once, and no other is.
select arrivals.event_id as arrived, facts.event_id as kept
from (select distinct event_id from {{ source('streaming_public', 'purchases') }}) as arrivals
full outer join {{ ref('fct_purchases') }} as facts on arrivals.event_id = facts.event_id
where arrivals.event_id is null or facts.event_id is null
