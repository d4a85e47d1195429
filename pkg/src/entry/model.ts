// "pocketmq/model": queueing theory, to compare a broker's figures with.
import * as lab from "../../wasm/lab/lab.js";
import { load } from "../core/load.js";

export { mmc, mmcDistribution, type Overload, type Prediction, type SteadyState } from "../../wasm/lab/lab.js";

await load(lab, new URL("../../wasm/lab/lab_bg.wasm", import.meta.url));
