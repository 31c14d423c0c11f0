/// How a head differs from one that is valid.
#[derive(Clone, Copy, Debug)]
pub enum Edit {
    /// The start line is this.
    Start(&'static str),
    /// The field of this name is this line.
    Set(&'static str),
    /// The field of this name is missing.
    Without(&'static str),
    /// This line comes last.
    Add(&'static str),
    /// This line comes last, and it is not text.
    AddBytes(&'static [u8]),
    /// These bytes come before everything.
    Before(&'static str),
    /// The head is this alone.
    Raw(&'static [u8]),
}

/// The head that has the lines of `base`, but for `edits`.
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
