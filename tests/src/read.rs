use ws_proto::{Endpoint, MessageBuffer, connection::Storage, endpoint::Trace, role::Role};

/// Copies the front of `bytes` to the storage of `buffer`, as far as there is room, and returns the rest.
///
/// # Panics
///
/// The storage has no room.
pub fn read<'b, R: Role, T: Trace, S: Storage>(
    buffer: &mut MessageBuffer<S>,
    endpoint: &Endpoint<R, T>,
    bytes: &'b [u8],
) -> &'b [u8] {
    let (read, rest) = copy(bytes, buffer.unfilled(endpoint));
    buffer.filled(read);
    rest
}

/// Copies the front of `bytes` as an event loop does, to the storage of `buffer` or to `shared`. Returns the input for
/// [`MessageBuffer::next_in`], and the rest.
///
/// # Panics
///
/// Neither has room.
pub fn read_beside<'b, 's, R: Role, T: Trace, S: Storage>(
    buffer: &mut MessageBuffer<S>,
    endpoint: &Endpoint<R, T>,
    shared: &'s mut [u8],
    bytes: &'b [u8],
) -> (&'s mut [u8], &'b [u8]) {
    let (read, rest) = copy(bytes, buffer.unfilled_or(endpoint, shared));
    (buffer.filled_or(read, shared), rest)
}

/// Copies as many bytes as fit. Returns their number, and the rest.
fn copy<'b>(bytes: &'b [u8], room: &mut [u8]) -> (usize, &'b [u8]) {
    assert!(!room.is_empty() || bytes.is_empty(), "there is room whenever everything has been taken");
    let (read, rest) = bytes.split_at(room.len().min(bytes.len()));
    room[..read.len()].copy_from_slice(read);
    (read.len(), rest)
}
