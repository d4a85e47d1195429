// Port host: the package's own, on Node, with one broker in memory.
import { PortHost } from "../../dist/browser/host/port-host.js";
import { SystemClock } from "../../dist/core/clock.js";
import { Engine } from "../../dist/core/engine.js";
import { load } from "../../dist/core/load.js";
import { reportUncaught } from "../../dist/core/report.js";
import * as tab from "../../wasm/tab/tab.js";

const tabArtifact = await load(tab, new URL("../../wasm/tab/tab_bg.wasm", import.meta.url));

/** Starts a broker. */
export function startHost({ artifact = tabArtifact, onError = reportUncaught } = {}) {
  const clock = new SystemClock();
  const engine = new Engine({ artifact, limits: {}, clock, soon: setImmediate, onError });
  const host = new PortHost(engine);
  const connect = () => {
    const { port1, port2 } = new MessageChannel();
    host.serve(port2);
    return port1;
  };
  return { engine, host, connect };
}

/** Serves AMQP on one port; the output can be cut into pieces. */
export function hostPort(port, cut = (bytes) => [bytes]) {
  const { host } = startHost();
  const read = [];
  host.serve({
    set onmessage(receive) {
      port.onmessage =
        receive &&
        ((event) => {
          if (typeof event.data === "number") read.push(event.data);
          receive(event);
        });
    },
    postMessage(data) {
      for (const piece of data instanceof Uint8Array ? cut(data) : [data]) port.postMessage(piece);
    },
    close: () => port.close(),
  });
  return { read, shutdown: () => host.shutdown(), vanish: () => port.postMessage(null) };
}
