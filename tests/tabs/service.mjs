// Service: a service worker that connects when it is told to, and tells what came of it.
import { connect } from "pocketmq/browser";

self.addEventListener("message", ({ data: options, ports: [port] }) => {
  connect(options).then(
    () => port.postMessage("connected"),
    (error) => port.postMessage(error.message),
  );
});
