//! placeholder
/// placeholder
pub fn round_trip(_data: &[u8]) {}
