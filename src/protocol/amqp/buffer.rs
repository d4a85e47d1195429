//! Buffer: a queue of bytes, taken at the front and appended at the end.

/// Maximum capacity of an empty buffer; a busy connection fills about that in a turn.
const KEPT_BYTES: usize = 2 << 20;

#[derive(Default)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    /// Number of bytes that were taken. They are removed only when they are the larger part, so that taking is cheap.
    taken: usize,
}

impl Buffer {
    pub(crate) fn waiting(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Returns the vector to append to.
    pub(crate) fn end(&mut self) -> &mut Vec<u8> {
        if self.taken > self.bytes.len() / 2 {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        &mut self.bytes
    }

    pub(crate) fn take(&mut self, count: usize) {
        self.taken += count;
        assert!(self.taken <= self.bytes.len(), "no more is taken than there is");
        if self.taken == self.bytes.len() {
            self.bytes.clear();
            self.taken = 0;
            self.shrink_to(KEPT_BYTES);
        }
    }

    /// Frees memory if the buffer is empty.
    pub(crate) fn rest(&mut self) {
        self.shrink_to(0);
    }

    fn shrink_to(&mut self, bytes: usize) {
        if self.bytes.is_empty() && self.bytes.capacity() > bytes {
            self.bytes = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_in_order() {
        let mut buffer = Buffer::default();
        let (mut put, mut got) = (0u8, Vec::new());
        for round in 0..50 {
            for _ in 0..round % 7 {
                buffer.end().push(put);
                put = put.wrapping_add(1);
            }
            let count = buffer.waiting().len().min(round % 5);
            got.extend_from_slice(&buffer.waiting()[..count]);
            buffer.take(count);
        }
        got.extend_from_slice(buffer.waiting());
        assert_eq!(got, (0..put).collect::<Vec<_>>());
    }

    #[test]
    fn an_empty_buffer_gives_much_memory_back_at_once_and_all_at_rest() {
        let mut buffer = Buffer::default();
        buffer.end().resize(KEPT_BYTES * 2, 0);
        buffer.take(KEPT_BYTES * 2);
        assert_eq!(buffer.bytes.capacity(), 0);
        buffer.end().push(1);
        buffer.rest();
        assert_eq!(buffer.waiting(), [1]);
        buffer.take(1);
        buffer.rest();
        assert_eq!(buffer.bytes.capacity(), 0);
    }
}
