//! Every key of the queue, and what is in it.
//!
//! A queue is split in shards; a tenant lives on one. Every key of a shard begins with its hash tag, so that a script
//! touches one slot: `{pw:0}` (namespace and shard), `P` below. Ids are 16 raw bytes, times are microseconds since 1970.
//! Names of tenants and kinds hold no `:`. Scripts are given `P` as their one declared key and make the others from it,
//! for which tenants and kinds a claim will touch is known to the script alone.
//!
//! | key | type | what |
//! | --- | --- | --- |
//! | `P:job:<tenant>` | hash id → bytes | what never changes of a job: acceptance (8 bytes), sequence (8 bytes), then what Rust wrote (`body.rs`) |
//! | `P:run:<tenant>` | hash id → msgpack | what changes (the record, `lua/prelude.lua`); a job without one waits in its lane and has never run |
//! | `P:out:<tenant>`, `P:check:<tenant>` | hash id → bytes | output (JSON) and checkpoint, where there is one |
//! | `P:index:<tenant>` | stream sequence-0 → id | the tenant's jobs by acceptance, for listings |
//! | `P:key:<tenant>` | hash `<kind>:<key>` → id | idempotency keys |
//! | `P:only:<tenant>` | hash `<kind>:<key>` → id | unique keys: the job accepted last |
//! | `P:lane:<kind>:<tenant>:<priority>` | list of ids | a lane's waiting jobs of a priority, the first to go on the left |
//! | `P:lane:<kind>:<tenant>` | hash | a lane: tag, bucket, standing, pace, and its counts by state |
//! | `P:ring:<kind>` | zset tenant → tag | lanes that may run, by virtual time |
//! | `P:parked:<kind>` | zset tenant → time | lanes without a token, by the time of the next one |
//! | `P:held:<tenant>`, `P:heldkind:<kind>` | set | lanes that wait for an event of the tenant or kind |
//! | `P:kind:<kind>` | hash | virtual time, turn, running, limits |
//! | `P:tenant:<tenant>` | hash | running, waiting, bytes waiting, limits |
//! | `P:due:<kind>` | zset id+tenant → time | scheduled and retrying jobs |
//! | `P:lease` | zset id+tenant → time | running jobs, by the end of their leases |
//! | `P:ended:<tenant>` | list of time (8 bytes) + id | finished jobs, in the order in which they ended |
//! | `P:ending` | zset tenant → time | tenants with finished jobs, by the first of them |
//! | `P:waits:<tenant>` | hash id → msgpack | what a blocked job still waits for |
//! | `P:after:<tenant>:<id>` | set of ids | who waits for a job |
//! | `P:batch:<tenant>` | hash id → msgpack | batches |
//! | `P:paused` | set | `everything`, `tenant:<tenant>`, `kind:<kind>` |
//! | `P:lanes` | set of `<kind>:<tenant>` | all lanes, for statistics |
//! | `P:sequence` | number | the sequence given last |
//! | `P:asleep:<kind>` | zset waiter → time | workers that wait for a kind, and until when |
//! | `P:wake:<waiter>` | list | pushed to wake that one |
//! | `P:events:<tenant>:<id>` | stream sequence-0 → event | progress and text of a job, and its changes of state once there are such (`progress/redis`) |

/// The hash tag of a shard: the one key that scripts are given.
pub fn tag(namespace: &str, shard: u16) -> String {
    format!("{{{namespace}:{shard}}}")
}
