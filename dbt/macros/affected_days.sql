{#-
  CTEs, the last of them `affected_days`: the days of fct_purchases that a full refresh would build differently from what is
  in `built`. Found by comparing the lines there with everything that they are made of, not by a time of loading: what
  arrives late, twice or out of order, or is taken back, is found all the same.

  Lines are compared in groups where that says as much: by e-mail, by day, and by product version, whose range of time
  either holds the first and the last purchase of its group or not.
-#}
{% macro affected_days(built) -%}
known_lines as (
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
    gbp_rate,
    gbp_rate_date,
    gbp_rate_kind,
    loaded_at
  from {{ built }}
),

-- New events, and those of which an earlier arrival has come up.
days_of_purchases as (
  select purchases.purchase_date
  from {{ ref('stg_streaming__purchases') }} as purchases
  left join known_lines on purchases.event_id = known_lines.event_id
  where known_lines.event_id is null
    or purchases.customer_email is distinct from known_lines.customer_email
    or purchases.product_id is distinct from known_lines.product_id
    or purchases.quantity is distinct from known_lines.quantity
    or purchases.purchased_at is distinct from known_lines.purchased_at
    or purchases.loaded_at is distinct from known_lines.loaded_at
),

days_of_rates as (
  select known_days.purchase_date
  from (
    select
      purchase_date,
      max(gbp_rate) as gbp_rate,
      max(gbp_rate_date) as gbp_rate_date,
      max(gbp_rate_kind) as gbp_rate_kind
    from known_lines
    group by purchase_date
  ) as known_days
  left join {{ ref('int_gbp_rates__daily') }} as rates on known_days.purchase_date = rates.purchase_date
  where known_days.gbp_rate is distinct from rates.rate
    or known_days.gbp_rate_date is distinct from rates.rate_date
    or known_days.gbp_rate_kind is distinct from rates.rate_kind
),

days_of_customers as (
  select known_lines.purchase_date
  from known_lines
  join (
    select owners.customer_email, owners.customer_id
    from (select distinct customer_email, customer_id from known_lines) as owners
    left join {{ ref('int_contacts__emails') }} as emails on owners.customer_email = emails.email
    left join {{ ref('dim_customers') }} as customers on cast(emails.customer_id as varchar) = customers.customer_id
    where owners.customer_id <> coalesce(customers.customer_id, {{ unknown_key() }})
  ) as moved
    on known_lines.customer_email = moved.customer_email
    and known_lines.customer_id = moved.customer_id
),

sold_versions as (
  select
    product_id,
    product_key,
    unit_price_usd,
    min(purchased_at) as first_at,
    max(purchased_at) as last_at
  from known_lines
  group by product_id, product_key, unit_price_usd
),

doubtful_versions as (
  select distinct sold_versions.product_id, sold_versions.product_key
  from sold_versions
  left join {{ ref('dim_products') }} as products
    on sold_versions.product_key = products.product_key
    and sold_versions.product_id = products.product_id
  where sold_versions.product_key <> {{ unknown_key() }}
    and (
      products.product_key is null
      or sold_versions.unit_price_usd is distinct from products.price_usd
      or sold_versions.first_at < products.valid_from
      or sold_versions.last_at > {{ last_moment('products.valid_to') }}
    )

  union

  select sold_versions.product_id, sold_versions.product_key
  from sold_versions
  join {{ ref('dim_products') }} as products
    on sold_versions.product_id = products.product_id
    and sold_versions.last_at >= products.valid_from
    and sold_versions.first_at <= {{ last_moment('products.valid_to') }}
  where sold_versions.product_key = {{ unknown_key() }}
),

days_of_products as (
  select known_lines.purchase_date
  from known_lines
  join doubtful_versions
    on known_lines.product_id = doubtful_versions.product_id
    and known_lines.product_key = doubtful_versions.product_key
  left join {{ ref('dim_products') }} as products
    on known_lines.product_id = products.product_id
    and known_lines.purchased_at >= products.valid_from
    and known_lines.purchased_at <= {{ last_moment('products.valid_to') }}
  where known_lines.product_key <> coalesce(products.product_key, {{ unknown_key() }})
    or known_lines.unit_price_usd is distinct from products.price_usd
),

affected_days as (
  select purchase_date from days_of_purchases
  union
  select purchase_date from days_of_rates
  union
  select purchase_date from days_of_customers
  union
  select purchase_date from days_of_products
)
{%- endmacro %}
