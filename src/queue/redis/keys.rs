//! Every key of the queue, and what is in it.
//!
//! A queue is split in shards; a tenant lives on one ([`shard_of`]). Every key of a shard begins with its hash tag, so that
//! a script touches one slot: `{pw:0}` (namespace and shard), `P` below. Ids are 16 raw bytes, times are microseconds since
//! 1970. Names of tenants and kinds hold no `:`. Scripts are given `P` as their one declared key and make the others from
//! it, for which tenants and kinds a claim will touch is known to the script alone.
//!
//! | key | type | what |
//! | --- | --- | --- |
//! | `P:job:<tenant>` | hash id → bytes | what never changes of a job (`body.rs`) |
//! | `P:run:<tenant>` | hash id → bytes | what changes (the record, `lua/prelude.lua`); a job without one waits in its lane and has never run |
//! | `P:out:<tenant>`, `P:check:<tenant>` | hash id → bytes | output (JSON; absent where it says nothing) and checkpoint, where there is one |
//! | `P:index:<tenant>` | stream sequence-0 → ids | the tenant's jobs by acceptance, for listings; the value of the one field is the id, or those of several jobs with this sequence and the next ones |
//! | `P:key:<tenant>` | hash `<kind>:<key>` → id | idempotency keys |
//! | `P:only:<tenant>` | hash `<kind>:<key>` → id | unique keys: the job accepted last |
//! | `P:lane:<kind>:<tenant>:<rank>` | list of ids | a lane's waiting jobs of a priority, the first to go on the left |
//! | `P:lane:<kind>:<tenant>:back<rank>` | zset id → sequence | those of them that have been in the lane before: they go before those in the list |
//! | `P:lane:<kind>:<tenant>` | bytes | a lane: standing, counts, virtual time, bucket, pace |
//! | `P:ring:<kind>` | zset tenant → tag | lanes that may run, by virtual time |
//! | `P:parked:<kind>` | zset tenant → time | lanes without a token, or that can't be read, by the time at which to try again |
//! | `P:held:<tenant>` | set of kinds | lanes that wait for an event of the tenant: a settlement, a resumption, new limits |
//! | `P:kind:<kind>` | hash | a kind, see below |
//! | `P:kinds` | set | kinds that have lanes |
//! | `P:load:<tenant>` | bytes | what a tenant uses |
//! | `P:tenant:<tenant>` | hash | a tenant's limits, where it has some (`control.lua`) |
//! | `P:due:<kind>` | zset id+tenant → time | scheduled and retrying jobs |
//! | `P:lease` | zset claim → time | leases, in groups of those that were given together, by their end |
//! | `P:leased:<claim>` | list of length (1 byte) + tenant + ids | the jobs of a group; some may have ended since, or been renewed into another |
//! | `P:holding` | hash claim → number | how many of a group's jobs still run under it: at 0 it goes |
//! | `P:claims` | number | the claim numbered last |
//! | `P:ended:<tenant>` | list of time (8 bytes) + ids | finished jobs, in the order in which they ended; requeued ones stay, and are stepped over |
//! | `P:ending` | zset tenant → time | tenants with finished jobs, by the first of them |
//! | `P:swept` | number | where the search for tenants with too many finished jobs goes on |
//! | `P:waits:<tenant>` | hash id → msgpack | what a blocked job still waits for |
//! | `P:after:<tenant>:<id>` | set of ids | who waits for a job |
//! | `P:batch:<tenant>` | hash id → msgpack | batches |
//! | `P:batches` | zset id+tenant → time | batches that may be removed, once their time is over |
//! | `P:paused` | set | `everything`, `tenant:<tenant>`, `kind:<kind>` |
//! | `P:lanes` | set of `<kind>:<tenant>` | all lanes, for statistics |
//! | `P:empty` | zset `<kind>:<tenant>` → time | lanes that had no job left, by the time from which they may be forgotten |
//! | `P:sequence` | number | the sequence given last |
//! | `P:turn` | number | rises with each turn of a kind |
//! | `P:asleep:<kind>` | zset waiter → time | workers that wait for a kind, and until when (by the server's clock, always) |
//! | `P:wake:<waiter>` | list | pushed to wake that one; lives for seconds |
//! | `P:timer:<kind>` | text | the waiter that wakes by itself when time brings the kind something; lives until then |
//! | `P:events:<tenant>:<id>` | stream sequence-0 → event | progress and text of a job, once there is such (`progress/redis/lua/events.lua`) |
//! | `P:states:<tenant>:<id>` | stream sequence-0 → event | its changes of state, once they are too many for its record |
//!
//! Fields of a kind: `tag` (virtual time), `era` (rises when virtual times begin anew), `turn` (its latest), `running`,
//! `lanes`; and its limits, as `control.lua` says. A lane stands `i`dle, `r`eady (in the ring), `p`arked or `h`eld; its tag
//! and era are kept while it is not in the ring. Records, lanes and loads are packed as `lua/prelude.lua` says.

pub use crate::store::redis::{shard_of, tag};
