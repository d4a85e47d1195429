// Theme: dark or light as the system says, until the button says otherwise; the choice is kept in this browser.

const KEY = "pocketmq.theme";
const dark = matchMedia("(prefers-color-scheme: dark)");

type Theme = "dark" | "light";

/** Applies what was chosen before. */
export function applyTheme(): void {
  const chosen = chosenTheme();
  if (chosen) document.documentElement.dataset.theme = chosen;
}

/** Wires the button, and tells of each change. */
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
  const kept = localStorage.getItem(KEY);
  return kept === "dark" || kept === "light" ? kept : undefined;
}

function currentTheme(): Theme {
  return chosenTheme() ?? (dark.matches ? "dark" : "light");
}
