// "pocketmq/model": queueing theory, to compare a broker's figures with.
import * as lab from "../../wasm/lab/lab.js";
import { load } from "../core/load.js";

export type { Overload, Prediction, SteadyState } from "../../wasm/lab/lab.js";

const model = await load(lab, new URL("../../wasm/lab/lab_bg.wasm", import.meta.url));
export const { mmc, mmcDistribution } = model();
