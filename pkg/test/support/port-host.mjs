// Port host: a small replacement on Node for the browser's worker: one broker, AMQP over MessagePorts.

import "pocketmq";
import { embedded } from "../../dist/embedded/artifact.js";

/** Serves AMQP on one port; the output can be cut into pieces. */
export function hostPort(port, cut = (bytes) => [bytes]) {
  const { Server, memory } = embedded.artifact();
  const server = new Server({ seed: new Uint8Array(32) }, 0);
  const id = server.connect({ loopback: true });
  const read = [];
  const turn = () => {
    server.turn(0);
    while (server.nextOutput() !== -1) write();
  };
  const write = () => {
    const output = new Uint8Array(memory.buffer, server.outputPointer(id), server.outputLength(id)).slice();
    server.outputTaken(id, output.length);
    for (const bytes of cut(output)) port.postMessage(bytes, [bytes.buffer]);
    if (!server.isClosed(id)) return;
    server.disconnected(id);
    port.postMessage(null);
  };
  port.onmessage = ({ data }) => {
    if (data === null) return port.close();
    if (typeof data === "number") return read.push(data);
    server.receive(id, data);
    return turn();
  };
  const shutdown = () => {
    server.shutdown();
    turn();
  };
  return { read, shutdown, vanish: () => port.postMessage(null) };
}
