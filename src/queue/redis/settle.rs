//! Ends attempts and prolongs leases. Owns: how verdicts and renewals are written for the scripts. Must not know: what a
//! verdict does.

use std::collections::{BTreeMap, HashSet};

use futures_util::future::try_join_all;
use sha2::{Digest as _, Sha256};

use super::{
    RedisQueue,
    answer::{Answer, unreadable},
    claim::log_troubles,
    scripts,
};
use crate::{
    domain::{Checkpoint, Output, State, TenantId, Timestamp, Verdict},
    queue::{
        Lease, QueueError, Renewal, Settled, Standing,
        checks::{check_renewal, output_json},
    },
};

/// Items and bytes of one script: bounds how long others wait for it.
const MOST_ITEMS: usize = 1_000;
const MOST_BYTES: usize = 4 << 20;

/// One item of a call: whose it is, and its two arguments.
struct Item<'i> {
    tenant: &'i TenantId,
    head: Vec<u8>,
    text: Vec<u8>,
    /// It is done and has nothing to say: its head is cut to 32 bytes, and stands with others.
    is_simple: bool,
}

/// Pieces of a call that each go to one shard in one script: places of items, by tenant, in the order asked.
fn pieces(queue: &RedisQueue, items: &[Item<'_>]) -> Vec<(u16, Vec<usize>)> {
    let mut shards: BTreeMap<u16, Vec<(Vec<usize>, usize)>> = BTreeMap::new();
    for (place, item) in items.iter().enumerate() {
        let pieces = shards.entry(queue.shard_of(item.tenant)).or_default();
        match pieces.last_mut() {
            Some((places, bytes)) if places.len() < MOST_ITEMS && *bytes + item.text.len() <= MOST_BYTES => {
                places.push(place);
                *bytes += item.text.len();
            }
            _ => pieces.push((vec![place], item.text.len())),
        }
    }
    let one_by_one = |(shard, pieces): (u16, Vec<(Vec<usize>, usize)>)| {
        pieces.into_iter().map(move |(mut places, _)| {
            places.sort_by_key(|place| (items[*place].tenant, !items[*place].is_simple));
            (shard, places)
        })
    };
    shards.into_iter().flat_map(one_by_one).collect()
}

/// Whether a section has simple items before the others.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sorts {
    One,
    Two,
}

/// The arguments of a piece: sections by tenant.
fn arguments(queue: &RedisQueue, items: &mut [Item<'_>], places: &[usize], sorts: Sorts) -> Vec<Vec<u8>> {
    let mut arguments = queue.arguments();
    let mut rest = places;
    while let Some(first) = rest.first() {
        let is_same = |place: &&usize| items[**place].tenant == items[*first].tenant;
        let (section, later) = rest.split_at(rest.iter().take_while(is_same).count());
        rest = later;
        arguments.push(items[*first].tenant.as_str().as_bytes().to_vec());
        let simple = section.iter().take_while(|place| items[**place].is_simple).count();
        let (together, section) = section.split_at(simple);
        if sorts == Sorts::Two {
            arguments.push(together.iter().flat_map(|place| &items[*place].head[..32]).copied().collect());
        }
        arguments.push(section.len().to_string().into_bytes());
        for place in section {
            let item = &mut items[*place];
            arguments.push(std::mem::take(&mut item.head));
            arguments.push(std::mem::take(&mut item.text));
        }
    }
    arguments
}

/// A job that is settled twice in a call is settled in the order asked.
fn only_once(items: &mut [Item<'_>]) {
    let mut seen = HashSet::with_capacity(items.len());
    let key = |item: &Item<'_>| (item.tenant.clone(), item.head[..16].to_vec());
    let twice: HashSet<_> = items.iter().map(key).filter(|key| !seen.insert(key.clone())).collect();
    if !twice.is_empty() {
        for item in items.iter_mut() {
            item.is_simple &= !twice.contains(&key(item));
        }
    }
}

/// Settles a batch.
pub(super) async fn settle(
    queue: &RedisQueue,
    settlements: Vec<(Lease, Verdict)>,
) -> Result<Vec<Settled>, QueueError> {
    // Verdicts name times of this process' clock; where the server's rules, only how long from now is told.
    let from = if queue.clock.is_some() { Timestamp::EPOCH } else { queue.own_clock.now() };
    let mut items = settlements.iter().map(|one| settlement(one, from)).collect::<Result<Vec<_>, _>>()?;
    only_once(&mut items);
    let mut sent = Vec::new();
    for (shard, places) in pieces(queue, &items) {
        let arguments = arguments(queue, &mut items, &places, Sorts::Two);
        sent.push(async move {
            let answer = queue.run("settle jobs", &scripts::SETTLE, shard, &arguments).await?;
            Ok::<_, QueueError>((places, answer))
        });
    }
    let mut settled = vec![Settled::LeaseLost; settlements.len()];
    for (places, answer) in try_join_all(sent).await? {
        let mut answer = Answer::of(answer)?;
        let letters = answer.bytes().unwrap_or_default();
        log_troubles(&mut answer.array()?);
        if letters.len() != places.len() {
            return Err(unreadable("a settlement has no answer"));
        }
        for (place, letter) in places.into_iter().zip(letters) {
            settled[place] = match letter {
                b'-' => Settled::LeaseLost,
                letter => {
                    Settled::Now(state(letter).ok_or_else(|| unreadable("a job is in no known state"))?)
                }
            };
        }
    }
    Ok(settled)
}

/// The state that a record's letter means.
pub(super) fn state(letter: u8) -> Option<State> {
    Some(match letter {
        b's' => State::Scheduled,
        b'w' => State::Waiting,
        b'b' => State::Blocked,
        b'r' => State::Running,
        b't' => State::Retrying,
        b'c' => State::Completed,
        b'x' => State::Cancelled,
        b'd' => State::Dead,
        _ => return None,
    })
}

fn head(lease: &Lease, length: usize) -> Vec<u8> {
    let mut head = Vec::with_capacity(length);
    head.extend(lease.job.as_u128().to_be_bytes());
    head.extend(lease.epoch.to_be_bytes());
    head
}

fn settlement((lease, verdict): &(Lease, Verdict), from: Timestamp) -> Result<Item<'_>, QueueError> {
    let (letter, at, text) = match verdict {
        Verdict::Done(output) => (b'c', None, output_text(lease, output)?),
        Verdict::Retry { at, reason } => (b't', Some(*at), reason.as_str().to_owned()),
        Verdict::Snooze { until } => (b's', Some(*until), String::new()),
        Verdict::Cancelled => (b'x', None, String::new()),
        Verdict::Dead(reason) => (b'd', None, reason.as_str().to_owned()),
    };
    let at = at.map_or(0, Timestamp::as_micros);
    let mut head = head(lease, 41);
    // Tells a repeated settlement from another one for the same lease.
    let print =
        Sha256::new().chain_update([letter]).chain_update(at.to_be_bytes()).chain_update(&text).finalize();
    head.extend(print.iter().take(8));
    head.push(letter);
    // Lua's numbers are exact up to here: the year 2255.
    let at = at.saturating_sub(from.as_micros());
    head.extend(at.clamp(0, 1 << 53).to_be_bytes());
    let is_simple = letter == b'c' && text.is_empty();
    Ok(Item { tenant: &lease.tenant, head, text: text.into_bytes(), is_simple })
}

/// An output as JSON, empty where it says nothing: most say nothing.
fn output_text(lease: &Lease, output: &Output) -> Result<String, QueueError> {
    if *output == Output::default() {
        return Ok(String::new());
    }
    output_json(lease, output)
}

/// Renews a batch.
pub(super) async fn renew(queue: &RedisQueue, renewals: Vec<Renewal>) -> Result<Vec<Standing>, QueueError> {
    let mut items = renewals.iter().map(renewal).collect::<Result<Vec<_>, _>>()?;
    let mut sent = Vec::new();
    for (shard, places) in pieces(queue, &items) {
        let arguments = arguments(queue, &mut items, &places, Sorts::One);
        sent.push(async move {
            let answer = queue.run("renew leases", &scripts::RENEW, shard, &arguments).await?;
            Ok::<_, QueueError>((places, answer))
        });
    }
    let mut standings = vec![Standing::Lost; renewals.len()];
    for (places, answer) in try_join_all(sent).await? {
        let mut answer = Answer::of(answer)?;
        let mut each = answer.array()?;
        log_troubles(&mut answer.array()?);
        for place in places {
            let (until, cancel_asked) = (each.time(), each.flag());
            standings[place] = until.map_or(Standing::Lost, |until| Standing::Held { until, cancel_asked });
        }
    }
    Ok(standings)
}

fn renewal(renewal: &Renewal) -> Result<Item<'_>, QueueError> {
    check_renewal(renewal)?;
    let Renewal { lease, lease_for, checkpoint } = renewal;
    let bytes = checkpoint.as_ref().map_or(&[][..], |Checkpoint(bytes)| bytes);
    let mut head = head(lease, 33);
    head.extend(u64::try_from(lease_for.as_micros()).unwrap_or(u64::MAX).min(1 << 52).to_be_bytes());
    head.push(if checkpoint.is_some() { b'c' } else { b'-' });
    Ok(Item { tenant: &lease.tenant, head, text: bytes.to_vec(), is_simple: false })
}
