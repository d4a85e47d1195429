// Start: the broker and its load begin before anything that is drawn has even been fetched.
import { Link } from "./link.ts";
import { readSettings } from "./settings.ts";

const settings = readSettings(location.search);
const link = new Link();
void link.connect(settings, false);

const { Page } = await import("./page.ts");
new Page(link, settings);
