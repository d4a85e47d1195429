// Controls: a slider and a number field for each of lambda, mu and the consumers. The slider stops at round values,
// close together where it matters; the number field accepts any value.
import { element, setText } from "./dom.ts";
import { plain } from "./format.ts";
import { LIMITS, type LimitName, problemWith } from "./settings.ts";

export type ControlName = LimitName;

/** The rates at which the slider stops. */
const RATES = [0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 5.5, 6, 6.5, 7, 7.5, 8, 8.5, 9, 9.5, 10, 11, 12, 13, 14, 15, 16]
  .concat([17, 18, 19, 20, 22, 24, 26, 28, 30, 33, 36, 40, 45, 50, 55, 60, 65, 70, 75, 80, 85, 90, 95, 100])
  .concat([110, 120, 130, 140, 150, 160, 180, 200, 220, 250, 280, 300, 350, 400, 450, 500, 600, 700, 800, 900, 1000]);

const STOPS: Record<ControlName, number[]> = {
  lambda: [0, ...RATES],
  mu: RATES,
  consumers: Array.from({ length: LIMITS.consumers.max + 1 }, (_, n) => n),
};

const UNITS: Record<ControlName, string> = {
  lambda: "messages a second",
  mu: "messages a second each",
  consumers: "consumers",
};

/** A slider and a number field with the same value. */
export class Control {
  readonly #name: ControlName;
  readonly #slider: HTMLInputElement;
  readonly #number: HTMLInputElement;
  readonly #problem: HTMLElement;
  readonly #onChange: (value: number) => void;
  #value = 0;

  constructor(name: ControlName, root: ParentNode, value: number, onChange: (value: number) => void) {
    this.#name = name;
    this.#slider = input(root, `${name}-slider`);
    this.#number = input(root, name);
    this.#problem = describedBy(this.#number);
    this.#onChange = onChange;
    this.#slider.max = String(STOPS[name].length - 1);
    this.show(value);
    this.#slider.addEventListener("input", () => this.#change(this.#stop(Number(this.#slider.value))));
    this.#number.addEventListener("change", () => this.#typed());
  }

  show(value: number): void {
    this.#value = value;
    this.#number.value = String(value);
    this.refuse("");
    this.#slider.value = String(nearest(STOPS[this.#name], value));
    this.#slider.setAttribute(
      "aria-valuetext",
      value === 1 && this.#name === "consumers" ? "1 consumer" : `${plain(value)} ${UNITS[this.#name]}`,
    );
  }

  #stop(index: number): number {
    return STOPS[this.#name][index] ?? 0;
  }

  /** Shows a problem with the value that was typed, or clears it with "". The load stays as it was. */
  refuse(problem: string): void {
    this.#number.setAttribute("aria-invalid", String(problem !== ""));
    this.#problem.hidden = problem === "";
    setText(this.#problem, problem && `${problem} It stays at ${plain(this.#value)}.`);
  }

  // An invalid value stays in the field and is marked; the load does not change.
  #typed(): void {
    const problem = problemWith(this.#name, this.#number.value);
    if (problem) this.refuse(problem);
    else this.#change(this.#number.valueAsNumber);
  }

  #change(value: number): void {
    this.show(value);
    this.#onChange(value);
  }
}

function input(root: ParentNode, id: string): HTMLInputElement {
  const found = root.querySelector<HTMLInputElement>(`#${id}`);
  if (!found) throw new Error(`The page has no input #${id}.`);
  return found;
}

function describedBy(field: HTMLInputElement): HTMLElement {
  return element(field.getAttribute("aria-describedby") ?? "");
}

function nearest(stops: number[], value: number): number {
  const distances = stops.map((stop) => Math.abs(stop - value));
  return distances.indexOf(Math.min(...distances));
}
