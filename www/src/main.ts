// Start: the broker and its load begin before anything that is drawn has even been fetched: drawing takes the time that
// the workers need to start.
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
