// Port watch: notices in a broker's worker that the client of a port is gone, and reports it to the port's host, in
// wasm, as the client would have: by null.
//
//   page ── { type: "disconnect", id } ──> worker        the connection that { type: "connect", id, port } began
import { holdLock, Liveness } from "./liveness.js";
import { received } from "./wire.js";

interface Command {
  type: string;
  id?: number;
  port?: MessagePort;
}

/** Watches the ports that a page sends to this worker. It has to begin before the host does, to get messages first. */
export function watchPorts(): void {
  const ports = new Map<number, MessagePort>();
  const ourLock = holdLock(new AbortController().signal);
  self.addEventListener("message", ({ data }: MessageEvent) => {
    const message = received<Command>(data);
    if (message.type === undefined) return;
    const { type, id = -1, port } = message;
    if (type === "disconnect") hangUp(ports.get(id));
    if (type !== "connect" || !(port instanceof MessagePort)) return;
    ports.set(id, port);
    watch(port, ourLock, () => ports.delete(id));
  });
}

function watch(port: MessagePort, ourLock: Promise<string>, whenGone: () => void): void {
  const liveness = new Liveness(
    () => port.postMessage(0),
    () => hangUp(port),
  );
  port.addEventListener("message", (event: MessageEvent) => {
    const { data } = event;
    liveness.heard();
    if (data === null) {
      liveness.stop();
      whenGone();
    }
    if (data === false) liveness.frozen();
    else if (typeof data === "string") {
      void liveness.watch(data);
      void ourLock.then((lock) => port.postMessage(lock));
    } else return;
    // The host only knows bytes, numbers and null.
    event.stopImmediatePropagation();
  });
}

function hangUp(port: MessagePort | undefined): void {
  port?.dispatchEvent(new MessageEvent("message", { data: null }));
}
