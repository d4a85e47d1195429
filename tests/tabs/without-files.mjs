// Without files: a leader's worker where the browser gives no file system, as in private windows.
navigator.storage.getDirectory = () => Promise.reject(new DOMException("Security error", "SecurityError"));
await import("pocketmq/leader");
