//! `sluice costs`: what was measured of past days, and what is only estimated yet.

use chrono::{Days, NaiveDate, Utc};
use serde::Serialize;
use sluice_pipeline::observe::{Cost, CostsBy, Estimate};

use crate::{
    args::{By, CostsArgs},
    commands::Context,
    failure::Outcome,
    output::{self, Side, table},
    warehouse::Observe,
};

#[derive(Debug, Serialize)]
struct Costs {
    from: NaiveDate,
    by: &'static str,
    costs: Vec<Cost>,
    estimate: Estimate,
}

pub(super) async fn run(context: &Context<'_>, args: &CostsArgs) -> Outcome {
    let from = Utc::now().date_naive() - Days::new(u64::from(args.days));
    let warehouse = context.platform.warehouse().await?;
    let by = of(args.by);
    let asking =
        async { futures::try_join!(warehouse.costs(from, by, usize::from(args.limit)), warehouse.estimate(from)) };
    let (costs, estimate) = context.progress.spin("asking the warehouse", asking).await?;
    let named = CostsBy::ALL.iter().find(|(other, _)| *other == by).map_or("", |(_, name)| name);
    output::print(context.json, &Costs { from, by: named, costs, estimate }, render)
}

fn of(by: By) -> CostsBy {
    match by {
        By::Part => CostsBy::Part,
        By::Day => CostsBy::Day,
        By::Object => CostsBy::Object,
        By::Work => CostsBy::Work,
        By::Run => CostsBy::Run,
        By::Model => CostsBy::Model,
        By::User => CostsBy::User,
    }
}

fn render(costs: &Costs) -> String {
    let Estimate { billed_until, works } = &costs.estimate;
    let billed = billed_until.map_or_else(
        || "no day's bill has arrived yet: the warehouse tells of a day on the second after it".to_owned(),
        |day| format!("measured until {day}"),
    );
    let credits: f64 = works.iter().map(|work| work.credits).sum();
    let each = works.iter().map(|work| format!("{} {:.3} ({} runs)", work.work, work.credits, work.runs));
    let each = each.collect::<Vec<_>>().join(", ");
    let estimate = format!("since then some {credits:.3} credits by their own time: {each}");
    if costs.costs.is_empty() {
        return format!("nothing is measured since {}\n{billed}\n{estimate}", costs.from);
    }
    let row = |cost: &Cost| {
        let credits = cost.credits.map_or_else(String::new, |credits| format!("{credits:.3}"));
        let name = if cost.name.is_empty() { "(no tag)" } else { &cost.name };
        vec![name.to_owned(), credits, format!("{:.2}", cost.dollars)]
    };
    let columns =
        [(costs.by.to_uppercase(), Side::Left), ("CREDITS".to_owned(), Side::Right), ("USD".to_owned(), Side::Right)];
    let columns: Vec<(&str, Side)> = columns.iter().map(|(name, side)| (name.as_str(), *side)).collect();
    let rows: Vec<Vec<String>> = costs.costs.iter().map(row).collect();
    let dollars: f64 = costs.costs.iter().map(|cost| cost.dollars).sum();
    format!("{}\n\n{dollars:.2} dollars since {}; {billed}\n{estimate}", table(&columns, &rows), costs.from)
}

#[cfg(test)]
mod tests {
    use sluice_pipeline::observe::EstimatedWork;

    use super::*;
    use crate::output::WIDTH;

    #[test]
    fn what_is_measured_and_what_is_estimated_stand_apart() {
        let day = |text: &str| text.parse::<NaiveDate>().expect("a date");
        let cost = |name: &str, credits, dollars| Cost { name: name.to_owned(), credits, dollars };
        let mut costs = Costs {
            from: day("2026-03-01"),
            by: "part",
            costs: vec![cost("queries", Some(12.5), 25.0), cost("functions", None, 0.31), cost("", Some(0.1), 0.2)],
            estimate: Estimate {
                billed_until: Some(day("2026-03-20")),
                works: [("dbt", 3, 0.25), ("load", 12, 0.03)]
                    .map(|(work, runs, credits)| EstimatedWork { work: work.to_owned(), runs, credits })
                    .into(),
            },
        };
        let text = render(&costs);
        assert!(
            text.starts_with("PART       CREDITS    USD\nqueries     12.500  25.00\nfunctions            0.31\n"),
            "{text}"
        );
        assert!(
            text.contains("(no tag)") && text.contains("25.51 dollars since 2026-03-01; measured until 2026-03-20")
        );
        assert!(
            text.ends_with("since then some 0.280 credits by their own time: dbt 0.250 (3 runs), load 0.030 (12 runs)"),
            "{text}"
        );
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        costs.costs.clear();
        costs.estimate = Estimate::default();
        assert!(render(&costs).contains("no day's bill has arrived yet"));
    }
}
