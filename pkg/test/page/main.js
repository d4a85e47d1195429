// What the browser test reaches from outside, as a page would import it.
import { Broker } from "pocketmq";
import { connectPort, openBroker } from "pocketmq/browser";

Object.assign(globalThis, { Broker, connectPort, openBroker });
