// Without files: a leader's worker in a browser without a file system, as in private windows.
navigator.storage.getDirectory = () => Promise.reject(new DOMException("Security error", "SecurityError"));
await import("pocketmq/leader");
