// Theme: dark or light as the system says, until the button says otherwise; the choice is kept in this browser.

const KEY = "pocketmq.theme";
const dark = matchMedia("(prefers-color-scheme: dark)");

type Theme = "dark" | "light";

/** Applies what was chosen before, wires the button, and tells of each change. */
export function initTheme(button: HTMLButtonElement, onChange: () => void): void {
  const apply = (chosen: Theme | undefined) => {
    if (chosen) document.documentElement.dataset.theme = chosen;
    button.setAttribute("aria-pressed", String(current(chosen) === "dark"));
    onChange();
  };
  apply(chosenTheme());
  dark.addEventListener("change", () => apply(chosenTheme()));
  button.addEventListener("click", () => {
    const theme = current(chosenTheme()) === "dark" ? "light" : "dark";
    localStorage.setItem(KEY, theme);
    apply(theme);
  });
}

function chosenTheme(): Theme | undefined {
  const kept = localStorage.getItem(KEY);
  return kept === "dark" || kept === "light" ? kept : undefined;
}

function current(chosen: Theme | undefined): Theme {
  return chosen ?? (dark.matches ? "dark" : "light");
}
