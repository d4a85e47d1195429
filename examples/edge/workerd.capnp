# For the runtime itself: workerd serve workerd.capnp
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [ (name = "edge", worker = .edge) ],
  sockets = [ (name = "http", address = "127.0.0.1:8787", http = (), service = "edge") ],
);

const edge :Workerd.Worker = (
  compatibilityDate = "2026-11-01",
  modules = [
    (name = "worker.js", esModule = embed "worker.js"),
    (name = "requests.js", esModule = embed "requests.js"),
    (name = "pocketmq", esModule = "export * from './pkg/dist/workerd.js';"),
    (name = "pkg/dist/workerd.js", esModule = embed "../../pkg/dist/workerd.js"),
    (name = "pkg/dist/abi.js", esModule = embed "../../pkg/dist/abi.js"),
    (name = "pkg/dist/arguments.js", esModule = embed "../../pkg/dist/arguments.js"),
    (name = "pkg/dist/broker.js", esModule = embed "../../pkg/dist/broker.js"),
    (name = "pkg/dist/clock.js", esModule = embed "../../pkg/dist/clock.js"),
    (name = "pkg/dist/consumers.js", esModule = embed "../../pkg/dist/consumers.js"),
    (name = "pkg/dist/engine.js", esModule = embed "../../pkg/dist/engine.js"),
    (name = "pkg/dist/errors.js", esModule = embed "../../pkg/dist/errors.js"),
    (name = "pkg/dist/flags.js", esModule = embed "../../pkg/dist/flags.js"),
    (name = "pkg/dist/flushing.js", esModule = embed "../../pkg/dist/flushing.js"),
    (name = "pkg/dist/instance.js", esModule = embed "../../pkg/dist/instance.js"),
    (name = "pkg/dist/message.js", esModule = embed "../../pkg/dist/message.js"),
    (name = "pkg/dist/options.js", esModule = embed "../../pkg/dist/options.js"),
    (name = "pkg/dist/pattern-parser.js", esModule = embed "../../pkg/dist/pattern-parser.js"),
    (name = "pkg/dist/patterns.js", esModule = embed "../../pkg/dist/patterns.js"),
    (name = "pkg/dist/properties.js", esModule = embed "../../pkg/dist/properties.js"),
    (name = "pkg/dist/public.js", esModule = embed "../../pkg/dist/public.js"),
    (name = "pkg/dist/report.js", esModule = embed "../../pkg/dist/report.js"),
    (name = "pkg/wasm/broker/broker.js", esModule = embed "../../pkg/wasm/broker/broker.js"),
    (name = "pkg/wasm/broker/broker_bg.wasm", wasm = embed "../../pkg/wasm/broker/broker_bg.wasm"),
  ],
  durableObjectNamespaces = [ (className = "PullQueue", uniqueKey = "pocketmq-pull-queue", enableSql = true) ],
  durableObjectStorage = (inMemory = void),
  bindings = [ (name = "QUEUES", durableObjectNamespace = "PullQueue") ],
);
