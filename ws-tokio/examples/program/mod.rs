//! Parts that the example programs share: profiles of compression, and Ctrl-C.

use std::io;

use tokio::signal::ctrl_c;
use ws_tokio::{Handle, deflate::Settings};

/// Returns the settings that the value of `--deflate` names.
#[allow(dead_code, reason = "some examples don't compress")]
pub(crate) fn profile(name: &str) -> Result<Settings, &'static str> {
    match name {
        "small" => Ok(Settings::small()),
        "balanced" => Ok(Settings::balanced()),
        "best" => Ok(Settings::best_ratio()),
        _ => Err("the profile is none of small, balanced, best"),
    }
}

/// Stops a server at the first Ctrl-C. A second one ends the process at once.
#[allow(dead_code, reason = "some examples are clients")]
pub(crate) async fn stop_at_ctrl_c(handle: Handle) -> io::Result<()> {
    ctrl_c().await?;
    handle.stop();
    ctrl_c().await?;
    // The status that a shell gives an interrupted program.
    std::process::exit(130);
}
