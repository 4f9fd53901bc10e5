//! The platform's functions: the one table from which the operator's command, one machine, tests and benchmarks take their
//! lists. Builds and scripts take the folders of `functions/`, and a test compares those with the table.

/// What a function does on the way of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Source to lake.
    Extract,
    /// Kafka to warehouse.
    Stream,
    /// HTTP to Kafka.
    Collect,
    /// Lake to warehouse.
    Load,
    /// Loaded tables to dbt.
    Dispatch,
    /// A file to the warehouse's account.
    Provision,
    /// A published model back to where people work.
    Activate,
    /// Published marts to a page.
    Report,
    /// Ledger, lake and tables to alerts.
    Watch,
}

/// What wakes a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    Schedule,
    /// Messages of a queue.
    Queue,
    /// Records of topics.
    Kafka,
    /// Requests to its own address.
    Url,
    /// Deployments of the stack.
    Stack,
    /// A rule of the bus.
    Bus,
}

/// One function. Its folder, package, binary and folder of events have its name.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    pub name: &'static str,
    /// Its name in the template.
    pub logical: &'static str,
    pub role: Role,
    pub triggers: &'static [Trigger],
    /// The secrets that it reads, by the part of their names behind the stack's.
    pub secrets: &'static [&'static str],
    /// The kinds of `sources.yaml` whose tables it brings.
    pub kinds: &'static [&'static str],
}

pub const EXTRACT_POSTGRES: Function = Function {
    name: "extract-postgres",
    logical: "ExtractPostgres",
    role: Role::Extract,
    triggers: &[Trigger::Schedule, Trigger::Queue],
    secrets: &["postgres"],
    kinds: &["postgres"],
};

pub const EXTRACT_EXCHANGE_RATES: Function = Function {
    name: "extract-exchange-rates",
    logical: "ExtractExchangeRates",
    role: Role::Extract,
    triggers: &[Trigger::Schedule],
    secrets: &["open-exchange-rates"],
    kinds: &["currencies", "exchange_rates"],
};

pub const EXTRACT_HUBSPOT: Function = Function {
    name: "extract-hubspot",
    logical: "ExtractHubspot",
    role: Role::Extract,
    triggers: &[Trigger::Schedule],
    secrets: &["hubspot"],
    kinds: &["hubspot_contacts"],
};

pub const STREAM_KAFKA: Function = Function {
    name: "stream-kafka",
    logical: "StreamKafka",
    role: Role::Stream,
    triggers: &[Trigger::Kafka],
    secrets: &["snowflake-loader"],
    kinds: &["kafka"],
};

pub const COLLECT_EVENTS: Function = Function {
    name: "collect-events",
    logical: "CollectEvents",
    role: Role::Collect,
    triggers: &[Trigger::Url, Trigger::Queue],
    secrets: &["collect", "kafka"],
    kinds: &[],
};

pub const LOAD_COMMITS: Function = Function {
    name: "load-commits",
    logical: "LoadCommits",
    role: Role::Load,
    triggers: &[Trigger::Schedule, Trigger::Queue],
    secrets: &["snowflake-loader"],
    kinds: &[],
};

pub const DISPATCH_DBT: Function = Function {
    name: "dispatch-dbt",
    logical: "DispatchDbt",
    role: Role::Dispatch,
    triggers: &[Trigger::Schedule, Trigger::Queue],
    secrets: &["dbt", "snowflake-loader"],
    kinds: &[],
};

pub const PROVISION_WAREHOUSE: Function = Function {
    name: "provision-warehouse",
    logical: "ProvisionWarehouse",
    role: Role::Provision,
    triggers: &[Trigger::Schedule, Trigger::Stack],
    secrets: &["snowflake-loader", "snowflake-provisioner", "snowflake-reporter"],
    kinds: &[],
};

/// The destination of [`ACTIVATE_HUBSPOT`], as the ledger and the lake call it.
pub const HUBSPOT: &str = "hubspot";

pub const ACTIVATE_HUBSPOT: Function = Function {
    name: "activate-hubspot",
    logical: "ActivateHubspot",
    role: Role::Activate,
    triggers: &[Trigger::Queue],
    secrets: &["hubspot-activate", "snowflake-loader"],
    kinds: &[],
};

pub const PUBLISH_REPORT: Function = Function {
    name: "publish-report",
    logical: "PublishReport",
    role: Role::Report,
    triggers: &[Trigger::Bus],
    secrets: &["snowflake-reporter"],
    kinds: &[],
};

pub const WATCH_PLATFORM: Function = Function {
    name: "watch-platform",
    logical: "WatchPlatform",
    role: Role::Watch,
    triggers: &[Trigger::Schedule, Trigger::Bus],
    secrets: &["alerts", "snowflake-loader"],
    kinds: &[],
};

pub const ALL: &[&Function] = &[
    &EXTRACT_POSTGRES,
    &EXTRACT_EXCHANGE_RATES,
    &EXTRACT_HUBSPOT,
    &STREAM_KAFKA,
    &COLLECT_EVENTS,
    &LOAD_COMMITS,
    &DISPATCH_DBT,
    &PROVISION_WAREHOUSE,
    &ACTIVATE_HUBSPOT,
    &PUBLISH_REPORT,
    &WATCH_PLATFORM,
];

/// The functions that extract, in the order of the table.
pub fn extracts() -> impl Iterator<Item = &'static Function> {
    ALL.iter().copied().filter(|function| function.role == Role::Extract)
}
