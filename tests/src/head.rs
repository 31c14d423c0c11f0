use ws_proto::handshake::HandshakeError;

/// A change of a valid head.
#[derive(Clone, Copy, Debug)]
pub enum Edit {
    /// Replaces the start line.
    Start(&'static str),
    /// Replaces the line of the field with the same name.
    Set(&'static str),
    /// Removes the field of this name.
    Without(&'static str),
    /// Appends a line.
    Add(&'static str),
    /// Appends a line that is not text.
    AddBytes(&'static [u8]),
    /// Inserts bytes before the head.
    Before(&'static str),
    /// Replaces the whole head.
    Raw(&'static [u8]),
}

/// Returns the head with the lines of `base` after `edits`.
#[must_use]
pub fn edited_head(base: &[&str], edits: &[Edit]) -> Vec<u8> {
    let name = |line: &str| line.split(':').next().unwrap().to_ascii_lowercase();
    let mut before = String::new();
    let mut lines: Vec<Vec<u8>> = base.iter().map(|line| line.as_bytes().to_vec()).collect();
    let position = |lines: &[Vec<u8>], edited: &str| {
        let same = |line: &Vec<u8>| name(&String::from_utf8_lossy(line)) == name(edited);
        1 + lines.iter().skip(1).position(same).expect("a field of the valid head")
    };
    for edit in edits {
        match *edit {
            Edit::Start(line) => lines[0] = line.into(),
            Edit::Set(line) => {
                let index = position(&lines, line);
                lines[index] = line.into();
            }
            Edit::Without(name) => {
                lines.remove(position(&lines, name));
            }
            Edit::Add(line) => lines.push(line.into()),
            Edit::AddBytes(line) => lines.push(line.into()),
            Edit::Before(text) => before.push_str(text),
            Edit::Raw(bytes) => return bytes.into(),
        }
    }
    lines.push(Vec::new());
    lines.push(Vec::new());
    [before.into_bytes(), lines.join(&b"\r\n"[..])].concat()
}

/// Offers the start of `received`, which grows by `step` bytes at a time, to `poll_head` until that finds a head or an
/// error; `None` if it finds neither.
pub fn poll_head_in_steps(
    received: &[u8],
    step: usize,
    mut poll_head: impl FnMut(&[u8]) -> Result<Option<usize>, HandshakeError>,
) -> Option<Result<usize, HandshakeError>> {
    let mut len = 0;
    loop {
        match poll_head(&received[..len]).transpose() {
            None if len == received.len() => return None,
            None => len = received.len().min(len + step),
            found => return found,
        }
    }
}
