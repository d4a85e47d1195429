// Relative addresses serve the page from any folder; small assets stay files, as scripts of workers must be.
export default {
  base: "./",
  build: { target: "es2022", assetsInlineLimit: 0 },
  worker: { format: "es" },
};
