/// placeholder
pub fn request_head(_data: &[u8]) {}
/// placeholder
pub fn response_head(_data: &[u8]) {}
