//! The whole platform on one machine: services, emulators, the deployed template, and handles on all of them.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use serde_json::json;
use sluice_aws::S3Lake;
use sluice_core::{Sources, extract::ExtractSummary, functions::COLLECT_EVENTS};
use sluice_local::{
    dbt_cloud::{self, FileTurn},
    function_url::{self, Lambda},
    schema_registry,
    vendors::{hubspot, open_exchange_rates},
};
use sluice_snowflake::account::PROVISIONER_SECRET;
use snowflake_emulator::Emulator;
use tokio::{
    sync::{Mutex, mpsc, watch},
    task::JoinSet,
};

use crate::{
    account::{self, Keys},
    control::{self, Broker, Control},
    creation,
    invoke::Functions,
    machine::{
        deploy::{self, Deployment, STACK},
        platform,
        processes::Part,
        registry::Registry,
        services::{self, REGION},
        state::{Folders, Ports},
    },
    progress::Progress,
    shop::{self, Shop},
    topics::{self, Topics},
    world::{HUBSPOT_TOKEN, HUBSPOT_WRITER, OXR_APP_ID, World},
};

const DBT_TOKEN: &str = "dbt-local";

/// Everything that runs. [`Stack::stop`] ends it.
pub(crate) struct Stack {
    pub sources: Sources,
    pub functions: Functions,
    pub store: S3Lake,
    pub aws: SdkConfig,
    pub warehouse: Emulator,
    pub hubspot: hubspot::HubSpotState,
    pub shop_url: String,
    /// Where collect-events is reached, and the shop's page that buys through it.
    pub events_url: String,
    pub page_url: String,
    /// Where the warehouse is asked and parts are restarted, and AWS.
    pub control_url: String,
    pub aws_url: String,
    pub bootstrap: String,
    pub topics: Topics,
    pub ports: Ports,
    folders: Folders,
    registry: Arc<Registry>,
    parts: Vec<Part>,
    broker: Arc<Broker>,
    tasks: JoinSet<Result<()>>,
    stop: watch::Sender<bool>,
}

impl Stack {
    /// Starts everything and deploys. What a failed start has started is in the registry, whose end is the caller's.
    pub(crate) async fn start(folders: &Folders, world: &World, progress: &mut Progress) -> Result<Self> {
        let platform = platform::prepare(folders, world.rates_from)?;
        let sources = Sources::read(&platform.join("sources.yaml"))?;
        let vendors = world.vendors(folders)?;
        let hubspot_state = vendors.hubspot.clone();
        let registry = Arc::new(Registry::take_over(folders).await?);
        let (ports, mut held) = Ports::choose(folders)?;
        let aws = sdk_config(ports.aws).await;
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let keys = Keys::load(folders)?;

        let warehouse = account::open(folders, &ports, &keys)?;

        let services = async {
            held.release(ports.aws);
            let ministack = services::ministack(folders, &registry, ports.aws).await?;
            held.release(ports.postgres);
            let (postgres, shop_url) = services::postgres(folders, &registry, ports.postgres).await?;
            let cluster_id = creation::cluster_id(folders, &registry, &warehouse, &sources).await?;
            held.release(ports.kafka);
            let (kafka, bootstrap) = services::kafka(folders, &registry, ports.kafka).await?;
            Ok((vec![ministack, postgres], kafka, cluster_id, shop_url, bootstrap))
        };
        let (mut parts, kafka, cluster_id, shop_url, bootstrap) =
            progress.phase("start ministack, PostgreSQL and Kafka", services).await?;
        let broker = Arc::new(Broker {
            folders: folders.clone(),
            registry: Arc::clone(&registry),
            port: ports.kafka,
            part: Mutex::new(Some(kafka)),
        });

        tasks.spawn(warehouse.clone().serve(held.listener(ports.snowflake)?, stopped.clone()));
        tasks.spawn(dbt_cloud::serve(
            dbt_cloud::Config {
                dbt_bin: folders.tool("dbt", "dbt"),
                project_dir: folders.root.join("dbt"),
                work_dir: folders.state("dbt"),
                duckdb_path: folders.warehouse(),
                token: DBT_TOKEN.into(),
                account_id: 1,
                job_id: 1,
                requests_per_minute: dbt_cloud::REQUESTS_PER_MINUTE,
                turn: Arc::new(Turn(warehouse.clone())),
            },
            held.listener(ports.dbt)?,
            stopped.clone(),
        ));
        tasks.spawn(hubspot::serve(vendors.hubspot, held.listener(ports.hubspot)?, stopped.clone()));
        let schemas = schema_registry::Registry::open(folders.state("registry.json"))?;
        tasks.spawn(schemas.serve(held.listener(ports.registry)?, stopped.clone()));
        tasks.spawn(open_exchange_rates::serve(vendors.rates, held.listener(ports.rates)?, stopped.clone()));

        let settings = deploy::Settings {
            ports: &ports,
            platform: &platform,
            cluster_id: &cluster_id,
            all_rates_at_once: world.rates_from.is_some(),
        };
        let deployment = async {
            let deployment = Deployment::new(folders, &aws, &settings)?;
            if !deployment.is_in_force().await? {
                if deployment.is_half_made().await? {
                    println!("  · an earlier deployment did not come to its end or has lost a part: it is made again");
                    parts.remove(0).stop().await;
                    deployment.forget()?;
                    parts.insert(0, services::ministack(folders, &registry, ports.aws).await?);
                }
                // As on AWS, the one secret that is there before the stack.
                deploy::first_secret(&aws, PROVISIONER_SECRET, &keys.provisioner.secret()).await?;
                deployment.deploy().await?;
                // ministack writes what it knows, but for objects, only when it ends: a kill later must not lose the stack.
                parts.remove(0).stop().await;
                deployment.bring_back_the_lake()?;
                parts.insert(0, services::ministack(folders, &registry, ports.aws).await?);
                deployment.note().await?;
            }
            put_secrets(&aws, ports.postgres).await?;
            account::check(&aws).await
        };
        progress.phase("deploy the template, provision the account", deployment).await?;

        let functions = Functions::new(Lambda::at(format!("http://127.0.0.1:{}", ports.aws))?, STACK);
        let registry_url = format!("http://127.0.0.1:{}", ports.registry);
        topics::make(&bootstrap, &registry_url, &sources, &platform.join("schemas")).await?;
        let topics = Topics::connect(&bootstrap, &sources, &functions, &creation::positions(folders)).await?;
        let restart_pollers = topics.spawn(&mut tasks, &stopped);
        let (failed, mut failures) = mpsc::channel(1);
        let control = Control {
            warehouse: warehouse.clone(),
            broker: Arc::clone(&broker),
            topics: topics.clone(),
            restart_pollers,
            failed,
        };
        tasks.spawn(async move { failures.recv().await.map_or(Ok(()), Err) });
        tasks.spawn(control::serve(control, held.listener(ports.control)?, stopped.clone()));
        let collector =
            function_url::Config { lambda: functions.lambda.clone(), function_name: functions.name(&COLLECT_EVENTS) };
        tasks.spawn(function_url::serve(collector, held.listener(ports.events)?, stopped.clone()));
        let [events_url, page_url, control_url, aws_url] =
            [ports.events, ports.shop, ports.control, ports.aws].map(|port| format!("http://127.0.0.1:{port}"));
        let page = Shop {
            page: folders.root.join("local/shop/dist"),
            database: shop_url.clone(),
            warehouse: warehouse.clone(),
            events_url: events_url.clone(),
        };
        tasks.spawn(shop::serve(page, held.listener(ports.shop)?, stopped));
        Ok(Stack {
            sources,
            functions,
            store: S3Lake::new(&aws, account::bucket()),
            aws,
            warehouse,
            hubspot: hubspot_state,
            shop_url,
            events_url,
            page_url,
            control_url,
            aws_url,
            bootstrap,
            topics,
            ports,
            folders: folders.clone(),
            registry,
            parts,
            broker,
            tasks,
            stop,
        })
    }

    /// Ends the tasks, which write what they hold, and then the processes.
    pub(crate) async fn stop(mut self) -> Result<()> {
        // Nobody listens when all tasks have ended already.
        let _ = self.stop.send(true);
        let tasks = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(Duration::from_secs(15), tasks).await.is_err() {
            self.tasks.abort_all();
        }
        let parts = futures::future::join_all(self.parts.drain(..).rev().map(Part::stop));
        futures::future::join(self.broker.stop(), parts).await;
        self.registry.clear()
    }

    /// Runs an extract of one table as its schedule would at that time.
    pub(crate) async fn extract(&self, table: &str, time: DateTime<Utc>) -> Result<ExtractSummary> {
        let table = self.sources.table(&table.parse()?)?;
        let function = table.source.function().with_context(|| format!("no function extracts {}", table.table))?;
        self.functions.extract(function, &table.table, time).await
    }

    /// Second pollers with positions of their own; in an empty folder they start at the beginning.
    pub(crate) async fn topics_again(&self, positions: &Path) -> Result<Topics> {
        Topics::connect(&self.bootstrap, &self.sources, &self.functions, positions).await
    }

    /// The emulators and the poller, to be watched by [`failed`] while somebody else uses the stack.
    pub(crate) fn take_tasks(&mut self) -> JoinSet<Result<()>> {
        std::mem::take(&mut self.tasks)
    }

    pub(crate) fn give_back(&mut self, tasks: JoinSet<Result<()>>) {
        self.tasks = tasks;
    }

    pub(crate) fn folders(&self) -> &Folders {
        &self.folders
    }
}

/// Resolves with the error of the first task that ends before it was asked to.
pub(crate) async fn failed(tasks: &mut JoinSet<Result<()>>) -> anyhow::Error {
    match tasks.join_next().await {
        Some(Ok(Err(error))) => error.context("a part of the platform has failed"),
        Some(Err(error)) => anyhow::Error::from(error).context("a part of the platform has crashed"),
        Some(Ok(Ok(()))) | None => anyhow::anyhow!("a part of the platform has ended early"),
    }
}

pub(crate) async fn sdk_config(port: u16) -> SdkConfig {
    let credentials = aws_sdk_s3::config::Credentials::new("test", "test", None, None, "one-machine");
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::from_static(REGION))
        .endpoint_url(format!("http://127.0.0.1:{port}"))
        .credentials_provider(credentials)
        .load()
        .await
}

/// The values that an operator puts into the stack's secrets.
async fn put_secrets(aws: &SdkConfig, postgres: u16) -> Result<()> {
    let shop = json!({"host": "127.0.0.1", "port": postgres, "dbname": "postgres", "username": "app", "password": "",
        "sslmode": "disable"});
    deploy::secret(aws, "postgres", &shop).await?;
    deploy::secret(aws, "open-exchange-rates", &json!({"app_id": OXR_APP_ID})).await?;
    deploy::secret(aws, "hubspot", &json!({"token": HUBSPOT_TOKEN})).await?;
    deploy::secret(aws, "hubspot-activate", &json!({"token": HUBSPOT_WRITER})).await?;
    // The broker here knows no users.
    deploy::secret(aws, "kafka", &json!({})).await?;
    deploy::secret(aws, "schema-registry", &json!({})).await?;
    deploy::secret(aws, "collect", &json!({"api_keys": {"shop": {"key": shop::API_KEY}}})).await?;
    // No channel is set up: `sluice alerts` and the board say what is wrong.
    deploy::secret(aws, "alerts", &json!({})).await?;
    deploy::secret(aws, "dbt", &json!({"token": DBT_TOKEN})).await
}

/// dbt and the emulator take turns with the warehouse's file.
struct Turn(Emulator);

impl FileTurn for Turn {
    fn release_file(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.0.release_file())
    }

    fn take_back(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.0.take_back())
    }
}
