//! Every law of the seams on every engine: an engine is added in one line a suite.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod conformance;
mod faults;
mod fleet;
mod model;
mod reach;
mod servers;

mod on_the_model {
    use crate::model::queue::world as open;
    crate::conformance::queue::laws!(open);
    crate::model::random_operations!(open);
}

mod on_sqlite {
    use crate::conformance::sqlite::{progress_world, records_world, world};
    crate::conformance::queue::laws!(world);
    crate::conformance::suites::records_laws!(records_world);
    crate::conformance::suites::progress_laws!(progress_world);
    crate::model::random_operations!(world);
}

mod on_redis {
    use crate::conformance::redis::{progress_world, world};
    crate::conformance::queue::laws!(world);
    crate::conformance::suites::progress_laws!(progress_world);
    crate::model::random_operations!(world);
}

mod on_redis_of_three_shards {
    use crate::conformance::redis::world_of_three_shards as world;
    crate::conformance::queue::laws_over_shards!(world);
}

mod records_on_redis {
    use crate::conformance::records_redis::{schedules_world, world};
    crate::conformance::suites::records_laws!(world);
    crate::conformance::suites::schedules_laws!(schedules_world);
}

mod records_on_a_redis_cluster {
    use crate::conformance::records_redis::world_on_a_cluster as world;
    crate::conformance::suites::records_laws!(world);
}

mod schedules_on_sqlite {
    use crate::conformance::sqlite::schedules_world;
    crate::conformance::suites::schedules_laws!(schedules_world);
}

mod on_redis_cluster {
    use crate::conformance::redis::{
        progress_world_on_a_cluster as progress_world, world_on_a_cluster as world,
    };
    crate::conformance::queue::laws_over_shards!(world);
    crate::conformance::suites::progress_laws!(progress_world);
    crate::model::random_operations!(world);
}

mod over_a_redis_cluster {
    use crate::conformance::redis::world_over_a_cluster as world;
    crate::conformance::queue::laws_over_shards!(world);
    crate::model::random_operations!(world);
}
