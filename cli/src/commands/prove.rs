//! `sluice prove`: whether source, commits, ledger and raw table are equal. What is compared and how is the pipeline's; here its
//! ports are wired, and what was found is shown.

use chrono::Utc;
use serde_json::json;
use sluice_core::{
    Error, Result,
    error::apart,
    extract::{Aside, AsideRows, ExtractSummary},
};
use sluice_pipeline::{
    leftovers,
    prove::{Finding, Proof, Prove, SourceRows},
};
use uuid::Uuid;

use super::replay::Person;
use crate::{
    args::ProveArgs,
    commands::Context,
    failure::{Failure, Outcome},
    output::{self, Side, WIDTH, ranges, shortened, thousands},
    platform::{Platform, extractor},
    warehouse::RebuildTable,
};

pub(super) async fn run(context: &Context<'_>, args: &ProveArgs) -> Outcome {
    let platform = &context.platform;
    let table = platform.table(&args.table)?;
    let function = extractor(table).ok_or_else(|| {
        Failure::usage(format!("{} streams, and has no commits", table.table))
            .hint("`sluice replay --topic … --no-swap` compares its rows with the archive")
    })?;
    let id = &Uuid::now_v7().simple().to_string().to_uppercase();
    let (observer, by) = (&platform.warehouse().await?, &platform.caller().await?);
    let person = Person::new(context.progress, false);
    let store = &platform.store()?;
    leftovers::sweep(store, &table.table, Utc::now()).await?;
    let prove = Prove {
        store,
        warehouse: &RebuildTable::new(observer, table, id, by),
        source: &Function { platform, name: function, table: table.table.to_string() },
        operator: &person,
        table,
    };
    let proof = Box::pin(prove.run(stopped())).await;
    person.clear();
    let proof = proof?;
    output::print(context.json, &proof, text)?;
    if proof.equal {
        return Ok(());
    }
    let differ = format!("{} is not what its source and its commits say", proof.table);
    Err(Failure::different(differ).hint("docs/runbooks/the-numbers-are-wrong.md says what fixes each finding"))
}

/// Somebody has ended it at the terminal.
async fn stopped() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// The function that extracts the table.
struct Function<'a> {
    platform: &'a Platform,
    name: &'static str,
    table: String,
}

impl SourceRows for Function<'_> {
    async fn read(&self, rows: AsideRows) -> Result<Aside> {
        let event = json!({"time": Utc::now(), "table": self.table, "aside": rows});
        let answer = self.platform.invoke(self.name, &event).await.map_err(|failure| {
            let (message, hint) = (failure.message(), failure.own_hint().map(str::to_owned));
            let error = Error::new(failure.kind(), apart(&message).0);
            match hint {
                Some(hint) => error.with_hint(hint),
                None => error,
            }
        })?;
        let summary: ExtractSummary = serde_json::from_value(answer)
            .map_err(|error| Error::internal("the function's answer is no summary of an extract").because(error))?;
        let text = "the function has read nothing for a proof; deploy its newest version";
        summary.aside.ok_or_else(|| Error::internal(text).with("function", self.name))
    }
}

fn text(proof: &Proof) -> String {
    let verdict = match (proof.equal, &proof.source_unproven) {
        (true, None) => "source = committed = loaded = table",
        (true, Some(_)) => "committed = loaded = table; the source is not proven",
        (false, _) => "not equal",
    };
    let mut lines = vec![format!("{}: {verdict}", proof.table)];
    lines.push(match (&proof.source, &proof.source_unproven) {
        (Some(rows), _) => format!("  source      {} rows behind the cursor of #{}", thousands(*rows), proof.newest),
        (None, why) => shortened(&format!("  source      {}", why.as_deref().unwrap_or("not asked")), WIDTH),
    });
    lines.push(format!(
        "  committed   {} rows up to #{}, which make {}",
        thousands(proof.committed),
        proof.newest,
        thousands(proof.built)
    ));
    lines.push(format!("  loaded      {} rows, as the ledger has it", thousands(proof.loaded)));
    lines.push(format!("  table       {} rows", thousands(proof.held)));
    if let Some(first) = proof.erased_before {
        lines.push(format!("  erased      what was committed before #{first}: nothing is proven of it"));
    }
    lines.push(format!("\n{}", columns(proof)));
    if !proof.findings.is_empty() {
        lines.push(String::new());
        lines.extend(proof.findings.iter().map(|finding| shortened(&sentence(finding), WIDTH)));
    }
    lines.join("\n")
}

fn columns(proof: &Proof) -> String {
    let headings =
        [("COLUMN", Side::Left), ("SOURCE", Side::Right), ("COMMITTED", Side::Right), ("TABLE", Side::Right)];
    let differ = [("SOURCE DIFFERS", Side::Right), ("TABLE DIFFERS", Side::Right)];
    let headings: Vec<_> = headings.into_iter().chain(differ).collect();
    let rows = proof.columns.iter().map(|column| {
        let source = |count: u64| column.source.map_or_else(|| "-".to_owned(), |_| thousands(count));
        vec![
            column.column.clone(),
            source(column.source.unwrap_or_default()),
            thousands(column.committed),
            thousands(column.table),
            source(column.source_differs),
            thousands(column.table_differs),
        ]
    });
    output::table(&headings, &rows.collect::<Vec<_>>())
}

fn sentence(finding: &Finding) -> String {
    let commits = match &finding.commits[..] {
        [] => String::new(),
        commits => format!(" of {}", ranges(commits.iter().map(|commit| commit.0))),
    };
    let columns = match &finding.columns[..] {
        [] => String::new(),
        columns => format!(" ({})", columns.join(", ")),
    };
    let reason = finding.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("{} rows{commits} {}{columns}{reason}", thousands(finding.rows), finding.fault.as_str())
}

#[cfg(test)]
mod tests {
    use sluice_core::Sequence;
    use sluice_pipeline::prove::{Column, Fault};

    use super::*;

    fn proof() -> Proof {
        let column =
            Column { column: "PRICE_USD".into(), source: Some(9), committed: 9, table: 9, ..Column::default() };
        Proof {
            table: "A.B.C".parse().expect("a table"),
            equal: true,
            newest: Sequence(4),
            source: Some(1_976),
            source_unproven: None,
            committed: 2_300,
            built: 1_976,
            loaded: 2_300,
            held: 1_976,
            erased_before: None,
            columns: vec![column],
            findings: Vec::new(),
        }
    }

    #[test]
    fn an_equal_table_is_said_so_with_its_counts() {
        let told = text(&proof());
        assert!(told.starts_with("A.B.C: source = committed = loaded = table\n  source      1,976 rows"), "{told}");
        assert!(told.contains("committed   2,300 rows up to #4, which make 1,976"), "{told}");
        let unproven = Proof {
            source: None,
            source_unproven: Some("its vendor tells no earlier state".into()),
            columns: vec![Column { source: None, ..proof().columns.remove(0) }],
            ..proof()
        };
        let told = text(&unproven);
        assert!(told.starts_with("A.B.C: committed = loaded = table; the source is not proven"), "{told}");
        assert!(told.contains("source      its vendor tells no earlier state"), "{told}");
        assert!(told.contains("PRICE_USD       -          9      9               -              0"), "{told}");
    }

    #[test]
    fn a_finding_names_its_commits_and_its_columns() {
        let finding = Finding {
            fault: Fault::ChangedInTable,
            commits: [3, 4, 5, 9].map(Sequence).to_vec(),
            rows: 1_000,
            columns: vec!["PRICE_USD".into()],
            reason: None,
        };
        let none = Finding { commits: Vec::new(), columns: Vec::new(), ..finding.clone() };
        let failed = Finding { fault: Fault::NotLoaded, reason: Some("broken".into()), ..none.clone() };
        let told = text(&Proof { equal: false, findings: vec![finding, none, failed], ..proof() });
        for part in [
            "A.B.C: not equal",
            "\n1,000 rows of #3-#5, #9 are otherwise in the table (PRICE_USD)\n",
            "\n1,000 rows are otherwise in the table\n",
            "\n1,000 rows are not loaded: broken",
        ] {
            assert!(told.contains(part), "{part} in\n{told}");
        }
        assert!(told.lines().all(|line| line.chars().count() <= WIDTH), "{told}");
    }
}
