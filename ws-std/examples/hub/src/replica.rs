//! A document in memory, made by `yrs` from what anybody may have sent.
//!
//! An update may be malformed on purpose. It is tried on a copy before it enters the log, where every process would take it.
//! `yrs` calls itself once for each level of nested values, of which an update may have as many as half its bytes, so
//! all that depends on them is done on threads with a large stack, of which most systems keep in memory only what is used.

use std::{io, thread};

use yrs::{
    Doc, ReadTxn, StateVector, Transact, Update,
    encoding::read::{Cursor, Read},
    updates::decoder::Decode,
};

/// The longest document in bytes, as an update.
pub(crate) const LONGEST: usize = 128 * 1024;
/// Stack of a thread that does the work of `yrs`, in bytes: 4 KiB for each level that fits the longest document.
const STACK: usize = LONGEST / 2 * 4 * 1024;

/// The effect that an update would have on a document.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Nothing,
    News,
    /// The document would become too long.
    TooLong,
    Malformed,
}

#[derive(Default)]
pub(crate) struct Replica(Doc);

impl Replica {
    /// Takes updates that have been tried.
    pub(crate) fn take(&mut self, updates: &[Vec<u8>]) -> io::Result<()> {
        if updates.is_empty() {
            return Ok(());
        }
        // One that can't be applied changes nothing.
        roomy(|| updates.iter().for_each(|update| _ = apply(&self.0, update)))
    }

    /// Returns what `update` would do, if the document may have at most `longest` bytes.
    pub(crate) fn try_on_copy(&self, update: &[u8], longest: usize) -> io::Result<Effect> {
        roomy(|| {
            let copy = Doc::new();
            apply(&copy, &whole(&self.0));
            let before = whole(&copy);
            if !is_plain(update) || !apply(&copy, update) {
                return Effect::Malformed;
            }
            let after = whole(&copy);
            match after.len() {
                _ if after == before => Effect::Nothing,
                len if len > longest && len > before.len() => Effect::TooLong,
                _ => Effect::News,
            }
        })
    }

    /// Returns the document as an update.
    pub(crate) fn whole(&self) -> io::Result<Vec<u8>> {
        self.missed_by(&StateVector::default())
    }

    /// Returns what a client misses that has seen `seen`, as an update.
    pub(crate) fn missed_by(&self, seen: &StateVector) -> io::Result<Vec<u8>> {
        roomy(|| self.0.transact().encode_state_as_update_v1(seen))
    }

    pub(crate) fn state_vector(&self) -> StateVector {
        self.0.transact().state_vector()
    }

    #[cfg(test)]
    pub(crate) fn text(&self) -> String {
        let text = self.0.get_or_insert_text("text");
        let transaction = self.0.transact();
        yrs::GetString::get_string(&text, &transaction)
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        let doc = std::mem::take(&mut self.0);
        // Without a thread it is dropped here.
        let _ = roomy(move || drop(doc));
    }
}

/// Does work on a thread with a large stack.
///
/// # Errors
///
/// The system has no thread, or `yrs` has panicked.
fn roomy<X: Send>(work: impl FnOnce() -> X + Send) -> io::Result<X> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work)?;
        thread.join().map_err(|_| io::Error::other("a document can't be read"))
    })
}

fn whole(doc: &Doc) -> Vec<u8> {
    doc.transact().encode_state_as_update_v1(&StateVector::default())
}

/// Applies an update. Returns whether it can be.
fn apply(doc: &Doc, update: &[u8]) -> bool {
    Update::decode_v1(update).is_ok_and(|update| doc.transact_mut().apply_update(update).is_ok())
}

/// Returns whether an update has each client once. `yrs` does not expect that parts of one may overlap.
fn is_plain(update: &[u8]) -> bool {
    let clients = Cursor::new(update).read_var::<u32>().map_or(usize::MAX, |clients| clients as usize);
    clients <= update.len()
        && Update::decode_v1(update).is_ok_and(|update| update.state_vector_lower().len() == clients)
}

/// Returns whether a message of `y-protocols` is long enough for as many elements as it announces.
pub(crate) fn is_plausible(message: &[u8]) -> bool {
    let mut message = Cursor::new(message);
    let payload = match message.read_var::<u8>() {
        Ok(0) => message.read_var::<u8>().and_then(|_| message.read_buf()),
        Ok(1) => message.read_buf(),
        _ => return true,
    };
    payload.is_ok_and(|payload| {
        Cursor::new(payload).read_var::<u64>().is_ok_and(|count| count <= payload.len() as u64)
    })
}

#[cfg(test)]
mod tests {
    use yrs::Text;

    use super::*;

    fn update(text: &str) -> Vec<u8> {
        let doc = Doc::new();
        let root = doc.get_or_insert_text("text");
        root.push(&mut doc.transact_mut(), text);
        whole(&doc)
    }

    #[test]
    fn an_update_is_news_once() {
        let (mut replica, update) = (Replica::default(), update("hello"));
        assert_eq!(replica.try_on_copy(&update, LONGEST).unwrap(), Effect::News);
        replica.take(std::slice::from_ref(&update)).unwrap();
        assert_eq!(replica.try_on_copy(&update, LONGEST).unwrap(), Effect::Nothing);
        assert_eq!(replica.text(), "hello");
    }

    #[test]
    fn a_full_document_can_be_shortened() {
        let (doc, mut replica) = (Doc::new(), Replica::default());
        let root = doc.get_or_insert_text("text");
        root.push(&mut doc.transact_mut(), &"x".repeat(LONGEST - 100));
        replica.take(&[whole(&doc)]).unwrap();
        assert_eq!(replica.try_on_copy(&update(&"y".repeat(100)), LONGEST).unwrap(), Effect::TooLong);
        root.remove_range(&mut doc.transact_mut(), 0, 1_000);
        assert_eq!(replica.try_on_copy(&whole(&doc), LONGEST).unwrap(), Effect::News);
    }

    /// Returns an update with one block of `content`, whose kind is `info`, in the root `t`, for each of `clients`.
    fn blocks(clients: &[u8], info: u8, content: &[u8]) -> Vec<u8> {
        let mut update = vec![u8::try_from(clients.len()).unwrap()];
        for &client in clients {
            update.extend([1, client, 0, info, 1, 1, b't']);
            update.extend(content);
        }
        update.push(0);
        update
    }

    #[test]
    fn deeply_nested_values_do_not_exhaust_the_stack() {
        let mut nested = vec![1];
        nested.extend([117, 1].repeat((LONGEST - 100) / 2));
        nested.push(126);
        let (mut replica, update) = (Replica::default(), blocks(&[1], 8, &nested));
        assert_eq!(replica.try_on_copy(&update, LONGEST).unwrap(), Effect::News);
        replica.take(&[update]).unwrap();
        assert!(replica.whole().unwrap().len() > LONGEST - 200);
    }

    #[test]
    fn what_is_malformed_is_refused() {
        let replica = Replica::default();
        let text = b"\x05hello";
        assert_eq!(replica.try_on_copy(&blocks(&[1], 4, text), LONGEST).unwrap(), Effect::News);
        assert_eq!(
            replica.try_on_copy(&blocks(&[1, 1], 4, text), LONGEST).unwrap(),
            Effect::Malformed,
            "a client twice"
        );
        let cut = &blocks(&[1], 4, text)[..9];
        for update in [&[][..], &[255, 255, 255, 255, 15], cut] {
            assert_eq!(replica.try_on_copy(update, LONGEST).unwrap(), Effect::Malformed, "{update:?}");
        }
        assert!(is_plausible(&[0, 0, 1, 0]) && is_plausible(&[1, 1, 0]) && is_plausible(&[3]));
        assert!(!is_plausible(&[1, 5, 255, 255, 255, 255, 15]) && !is_plausible(&[0, 0]));
    }
}
