// Palette: the style sheet's colours, for the canvases. There is one colour for each role, everywhere.

const NAMES = ["ink", "muted", "line", "lane", "surface", "producer", "ready", "unacked", "theory"] as const;

export type Palette = Record<(typeof NAMES)[number], string>;

/** Returns the colours of the current theme. */
export function readPalette(): Palette {
  const probe = document.createElement("span");
  probe.hidden = true;
  document.body.append(probe);
  const colours = NAMES.map((name) => {
    probe.style.color = `var(--${name})`;
    return [name, getComputedStyle(probe).color];
  });
  probe.remove();
  return Object.fromEntries(colours) as Palette;
}
