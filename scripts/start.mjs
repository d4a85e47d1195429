// Start: runs `npm start`: installs what is missing, builds what is out of date, and becomes the broker with the
// page. Its arguments are those of the command line `pocketmq`; unless they name another folder, its data is in `data`.

import { argv } from "node:process";
import { pathToFileURL } from "node:url";
import { build } from "./build.mjs";
import { inRoot } from "./lib/paths.mjs";
import { runIfCalled } from "./lib/problem.mjs";
import { setUpToStart } from "./setup.mjs";

await runIfCalled(import.meta.url, async () => {
  await setUpToStart();
  await build();
  const commandLine = inRoot("pkg", "dist", "entry", "cli.js");
  argv.splice(1, 1, commandLine, "--www", inRoot("www", "dist"), "--data", inRoot("data"));
  await import(pathToFileURL(commandLine).href);
});
