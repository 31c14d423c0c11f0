//! The bodies of the fuzz targets, beside the code that they test, each against a slow, obvious twin.
//!
//! An input begins with the length, one byte, of its choices; the choices follow, then what comes off the
//! wire. How the wire is cut and what the host does in between is thus free to change without the wire
//! changing, and `00` in front of any bytes is an input.

mod choices;
#[cfg(feature = "deflate")]
mod deflate;
mod endpoint;
mod handshake;
mod host;
#[cfg(feature = "deflate")]
mod plain_inflate;
mod pure;
mod reference;
mod round_trip;
mod split;

#[cfg(feature = "deflate")]
pub use deflate::{Watch, deflate_negotiation, deflate_round_trip, inflate, inflate_watched};
pub use endpoint::{endpoint_client, endpoint_server};
pub use handshake::{request_head, response_head};
pub use pure::{frame_header, utf8_mask};
pub use round_trip::round_trip;
pub use split::split_equivalence;

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    /// Runs every input of the target's corpus; there is at least one.
    fn replay(target: &str, body: fn(&[u8])) {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
        // A packaged crate comes without the corpus.
        let Ok(files) = fs::read_dir(&corpus) else {
            return;
        };
        let mut replayed = 0;
        for file in files {
            let path = file.unwrap().path();
            std::eprintln!("{}", path.display());
            body(&fs::read(&path).unwrap());
            replayed += 1;
        }
        assert!(replayed > 0, "{} is empty", corpus.display());
    }

    macro_rules! replay_corpus_of {
        ($($target:ident)*) => {
            $(#[test] fn $target() { replay(stringify!($target), super::$target); })*
        };
    }

    replay_corpus_of! {
        request_head response_head frame_header endpoint_server endpoint_client split_equivalence round_trip
        utf8_mask
    }
    #[cfg(feature = "deflate")]
    replay_corpus_of! {
        deflate_negotiation deflate_round_trip inflate
    }
}
