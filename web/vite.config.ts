import { defineConfig } from "vite";

export default defineConfig({
  root: "phone",
  base: "./",
  build: {
    outDir: "../dist",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    // A stable name: other pages load it by this.
    rolldownOptions: { output: { entryFileNames: "offhook-phone.js" } },
  },
  test: { root: ".", include: ["call/**/*.test.ts"] },
} as Parameters<typeof defineConfig>[0]);
