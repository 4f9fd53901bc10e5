//! The shop's own server: its page, its products, and what the warehouse knows of a customer and a purchase.
//!
//! Purchases do not pass here: the page sends them to `collect-events`, as a shop's page on another host would.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use axum::{
    Json, Router,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Value, json};
use snowflake_emulator::Emulator;
use tokio::{net::TcpListener, sync::watch};
use uuid::Uuid;

use crate::{seed, verify};

/// The key that the page sends with its purchases.
pub(crate) const API_KEY: &str = "local-shop-key";
/// How many products are on the shelf.
const SHELF: i64 = 12;

/// What the shop's server needs.
pub(crate) struct Shop {
    /// The built page.
    pub page: PathBuf,
    /// The shop's database.
    pub database: String,
    pub warehouse: Emulator,
    /// Where purchases are sent.
    pub events_url: String,
}

/// Serves until `stop` turns true or its sender is gone.
pub(crate) async fn serve(shop: Shop, listener: TcpListener, mut stop: watch::Receiver<bool>) -> Result<()> {
    let router = Router::new()
        .route("/api/settings", get(settings))
        .route("/api/products", get(products))
        .route("/api/customers/{email}", get(customer))
        .route("/api/purchases/{id}", get(purchase))
        .fallback(page)
        .with_state(Arc::new(shop));
    let stopped = async move {
        // An error means that nobody is left who could say stop.
        drop(stop.wait_for(|stop| *stop).await);
    };
    Ok(axum::serve(listener, router).with_graceful_shutdown(stopped).await?)
}

/// How long a page waits while the warehouse's file is with dbt.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often the warehouse is asked meanwhile.
const LOOK: Duration = Duration::from_millis(250);

/// Asks the warehouse, and waits while dbt has its file.
async fn ask(warehouse: &Emulator, statement: &str) -> Result<Vec<Vec<Option<String>>>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match warehouse.query(statement).await {
            Err(_) if Instant::now() < deadline => tokio::time::sleep(LOOK).await,
            answer => return answer.context("the warehouse is busy"),
        }
    }
}

/// An error that the page shows.
struct Busy(anyhow::Error);

impl IntoResponse for Busy {
    fn into_response(self) -> Response {
        (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"detail": format!("{:#}", self.0)}))).into_response()
    }
}

impl From<anyhow::Error> for Busy {
    fn from(error: anyhow::Error) -> Self {
        Busy(error)
    }
}

/// Where to send purchases, and somebody to buy as: a customer whom the mart knows already.
async fn settings(State(shop): State<Arc<Shop>>) -> Result<Json<Value>, Busy> {
    let statement =
        format!("SELECT min(email) FROM {} WHERE email LIKE '%@%' AND total_transactions > 0", verify::SALES);
    let rows = ask(&shop.warehouse, &statement).await.unwrap_or_default();
    let customer = rows.into_iter().flatten().flatten().next();
    Ok(Json(json!({"events_url": shop.events_url, "api_key": API_KEY, "customer": customer})))
}

async fn products(State(shop): State<Arc<Shop>>) -> Result<Json<Value>, Busy> {
    let database = seed::shop(&shop.database).await?;
    let rows = database
        .query(
            "SELECT product_id, product_name, price_usd::text FROM (
                 SELECT DISTINCT ON (product_id) product_id, product_name, price_usd, operation
                 FROM raw_data.products ORDER BY product_id, valid_ts DESC, audit_id DESC
             ) AS newest
             WHERE operation <> 'DELETE' AND price_usd > 0 AND product_name IS NOT NULL ORDER BY product_id LIMIT $1",
            &[&SHELF],
        )
        .await
        .context("cannot read the products")?;
    let product = |row: &tokio_postgres::Row| {
        let (id, name, price): (i64, String, String) = (row.get(0), row.get(1), row.get(2));
        json!({"product_id": id, "name": name, "price_usd": price})
    };
    Ok(Json(rows.iter().map(product).collect()))
}

/// The customer's line in the mart, once dbt has written it.
async fn customer(State(shop): State<Arc<Shop>>, Path(email): Path<String>) -> Result<Response, Busy> {
    let statement = format!(
        "SELECT total_transactions, total_usd FROM {} WHERE email = '{}'",
        verify::SALES,
        normalised(&email).replace('\'', "''")
    );
    let rows = ask(&shop.warehouse, &statement).await?;
    Ok(match rows.into_iter().next().as_deref() {
        Some([transactions, usd]) => Json(json!({"transactions": transactions, "total_usd": usd})).into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    })
}

/// An e-mail as the mart has it.
fn normalised(email: &str) -> String {
    email.trim_matches([' ', '\t', '\n', '\r']).to_ascii_lowercase()
}

/// How many rows the warehouse has for a purchase: none, one, or more if it was sent twice.
async fn purchase(State(shop): State<Arc<Shop>>, Path(id): Path<Uuid>) -> Result<Json<Value>, Busy> {
    let statement = format!("SELECT count(*) FROM STREAMING__PUBLIC.PURCHASES WHERE EVENT_ID = '{id}'");
    let rows = ask(&shop.warehouse, &statement).await?;
    let count: u64 = rows.iter().flatten().flatten().next().and_then(|text| text.parse().ok()).unwrap_or(0);
    Ok(Json(json!({"rows": count})))
}

/// The page's files. Only names that the build has made are opened.
async fn page(State(shop): State<Arc<Shop>>, uri: axum::http::Uri) -> Response {
    let name = if uri.path() == "/" { "index.html" } else { uri.path().trim_start_matches('/') };
    let is_plain = name.split('/').all(|part| !part.is_empty() && !part.starts_with('.'));
    let Some(body) = is_plain.then(|| std::fs::read(shop.page.join(name)).ok()).flatten() else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let media_type = match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript",
        Some("css") => "text/css",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    };
    ([(header::CONTENT_TYPE, media_type)], body).into_response()
}
