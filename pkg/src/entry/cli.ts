#!/usr/bin/env node
// The command `pocketmq`.
import "./node.js";
import { run } from "../node/command.js";

await run(process.argv.slice(2));
