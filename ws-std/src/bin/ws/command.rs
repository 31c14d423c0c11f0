//! The lines that a user types at a terminal.

use ws_std::CloseCode;

/// The text of `/help`.
pub(crate) const HELP: &str = "\
/ping                  send a Ping; the round trip is shown
/close [CODE [REASON]] close the connection (default 1000)
/hex 00ff              send a binary message
/file PATH             send a file as a binary message
//x                    send the text /x
Ctrl-D, Ctrl-C         close the connection with 1000";

/// A line, understood.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'l> {
    Text(&'l str),
    Ping,
    Close(CloseCode, &'l str),
    Binary(Vec<u8>),
    File(&'l str),
    Help,
    /// It is none of these. The text says why.
    Unknown(String),
}

impl<'l> Line<'l> {
    pub(crate) fn parse(line: &'l str) -> Self {
        let Some(command) = line.strip_prefix('/') else {
            return Self::Text(line);
        };
        if command.starts_with('/') {
            return Self::Text(command);
        }
        let (name, rest) = command.split_once(' ').unwrap_or((command, ""));
        let rest = rest.trim();
        match (name, rest) {
            ("ping", "") => Self::Ping,
            ("help", "") => Self::Help,
            ("close", rest) => Self::close(rest),
            ("hex", rest) => match hex::decode(rest.replace(' ', "")) {
                Ok(bytes) => Self::Binary(bytes),
                Err(error) => Self::Unknown(format!("/hex needs pairs of hexadecimal digits: {error}")),
            },
            ("file", "") => Self::Unknown("/file needs a path".into()),
            ("file", path) => Self::File(path),
            _ => {
                Self::Unknown(format!("no command /{name}: /help lists them, // sends a text that begins with /"))
            }
        }
    }

    fn close(rest: &'l str) -> Self {
        let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
        let code = if code.is_empty() { Ok(CloseCode::NORMAL) } else { code.parse().map(CloseCode::new) };
        match code {
            Ok(code) if code.is_allowed_on_wire() => Self::Close(code, reason.trim()),
            _ => {
                Self::Unknown("/close needs a code that may be sent, such as 1000 or one from 3000 to 4999".into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_text_or_a_command() {
        let close = |code, reason| Line::Close(CloseCode::new(code), reason);
        for (line, expected) in [
            ("hello /ping", Line::Text("hello /ping")),
            ("", Line::Text("")),
            ("//ping", Line::Text("/ping")),
            ("///", Line::Text("//")),
            ("/ping", Line::Ping),
            ("/help", Line::Help),
            ("/close", close(1000, "")),
            ("/close 4001", close(4001, "")),
            ("/close 4001 good  bye", close(4001, "good  bye")),
            ("/hex 00 fF", Line::Binary(vec![0, 255])),
            ("/hex", Line::Binary(Vec::new())),
            ("/file  a b", Line::File("a b")),
        ] {
            assert_eq!(Line::parse(line), expected, "{line}");
        }
        for line in
            ["/", "/pong", "/ping x", "/close 1005", "/close x", "/close 99999", "/hex 0", "/hex xx", "/file"]
        {
            assert!(matches!(Line::parse(line), Line::Unknown(_)), "{line}");
        }
    }
}
