// Packaging: the package as npm publishes it, installed elsewhere, in each runtime.
import assert from "node:assert/strict";
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { installTools, run } from "./support/tools.mjs";

const packageFolder = fileURLToPath(new URL("..", import.meta.url));
const fixtures = fileURLToPath(new URL("fixtures", import.meta.url));
let folder;
let tarball;
let files;

before(async () => {
  await installTools();
  folder = await mkdtemp(join(tmpdir(), "pocketmq-package-"));
  const [packed] = JSON.parse(await run(packageFolder, "npm", "pack", "--json", "--pack-destination", folder));
  tarball = join(folder, packed.filename);
  files = packed.files.map((file) => file.path);
  await writeFile(join(folder, "package.json"), JSON.stringify({ private: true, type: "module" }));
  await run(folder, "npm", "install", "--prefer-offline", "--no-audit", "--no-fund", tarball);
  await cp(fixtures, folder, { recursive: true });
});
after(() => rm(folder, { recursive: true }));

test("it has the files it needs and nothing else", () => {
  const kinds = new Set(files.map((file) => file.split("/")[0]));
  assert.deepEqual([...kinds].sort(), ["LICENSE-APACHE", "LICENSE-MIT", "README.md", "dist", "package.json", "wasm"]);
  for (const file of [
    ...["embed", "tab", "server", "lab"].map((name) => `wasm/${name}/${name}_bg.wasm`),
    "dist/entry/cli.js",
    "dist/entry/workerd.js",
  ]) {
    assert.ok(files.includes(file), file);
  }
  assert.ok(!files.some((file) => file.includes(".gitignore")));
});

const RUNTIMES = { node: ["node"], deno: ["deno", "run", "--allow-all", "--node-modules-dir=manual"], bun: ["bun"] };
for (const [name, command] of Object.entries(RUNTIMES)) {
  test(`${name} embeds a broker and listens`, async () => {
    assert.equal(await run(folder, ...command, "embedded.mjs"), "Hello World! noun true\n");
    const printed = ["Hello World!", "made/here q", "one broker in a folder", "still here", ""].join("\n");
    assert.equal(await run(folder, ...command, "listening.mjs"), printed);
  });
}

test("the types are right, and using and await using work", async () => {
  const require = createRequire(import.meta.url);
  const tsc = join(dirname(require.resolve("typescript/package.json")), "bin/tsc");
  const types = dirname(dirname(require.resolve("@types/node/package.json")));
  const lib = "ES2023,ESNext.Disposable,DOM";
  const flags = [
    "--strict",
    "--module",
    "NodeNext",
    "--target",
    "ES2022",
    "--lib",
    lib,
    "--typeRoots",
    types,
    "--types",
    "node",
  ];
  await run(folder, process.execPath, tsc, ...flags, "typed.ts");
  const printed = "typed, amqpPort, rho 0.5 amqp://127.0.0.1 with 0 queues\n";
  assert.equal(await run(folder, "node", "typed.js"), printed);
});

test("every entry point can be imported; workerd gets its own", async () => {
  const script = `
    const names = (await Promise.all(["", "/node", "/browser", "/model"].map((entry) => import("pocketmq" + entry)))).map(Object.keys);
    console.log(JSON.stringify(names));`;
  const names = JSON.parse(await run(folder, "node", "--input-type=module", "--eval", script));
  assert.deepEqual(names, [
    ["Broker", "BrokerError", "Fault", "Panic", "StoreFailure"],
    ["Broker", "BrokerError", "Fault", "Panic", "PortError", "StoreFailure", "listen"],
    ["AMQPError", "MessageRefused", "SiteDataCleared", "TimedOut", "connect", "connectPort", "openBroker"],
    ["mmc", "mmcDistribution"],
  ]);
  const resolve = 'console.log(import.meta.resolve("pocketmq"))';
  const resolved = await run(folder, "node", "--conditions=workerd", "--input-type=module", "--eval", resolve);
  assert.match(resolved, /dist\/entry\/workerd\.js\n$/);
});

test("the command is installed", async () => {
  assert.match(await run(folder, join(folder, "node_modules/.bin/pocketmq"), "--version"), /^\d+\.\d+\.\d+\n$/);
});

test("publint finds nothing", async () => {
  await run(packageFolder, "publint", "--strict", "--pack", "npm");
});

test("are-the-types-wrong finds nothing", async () => {
  await run(packageFolder, "attw", tarball, "--profile", "esm-only");
});
