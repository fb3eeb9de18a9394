//! Calls that ask the same of a store at the same time, made one. Owns: [`Together`]: who asks, who waits, what becomes of
//! both where one of them is dropped. Must not know: what is asked.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{runtime::Handle, sync::oneshot};

/// The most callers that one call answers.
const MOST: usize = 64;

/// Calls by what they ask. Whoever asks what nobody asks now does so at once, by himself. Whoever asks the same meanwhile
/// waits for that call's end, and then one more call asks for all who wait: so every answer is of a call that was begun
/// after it was asked for, and is as fresh as if each had asked alone. A caller that is dropped holds up nobody.
pub(crate) struct Together<K, A>(Arc<Waiting<K, A>>);

/// Who waits, by what is being asked: nobody yet where the list is empty. As many as there are callers, no more.
type Waiting<K, A> = Mutex<HashMap<K, Vec<oneshot::Sender<A>>>>;

impl<K, A> Default for Together<K, A> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K, A> Together<K, A>
where
    K: Clone + Eq + Hash + Send + 'static,
    A: Send + 'static,
{
    /// Asks, alone or with others. `call` asks for so many callers and answers as many times; those with the same `key` must
    /// ask the same. `None` where a call for many has ended without an answer: it has panicked, or the runtime ends.
    pub(crate) async fn ask<F>(&self, key: K, call: impl Fn(usize) -> F + Send + Sync + 'static) -> Option<A>
    where
        F: Future<Output = Vec<A>> + Send + 'static,
    {
        if let Some(told) = self.wait(&key) {
            return told.await.ok();
        }
        let turn = Turn { waiting: self.0.clone(), key, call: Arc::new(call) };
        (turn.call)(1).await.pop()
    }

    /// A place among those who wait; `None` where it is the caller's turn.
    fn wait(&self, key: &K) -> Option<oneshot::Receiver<A>> {
        let mut waiting = lock(&self.0);
        if let Some(others) = waiting.get_mut(key) {
            let (tell, told) = oneshot::channel();
            others.push(tell);
            return Some(told);
        }
        waiting.insert(key.clone(), Vec::new());
        None
    }
}

/// A call under way. Its end, also by being dropped, begins the next one where somebody waits.
struct Turn<K, A, C, F>
where
    K: Clone + Eq + Hash + Send + 'static,
    A: Send + 'static,
    C: Fn(usize) -> F + Send + Sync + 'static,
    F: Future<Output = Vec<A>> + Send + 'static,
{
    waiting: Arc<Waiting<K, A>>,
    key: K,
    call: Arc<C>,
}

impl<K, A, C, F> Drop for Turn<K, A, C, F>
where
    K: Clone + Eq + Hash + Send + 'static,
    A: Send + 'static,
    C: Fn(usize) -> F + Send + Sync + 'static,
    F: Future<Output = Vec<A>> + Send + 'static,
{
    fn drop(&mut self) {
        let (next, runtime) = {
            let mut waiting = lock(&self.waiting);
            let Some(all) = waiting.get_mut(&self.key) else { return };
            all.retain(|tell| !tell.is_closed());
            let next: Vec<_> = all.drain(..all.len().min(MOST)).collect();
            match Handle::try_current() {
                Ok(runtime) if !next.is_empty() => (next, runtime),
                // Where there is no runtime any more, whoever waits is told so.
                _ => {
                    waiting.remove(&self.key);
                    return;
                }
            }
        };
        let turn = Self { waiting: self.waiting.clone(), key: self.key.clone(), call: self.call.clone() };
        // Nobody's own: whoever has asked first may be gone before the answer comes.
        runtime.spawn(async move {
            let answers = (turn.call)(next.len()).await;
            for (tell, answer) in next.into_iter().zip(answers) {
                // Who is gone needs no answer.
                drop(tell.send(answer));
            }
            drop(turn);
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use tokio::sync::Semaphore;

    use super::*;

    /// A store that counts its calls and answers when it is let: with the number of the call.
    #[derive(Clone)]
    struct Store {
        calls: Arc<AtomicUsize>,
        asked_for: Arc<Mutex<Vec<usize>>>,
        gate: Arc<Semaphore>,
    }

    impl Store {
        fn new() -> Self {
            Self { calls: Arc::default(), asked_for: Arc::default(), gate: Arc::new(Semaphore::new(0)) }
        }

        fn call(
            &self,
        ) -> impl Fn(usize) -> std::pin::Pin<Box<dyn Future<Output = Vec<usize>> + Send>> + use<> {
            let store = self.clone();
            move |callers| {
                let store = store.clone();
                Box::pin(async move {
                    let number = store.calls.fetch_add(1, SeqCst) + 1;
                    lock(&store.asked_for).push(callers);
                    store.gate.acquire().await.unwrap().forget();
                    vec![number; callers]
                })
            }
        }

        fn asked_for(&self) -> Vec<usize> {
            lock(&self.asked_for).clone()
        }
    }

    /// So many callers of one key, each of which has asked.
    async fn ask(
        together: &Arc<Together<u8, usize>>,
        store: &Store,
        callers: usize,
    ) -> Vec<tokio::task::JoinHandle<Option<usize>>> {
        let all = (0..callers).map(|_| {
            let (together, call) = (together.clone(), store.call());
            tokio::spawn(async move { together.ask(1, call).await })
        });
        let all = all.collect();
        // One thread: each task runs until it waits.
        tokio::task::yield_now().await;
        all
    }

    #[tokio::test]
    async fn who_asks_while_a_call_is_under_way_is_answered_by_one_that_begins_afterwards() {
        let (together, store) = (Arc::default(), Store::new());
        let first = ask(&together, &store, 1).await;
        let others = ask(&together, &store, 9).await;
        assert_eq!(store.asked_for(), [1]);
        store.gate.add_permits(2);
        for one in first {
            assert_eq!(one.await.unwrap(), Some(1));
        }
        for one in others {
            assert_eq!(one.await.unwrap(), Some(2));
        }
        assert_eq!(store.asked_for(), [1, 9]);
        assert!(lock(&together.0).is_empty());
    }

    #[tokio::test]
    async fn a_call_is_for_so_many_at_most_and_nobody_is_forgotten() {
        let (together, store) = (Arc::default(), Store::new());
        let all = ask(&together, &store, 2 * MOST + 2).await;
        store.gate.add_permits(4);
        for one in all {
            assert!(one.await.unwrap().is_some());
        }
        assert_eq!(store.asked_for(), [1, MOST, MOST, 1]);
    }

    #[tokio::test]
    async fn who_is_dropped_holds_up_nobody() {
        let (together, store) = (Arc::default(), Store::new());
        let first = ask(&together, &store, 1).await;
        let gone = ask(&together, &store, 3).await;
        let other = ask(&together, &store, 1).await;
        for one in first.into_iter().chain(gone) {
            one.abort();
        }
        store.gate.add_permits(1);
        for one in other {
            assert_eq!(one.await.unwrap(), Some(2));
        }
        assert_eq!(store.asked_for()[0], 1);
        assert!(store.asked_for()[1] <= 4);
        assert!(lock(&together.0).is_empty());
    }

    #[tokio::test]
    async fn a_call_that_panics_answers_nobody_and_the_next_one_is_made() {
        let (together, store) = (Arc::<Together<u8, usize>>::default(), Store::new());
        let panicking = || {
            let call = store.call();
            move |callers| {
                assert_eq!(callers, 1, "this is meant to happen");
                call(callers)
            }
        };
        let all: Vec<_> = (0..3)
            .map(|_| {
                let (together, call) = (together.clone(), panicking());
                tokio::spawn(async move { together.ask(1, call).await })
            })
            .collect();
        // One thread: each task runs until it waits.
        tokio::task::yield_now().await;
        store.gate.add_permits(2);
        let mut answers = Vec::new();
        for one in all {
            answers.push(one.await.unwrap());
        }
        assert_eq!(answers, [Some(1), None, None]);
        assert_eq!(together.ask(1, store.call()).await, Some(2));
    }
}
