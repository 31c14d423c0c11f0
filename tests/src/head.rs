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
