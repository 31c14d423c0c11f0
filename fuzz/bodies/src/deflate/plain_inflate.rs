//! DEFLATE (RFC 1951) bit by bit: what a compressed message comes to, found the slow way.

/// Why there is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    Corrupt,
    TooBig,
}

/// The messages of one peer.
#[derive(Debug, Default)]
pub(super) struct Plain {
    /// All that was inflated before.
    history: Vec<u8>,
    /// Where what can be referred to begins: a final block ends it.
    from: usize,
}

/// Fixed codes are of these lengths (RFC 1951 section 3.2.6).
fn fixed_lengths() -> Vec<u8> {
    (0..288).map(|symbol| [8, 9, 7, 8][[144, 256, 280].iter().filter(|from| symbol >= **from).count()]).collect()
}

const LENGTH_BASES: [usize; 29] = [
    3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227,
    258,
];
const LENGTH_BITS: [u8; 29] =
    [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const DISTANCE_BASES: [usize; 30] = [
    1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097,
    6145, 8193, 12_289, 16_385, 24_577,
];
const CODE_LENGTHS_ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

impl Plain {
    /// Inflates this payload; whether it is UTF-8 is not checked.
    pub(super) fn message(&mut self, payload: &[u8], limit: usize, takeover: bool) -> Result<Vec<u8>, Wrong> {
        if !takeover {
            self.from = self.history.len();
        }
        let before = self.history.len();
        // Not what a compressor makes, but taken for what it must mean.
        if payload.is_empty() {
            return Ok(Vec::new());
        }
        let whole = [payload, &[0x00, 0x00, 0xFF, 0xFF]].concat();
        let mut bits = Bits { bytes: &whole, taken: 0 };
        loop {
            let last = bits.take(1)? == 1;
            let most = before + limit;
            match bits.take(2)? {
                0 => self.stored(&mut bits, most)?,
                1 => self.coded(&mut bits, &fixed_lengths(), &[5; 32], most)?,
                2 => self.dynamic(&mut bits, most)?,
                _ => return Err(Wrong::Corrupt),
            }
            if last {
                bits.skip_to_byte();
                self.from = self.history.len();
            }
            // A final block may end the message before what was cut off is put back.
            if bits.taken == whole.len() * 8 || last && bits.taken == payload.len() * 8 {
                return Ok(self.history[before..].to_vec());
            }
        }
    }

    /// A byte of the message, which what was cut off has none of.
    fn push(&mut self, byte: u8, most: usize, bits: &Bits<'_>) -> Result<(), Wrong> {
        if bits.taken > (bits.bytes.len() - 4) * 8 {
            return Err(Wrong::Corrupt);
        }
        self.history.push(byte);
        if self.history.len() > most { Err(Wrong::TooBig) } else { Ok(()) }
    }

    fn stored(&mut self, bits: &mut Bits<'_>, most: usize) -> Result<(), Wrong> {
        bits.skip_to_byte();
        let len = bits.take(16)?;
        if bits.take(16)? != len ^ 0xFFFF {
            return Err(Wrong::Corrupt);
        }
        for _ in 0..len {
            let byte = bits.take(8)?;
            self.push(byte.to_le_bytes()[0], most, bits)?;
        }
        Ok(())
    }

    fn dynamic(&mut self, bits: &mut Bits<'_>, most: usize) -> Result<(), Wrong> {
        let (literals, distances) = (bits.take(5)? + 257, bits.take(5)? + 1);
        let codes = bits.take(4)? + 4;
        if literals > 286 || distances > 30 {
            return Err(Wrong::Corrupt);
        }
        let mut lengths = [0; 19];
        for index in &CODE_LENGTHS_ORDER[..codes] {
            lengths[*index] = bits.take(3)?.to_le_bytes()[0];
        }
        let code = Code::new(&lengths, false)?;
        let mut lengths = Vec::new();
        while lengths.len() < literals + distances {
            let (length, times) = match code.symbol(bits)? {
                16 => (*lengths.last().ok_or(Wrong::Corrupt)?, 3 + bits.take(2)?),
                17 => (0, 3 + bits.take(3)?),
                18 => (0, 11 + bits.take(7)?),
                length => (length.to_le_bytes()[0], 1),
            };
            lengths.extend(vec![length; times]);
        }
        if lengths.len() > literals + distances || lengths[256] == 0 {
            return Err(Wrong::Corrupt);
        }
        let (literals, distances) = lengths.split_at(literals);
        self.coded(bits, literals, distances, most)
    }

    fn coded(&mut self, bits: &mut Bits<'_>, literals: &[u8], distances: &[u8], most: usize) -> Result<(), Wrong> {
        let (literals, distances) = (Code::new(literals, true)?, Code::new(distances, true)?);
        loop {
            let symbol = literals.symbol(bits)?;
            if symbol < 256 {
                self.push(symbol.to_le_bytes()[0], most, bits)?;
                continue;
            }
            if symbol == 256 {
                return Ok(());
            }
            let index = symbol - 257;
            let base = LENGTH_BASES.get(index).ok_or(Wrong::Corrupt)?;
            let len = base + bits.take(LENGTH_BITS[index].into())?;
            let index = distances.symbol(bits)?;
            let base = DISTANCE_BASES.get(index).ok_or(Wrong::Corrupt)?;
            let distance = base + bits.take((index / 2).saturating_sub(1))?;
            for _ in 0..len {
                let at = self.history.len().checked_sub(distance).filter(|at| *at >= self.from);
                let at = at.ok_or(Wrong::Corrupt)?;
                self.push(self.history[at], most, bits)?;
            }
        }
    }
}

/// Bits, the lowest of each byte first.
struct Bits<'b> {
    bytes: &'b [u8],
    taken: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> Result<usize, Wrong> {
        let mut value = 0;
        for place in 0..count {
            let byte = self.bytes.get(self.taken / 8).ok_or(Wrong::Corrupt)?;
            value |= usize::from(byte >> (self.taken % 8) & 1) << place;
            self.taken += 1;
        }
        Ok(value)
    }

    fn skip_to_byte(&mut self) {
        self.taken = self.taken.next_multiple_of(8);
    }
}

/// A Huffman code by the lengths of its symbols' codes (RFC 1951 section 3.2.2).
struct Code {
    /// For each length the first code of that length, and its symbols in order.
    of_length: Vec<(usize, Vec<usize>)>,
}

impl Code {
    /// Unless more codes are named than there are, or fewer; a lone code of one bit may do, or none.
    fn new(lengths: &[u8], lone: bool) -> Result<Self, Wrong> {
        let mut of_length = Vec::new();
        let (mut next, mut left) = (0, 1_usize);
        for length in 1..=15 {
            let symbols: Vec<_> = (0..lengths.len()).filter(|symbol| lengths[*symbol] == length).collect();
            next *= 2;
            left = (left * 2).checked_sub(symbols.len()).ok_or(Wrong::Corrupt)?;
            of_length.push((next, symbols));
            next += of_length.last().map_or(0, |(_, symbols)| symbols.len());
        }
        let longest = lengths.iter().max().copied().unwrap_or_default();
        if left > 0 && !(lone && longest <= 1) {
            return Err(Wrong::Corrupt);
        }
        Ok(Self { of_length })
    }

    fn symbol(&self, bits: &mut Bits<'_>) -> Result<usize, Wrong> {
        let mut code = 0;
        for (first, symbols) in &self.of_length {
            code = code * 2 + bits.take(1)?;
            if let Some(symbol) = code.checked_sub(*first).and_then(|index| symbols.get(index)) {
                return Ok(*symbol);
            }
        }
        Err(Wrong::Corrupt)
    }
}
