/// The flow of ciphertext from the transport.
#[derive(Debug, Default)]
pub(super) enum Inflow {
    /// The last read took less than it could, so the next one probably has to wait.
    #[default]
    Spent,
    /// The last read took as much as it could, so more has probably come.
    Ample,
}

impl Inflow {
    /// Judges by a read that has taken `taken` bytes and could have taken `most`.
    pub(super) const fn after(taken: usize, most: usize) -> Self {
        if taken < most { Self::Spent } else { Self::Ample }
    }
}
