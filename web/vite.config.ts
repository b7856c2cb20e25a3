// How the page is built and how it is served while it is being worked on.
// `npm run dev` proxies the daemon's paths to PULSEBOARD_URL, so that the page talks to a real daemon.
import { defineConfig, type Plugin } from "vite";

const daemon = process.env.PULSEBOARD_URL ?? "http://127.0.0.1:3000";

// The daemon's dev mode refuses a Host or Origin that is not its own: the proxy presents its own.
const proxied = {
  target: daemon,
  changeOrigin: true,
  ws: true,
  headers: { origin: daemon },
};

/** The first paint waits for the script, so that neither theme nor layout flashes. */
function paintOnce(): Plugin {
  return {
    name: "paint-once",
    transformIndexHtml: {
      order: "post",
      handler: (html) => html.replace('<script type="module"', '<script type="module" blocking="render"'),
    },
  };
}

export default defineConfig({
  plugins: [paintOnce()],
  // Written to React's API, shipped on Preact's: React alone is two thirds of the page's budget of 100 KB.
  resolve: {
    alias: [
      { find: /^react$/, replacement: "preact/compat" },
      { find: /^react-dom\/client$/, replacement: "preact/compat/client" },
      { find: /^react\/jsx-(dev-)?runtime$/, replacement: "preact/jsx-runtime" },
    ],
  },
  server: {
    host: "127.0.0.1",
    port: 5173,
    proxy: { "/api": proxied, "/ws": proxied, "/health": proxied, "/metrics": proxied },
  },
  build: {
    target: "es2022",
    outDir: "dist",
    sourcemap: false,
    // Everything the page needs comes as files of its own origin: its policy allows no inline parts.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  test: { include: ["src/**/*.test.ts"], environment: "node" },
} as Parameters<typeof defineConfig>[0] & { test: object });
