//! What the example programs share: their arguments, their help, and errors told in a line.

use std::{
    error::Error,
    ffi::{OsStr, OsString},
    io::Write,
    process::ExitCode,
};

use ws_std::deflate::Settings;

/// What a program's command line came to: `None` if help is asked for.
pub(crate) type Arguments<A> = Result<Option<A>, Box<dyn Error>>;

/// The values on a command line that has up to `most` and no options but `--help`.
#[allow(dead_code, reason = "some examples have options of their own")]
pub(crate) fn values(most: usize) -> Arguments<Vec<String>> {
    let mut values = Vec::new();
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Short('h') | lexopt::Arg::Long("help") => return Ok(None),
            lexopt::Arg::Value(value) if values.len() < most => values.push(lexopt::ValueExt::string(value)?),
            _ => return Err(argument.unexpected().into()),
        }
    }
    Ok(Some(values))
}

/// The settings that the value of `--deflate` names.
#[allow(dead_code, reason = "some examples don't compress")]
pub(crate) fn profile(name: Option<OsString>) -> Result<Settings, Box<dyn Error>> {
    match name.as_deref().map(OsStr::to_str) {
        None | Some(Some("small")) => Ok(Settings::small()),
        Some(Some("balanced")) => Ok(Settings::balanced()),
        Some(Some("best")) => Ok(Settings::best_ratio()),
        Some(_) => Err("the profile is none of small, balanced, best".into()),
    }
}

/// Runs `program`, or tells its help, or what is wrong.
pub(crate) fn run<A>(
    help: &str,
    arguments: Arguments<A>,
    program: impl FnOnce(A) -> Result<(), Box<dyn Error>>,
) -> ExitCode {
    let result = arguments.and_then(|arguments| match arguments {
        Some(arguments) => program(arguments),
        None => {
            // Whoever reads only the first lines has seen enough.
            let _ = writeln!(std::io::stdout(), "{help}");
            Ok(())
        }
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
