//! Every input in the corpus of each fuzz target goes through the target's body.

use std::{fs, path::Path};

/// Runs every input of the target's corpus; there is at least one.
fn replay(target: &str, body: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus").join(target);
    let mut replayed = 0;
    for file in fs::read_dir(&corpus).unwrap() {
        let path = file.unwrap().path();
        eprintln!("{}", path.display());
        body(&fs::read(&path).unwrap());
        replayed += 1;
    }
    assert!(replayed > 0, "{} is empty", corpus.display());
}

macro_rules! replay_corpus_of {
    ($($target:ident)*) => {
        $(#[test] fn $target() { replay(stringify!($target), ws_fuzz_bodies::$target); })*
    };
}

replay_corpus_of! {
    request_head response_head frame_header endpoint_server endpoint_client split_equivalence round_trip utf8_mask
}
#[cfg(feature = "deflate")]
replay_corpus_of! {
    deflate_negotiation deflate_round_trip inflate
}
