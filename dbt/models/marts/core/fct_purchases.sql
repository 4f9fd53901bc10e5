-- One row per purchase, priced and converted. Days are built whole; a run builds those on which anything would differ from
-- what is there (macros/affected_days.sql): a contact, a product change or a rate that arrives late changes lines of the past.
{{
  config(
    materialized='incremental',
    incremental_strategy='replace',
    unique_key=['purchase_date', 'event_id'],
    on_schema_change='fail',
    pre_hook="{{ forget_put_aside('STREAMING.PUBLIC.PURCHASES', 'event_id') }}",
  )
}}

with
{% if is_incremental() %}
{{ affected_days(this) }},
{% endif %}

matched as (
  select
    purchases.event_id,
    coalesce(customers.customer_id, {{ unknown_key() }}) as customer_id,
    coalesce(products.product_key, {{ unknown_key() }}) as product_key,
    purchases.customer_email,
    purchases.product_id,
    purchases.quantity,
    purchases.purchased_at,
    purchases.purchase_date,
    products.price_usd as unit_price_usd,
    {{ amount_usd('purchases.quantity', 'products.price_usd') }} as exact_usd,
    rates.rate as gbp_rate,
    rates.rate_date as gbp_rate_date,
    rates.rate_kind as gbp_rate_kind,
    rates.is_carried_forward,
    purchases.loaded_at
  from {{ ref('stg_streaming__purchases') }} as purchases
  left join {{ ref('int_contacts__emails') }} as emails on purchases.customer_email = emails.email
  left join {{ ref('dim_customers') }} as customers on cast(emails.customer_id as varchar) = customers.customer_id
  left join {{ ref('dim_products') }} as products
    on purchases.product_id = products.product_id
    and purchases.purchased_at >= products.valid_from
    and purchases.purchased_at <= {{ last_moment('products.valid_to') }}
  left join {{ ref('int_gbp_rates__daily') }} as rates on purchases.purchase_date = rates.purchase_date
{% if is_incremental() %}
  where purchases.purchase_date in (select affected_days.purchase_date from affected_days)
{% endif %}
)

select
  event_id,
  customer_id,
  product_key,
  customer_email,
  product_id,
  quantity,
  purchased_at,
  purchase_date,
  unit_price_usd,
  {{ round_half_up('exact_usd') }} as line_usd,
  gbp_rate,
  gbp_rate_date,
  gbp_rate_kind,
  {{ round_half_up(converted('exact_usd', 'gbp_rate')) }} as line_gbp,
  exact_usd is null as is_unpriced,
  exact_usd is not null and gbp_rate is null as is_unconverted,
  coalesce(is_carried_forward, false) as is_rate_carried_forward,
  loaded_at
from matched
