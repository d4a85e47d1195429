// Theme: dark or light by the system's setting, or by the button; the choice is stored in this browser.

const KEY = "pocketmq.theme";
const dark = matchMedia("(prefers-color-scheme: dark)");

type Theme = "dark" | "light";

/** Applies the stored choice. */
export function applyTheme(): void {
  const chosen = chosenTheme();
  if (chosen) document.documentElement.dataset.theme = chosen;
}

/** Wires the button, and reports each change. */
export function wireTheme(button: HTMLButtonElement, onChange: () => void): void {
  const show = () => button.setAttribute("aria-pressed", String(currentTheme() === "dark"));
  const change = () => {
    show();
    onChange();
  };
  show();
  dark.addEventListener("change", change);
  button.addEventListener("click", () => {
    localStorage.setItem(KEY, currentTheme() === "dark" ? "light" : "dark");
    applyTheme();
    change();
  });
}

function chosenTheme(): Theme | undefined {
  const stored = localStorage.getItem(KEY);
  return stored === "dark" || stored === "light" ? stored : undefined;
}

function currentTheme(): Theme {
  return chosenTheme() ?? (dark.matches ? "dark" : "light");
}
