// Start: the broker and the load start before any drawing code is fetched: it arrives while the workers start.
import { Link } from "./link.ts";
import { readSettings } from "./settings.ts";
import { applyTheme } from "./theme.ts";

applyTheme();
const settings = readSettings(location.search);
const link = new Link();
void link.connect(settings, false, 0);
await link.settled;

const { Page } = await import("./page.ts");
new Page(link, settings);
