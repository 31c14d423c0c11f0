//! A client: one thread reads and prints, one sends input, and a third sends Pings if asked to.

use std::{io, sync::Arc, thread};

use crate::{
    arguments::{Common, Compress, Connecting, Messages},
    connecting::{Dialler, url_of},
    failure::Failure,
    input::Input,
    session::{Feed, Session},
};

/// Connects to `url`, sends and prints until the end.
pub(crate) fn run(
    url: &str,
    common: &Common,
    connecting: &Connecting,
    messages: &Messages,
) -> Result<(), Failure> {
    let url = url_of(url);
    let dialler = Dialler::new(common, connecting, Compress::Balanced)?;
    let session = Arc::new(Session::new(common, messages));
    let on_signal = Arc::clone(&session);
    ctrlc::set_handler(move || on_signal.interrupt())
        .map_err(|error| Failure::local("Ctrl-C", &io::Error::other(error)))?;
    let input = Input::of(messages);
    let mut input: Option<Feed> = Some(Box::new(move |session| input.feed(session)));
    if let Some(interval) = messages.ping {
        let session = Arc::clone(&session);
        thread::spawn(move || session.send_pings(interval));
    }
    let result = session.connect_again(&dialler, &url, messages.reconnect, &mut input);
    let failure = session.end();
    failure.map_or(result, Err)
}
