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
    (name = "pocketmq", esModule = "export * from './pkg/dist/entry/workerd.js';"),
    (name = "pkg/dist/entry/workerd.js", esModule = embed "../../pkg/dist/entry/workerd.js"),
    (name = "pkg/dist/core/artifact.js", esModule = embed "../../pkg/dist/core/artifact.js"),
    (name = "pkg/dist/core/arguments.js", esModule = embed "../../pkg/dist/core/arguments.js"),
    (name = "pkg/dist/embedded/artifact.js", esModule = embed "../../pkg/dist/embedded/artifact.js"),
    (name = "pkg/dist/embedded/broker.js", esModule = embed "../../pkg/dist/embedded/broker.js"),
    (name = "pkg/dist/core/clock.js", esModule = embed "../../pkg/dist/core/clock.js"),
    (name = "pkg/dist/embedded/consumers.js", esModule = embed "../../pkg/dist/embedded/consumers.js"),
    (name = "pkg/dist/core/engine.js", esModule = embed "../../pkg/dist/core/engine.js"),
    (name = "pkg/dist/core/errors.js", esModule = embed "../../pkg/dist/core/errors.js"),
    (name = "pkg/dist/core/flags.js", esModule = embed "../../pkg/dist/core/flags.js"),
    (name = "pkg/dist/core/instance.js", esModule = embed "../../pkg/dist/core/instance.js"),
    (name = "pkg/dist/embedded/message.js", esModule = embed "../../pkg/dist/embedded/message.js"),
    (name = "pkg/dist/embedded/options.js", esModule = embed "../../pkg/dist/embedded/options.js"),
    (name = "pkg/dist/core/pattern-parser.js", esModule = embed "../../pkg/dist/core/pattern-parser.js"),
    (name = "pkg/dist/core/patterns.js", esModule = embed "../../pkg/dist/core/patterns.js"),
    (name = "pkg/dist/core/properties.js", esModule = embed "../../pkg/dist/core/properties.js"),
    (name = "pkg/dist/embedded/public.js", esModule = embed "../../pkg/dist/embedded/public.js"),
    (name = "pkg/dist/core/report.js", esModule = embed "../../pkg/dist/core/report.js"),
    (name = "pkg/wasm/embed/embed.js", esModule = embed "../../pkg/wasm/embed/embed.js"),
    (name = "pkg/wasm/embed/embed_bg.wasm", wasm = embed "../../pkg/wasm/embed/embed_bg.wasm"),
  ],
  durableObjectNamespaces = [ (className = "PullQueue", uniqueKey = "pocketmq-pull-queue", enableSql = true) ],
  durableObjectStorage = (inMemory = void),
  bindings = [ (name = "QUEUES", durableObjectNamespace = "PullQueue") ],
);
