// Ports: "pocketmq/ports", the script of the SharedWorker that passes ports on to the leader. Tabs of several releases
// share one only if its URL and its behaviour never change: it does not read the messages that it passes on.

let leader: MessagePort | undefined;

self.addEventListener("connect", (event) => {
  const [port] = (event as MessageEvent).ports;
  if (!port) return;
  port.onmessage = ({ data, ports: [passed] }) => {
    if (data === "leads") {
      leader = passed;
      leader?.postMessage("known");
    } else if (leader && passed) leader.postMessage(data, [passed]);
    else port.postMessage("nobody");
  };
});
