// Colours that colour-blind eyes tell apart: those of the library's plots, and lighter ones for the dark.
export const LIGHT = {
  // Okabe and Ito without yellow, then dark ones of Tol's "muted" scheme.
  colours: ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#444444", "#332288", "#882255", "#117733", "#999933", "#aa4499"],
  grey: "#c4c4c4",
  ground: "#ffffff",
  ink: "#1a1a1a",
};
export const DARK = {
  // Okabe and Ito with yellow in place of black, then light ones of Tol's "muted" scheme.
  colours: ["#4a9fdc", "#e8702a", "#2fc49a", "#d993bb", "#8fd0f5", "#f0b233", "#e8e8e8", "#9c8cff", "#f0e442", "#44bb55", "#ddcc77", "#e06fb8"],
  grey: "#4d4d4d",
  ground: "#242424",
  ink: "#ffffff",
};

const dark = matchMedia("(prefers-color-scheme: dark)");

/** Return the colours for the look that the browser asks for. */
export const palette = () => (dark.matches ? DARK : LIGHT);

/** Call `action` when the browser asks for another look; returns what ends that. */
export function onLook(action) {
  dark.addEventListener("change", action);
  return () => dark.removeEventListener("change", action);
}
