//! Limits: bounds on what peers of a broker may use, so that none of them can exhaust the host.

/// All limits of the broker and its connections. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest frame, header and end octet included, that a peer may agree on.
    pub frame_max_bytes: u32,
    /// The highest channel number that a peer may agree on.
    pub channel_max: u16,
    /// The heartbeat that is proposed to peers, in seconds; 0 proposes none.
    pub heartbeat_s: u16,
    /// A peer that has not opened a virtual host after this time is disconnected.
    pub login_timeout_ms: u64,
    /// The largest message body.
    pub message_max_bytes: usize,
    /// Maximum of all messages together with content that is being received. Everything else, such as queues and
    /// connections, may take half as much in addition.
    pub memory_max_bytes: usize,
    /// Above this, connections that publish have to wait until messages have left.
    pub memory_high_bytes: usize,
    /// Above this, bodies of messages that were written down stay only in the store.
    pub memory_page_bytes: usize,
    /// A connection with more unsent output than this gets no deliveries, and its input waits.
    pub output_high_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_max_bytes: 131_072,
            channel_max: 2047,
            heartbeat_s: 60,
            login_timeout_ms: 10_000,
            message_max_bytes: 16 << 20,
            memory_max_bytes: 256 << 20,
            memory_high_bytes: (256 << 20) / 5 * 4,
            memory_page_bytes: 128 << 20,
            output_high_bytes: 1 << 20,
        }
    }
}
