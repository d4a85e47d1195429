// Service: a service worker that connects on request, and reports the result.
import { connect } from "pocketmq/browser";

self.addEventListener("message", ({ data: options, ports: [port] }) => {
  connect(options).then(
    () => port.postMessage("connected"),
    (error) => port.postMessage(error.message),
  );
});
