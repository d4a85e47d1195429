// Main: the package as a page imports it, exposed to the browser tests.
import { Broker } from "pocketmq";
import { connectPort, openBroker } from "pocketmq/browser";

Object.assign(globalThis, { Broker, connectPort, openBroker });
