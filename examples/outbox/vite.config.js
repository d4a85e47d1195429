// Relative addresses serve the page from any folder; what is small stays a file, as scripts of workers must be.
export default {
  base: "./",
  build: { target: "es2022", assetsInlineLimit: 0 },
  worker: { format: "es" },
};
