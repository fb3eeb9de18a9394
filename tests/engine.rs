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
    crate::model::random_operations!(world);
}

mod on_redis_cluster {
    use crate::conformance::redis::{
        progress_world_on_a_cluster as progress_world, world_on_a_cluster as world,
    };
    crate::conformance::queue::laws_over_shards!(world);
    crate::conformance::suites::progress_laws!(progress_world);
    crate::model::random_operations!(world);
}
