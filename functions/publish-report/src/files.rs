//! The files of `dbt/` that travel in the function's zip beside `platform/`: views with their metrics, charts, dashboards.

use std::{collections::BTreeMap, fmt, fs, path::Path};

use serde_json::Value;
use sluice_core::{Error, Result, yaml};

use crate::lightdash::{Chart, Compiled, Dashboard, Dialect, Tables, model};

/// In this order on the page; others follow by name.
const ORDER: [&str; 4] = ["sales", "exchange-rates", "products", "customers"];

/// What the files say. One that cannot be shown is a message in the place of what it holds.
#[derive(Default)]
pub struct Files {
    pub tables: Tables,
    /// Charts by slug.
    pub charts: BTreeMap<String, Compiled<Chart>>,
    pub dashboards: Vec<Dashboard>,
    /// What is wrong with files of views and dashboards.
    pub problems: Vec<String>,
}

/// The names, for the log: each start writes them.
impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dashboards: Vec<&str> = self.dashboards.iter().map(|dashboard| dashboard.slug.as_str()).collect();
        let left_out = self.charts.values().filter_map(|chart| chart.as_ref().err()).chain(&self.problems);
        f.debug_struct("Files")
            .field("dashboards", &dashboards)
            .field("charts", &self.charts.len())
            .field("left_out", &left_out.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl Files {
    /// Reads the folder `dbt`. Only that it is not there is an error.
    pub fn read(dbt: &Path, dialect: Dialect) -> Result<Self> {
        let mut files = Files::default();
        for (file, value) in documents(&dbt.join("models/reporting"), "models/reporting")? {
            let models =
                value.and_then(|value| value["models"].as_array().cloned().ok_or(format!("{file}: it has no models")));
            match models {
                Ok(models) => models.iter().for_each(|model| match model::read(&file, model, dialect) {
                    Ok(table) => drop(files.tables.insert(table.name.clone(), table)),
                    Err(problem) => files.problems.push(problem),
                }),
                Err(problem) => files.problems.push(problem),
            }
        }
        for (file, value) in documents(&dbt.join("lightdash/charts"), "charts")? {
            let slug = file.trim_start_matches("charts/").trim_end_matches(".yml").to_owned();
            files.charts.insert(slug, value.and_then(|value| Chart::read(&file, &value)));
        }
        for (file, value) in documents(&dbt.join("lightdash/dashboards"), "dashboards")? {
            match value.and_then(|value| Dashboard::read(&file, &value)) {
                Ok(dashboard) => files.dashboards.push(dashboard),
                Err(problem) => files.problems.push(problem),
            }
        }
        let place =
            |dashboard: &Dashboard| ORDER.iter().position(|slug| *slug == dashboard.slug).unwrap_or(ORDER.len());
        files.dashboards.sort_by_key(|dashboard| (place(dashboard), dashboard.slug.clone()));
        Ok(files)
    }
}

/// The YAML files of a folder by name.
fn documents(folder: &Path, called: &str) -> Result<Vec<(String, Compiled<Value>)>> {
    let unreadable = |error| Error::config("cannot read the charts").with("folder", folder.display()).because(error);
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "yml") {
            paths.push(path);
        }
    }
    paths.sort();
    let document = |path: &std::path::PathBuf| {
        let file = format!("{called}/{}", path.file_name().unwrap_or_default().to_string_lossy());
        let value = fs::read_to_string(path).map_err(|error| format!("{file}: {error}"));
        let value = value.and_then(|text| {
            let document = yaml::parse(&text);
            match (document.root, document.faults.first()) {
                (Some(root), None) => Ok(root.value.to_json()),
                (_, Some(fault)) => Err(format!("{file}:{}: {}", fault.place, fault.value)),
                (None, None) => Err(format!("{file}: it is empty")),
            }
        });
        (file, value)
    };
    Ok(paths.iter().map(document).collect())
}
