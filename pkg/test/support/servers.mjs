// Servers: the wasm objects behind the brokers of this thread. Each has an instance of the wasm, and so a class, of its own.

/** Has each broker that is called from now on changed, before its first call; `Instance` is that of the package in use. */
export function eachServer({ Instance }, change) {
  const known = new WeakSet();
  const { ask } = Instance.prototype;
  Instance.prototype.ask = function (call) {
    return ask.call(this, (server) => {
      if (!known.has(server)) {
        known.add(server);
        change(server);
      }
      return call(server);
    });
  };
}

/** Returns a function that returns the prototype of the broker that was made last. */
export function lastPrototype(core) {
  let prototype;
  eachServer(core, (server) => {
    prototype = Object.getPrototypeOf(server);
  });
  return () => prototype;
}
