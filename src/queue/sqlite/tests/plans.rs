//! No hot statement scans or sorts: each is a search of the index that was made for it.

use super::{
    super::{batch, claim, due, prospect, read, row::select_heads, serve, sweep, tally, ties, waits, why},
    World,
};

#[tokio::test]
async fn hot_statements_only_search_indexes() {
    let world = World::new();
    world.enqueue("acme", 3).await;
    let mut statements = vec![
        (claim::PICK, "lanes_ready"),
        (serve::NEXT, "jobs_waiting"),
        (due::DUE, "jobs_due"),
        (due::LAPSED, "jobs_leased"),
        (due::UNTHROTTLE, "lanes_throttled"),
        (read::NEWEST, "jobs_listed"),
        (sweep::FINISHED, "jobs_finished"),
        (tally::UNHOLD, "lanes_held"),
        (select_heads!("WHERE id = ?1 AND tenant = ?2"), "sqlite_autoindex_jobs_1"),
        (select_heads!("WHERE sequence = ?1"), "INTEGER PRIMARY KEY"),
        (waits::DEPENDENTS, "PRIMARY KEY"),
        ("DELETE FROM waits WHERE dependent = ?1", "waits_of"),
        (ties::LATEST, "jobs_unique"),
        (batch::OVER, "batches_over"),
        (batch::ABANDONED, "batches_abandoned"),
        (sweep::CROWDED, "tenants_finished"),
        (sweep::OLDEST, "jobs_ended"),
        ("SELECT min(run_at) FROM jobs WHERE lane = ?1 AND state = 'waiting'", "jobs_oldest"),
    ];
    let indexes = ["lanes_ready", "lanes_throttled", "jobs_due", "jobs_leased"];
    statements.extend(prospect::LOOKS.into_iter().zip(indexes));
    for (sql, index) in statements {
        let plan = plan(&world, sql).await;
        assert!(plan.iter().any(|step| step.contains(index)), "{sql}: {plan:?}");
        let slow = |step: &String| step.starts_with("SCAN") || step.contains("TEMP B-TREE");
        assert!(!plan.iter().any(slow), "{sql}: {plan:?}");
    }
}

#[tokio::test]
async fn who_goes_first_is_counted_in_an_index() {
    let plan = plan(&World::new(), why::AHEAD).await;
    assert_eq!(
        plan.iter().filter(|step| step.contains("COVERING INDEX jobs_waiting")).count(),
        2,
        "{plan:?}"
    );
}

#[tokio::test]
async fn empty_lanes_are_found_by_their_index() {
    let plan = plan(&World::new(), sweep::FORGETTABLE).await;
    assert!(plan[0].contains("lanes_empty"), "{plan:?}");
}

async fn plan(world: &World, sql: &'static str) -> Vec<String> {
    let explain = move |connection: &rusqlite::Connection| {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
        // Unbound parameters are NULL, which changes no plan.
        statement.raw_query().mapped(|row| row.get(3)).collect()
    };
    world.database.read(explain).await.unwrap()
}

#[tokio::test]
async fn hot_statements_are_prepared_once() {
    let world = World::new();
    for sql in [claim::PICK, serve::NEXT, due::DUE, due::LAPSED, due::UNTHROTTLE, tally::UNHOLD] {
        let prepared_again = move |connection: &rusqlite::Connection| {
            let mut statement = connection.prepare(sql)?;
            for value in 0..3 {
                for parameter in 1..=statement.parameter_count() {
                    statement.raw_bind_parameter(parameter, value)?;
                }
                while statement.raw_query().next()?.is_some() {}
            }
            Ok(statement.get_status(rusqlite::StatementStatus::RePrepare))
        };
        let again = world.database.write(prepared_again).await.unwrap();
        assert_eq!(again, 0, "{sql}");
    }
}
