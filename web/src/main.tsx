// Starts the page: theme first, so that the first paint has it.

import { createRoot } from "react-dom/client";
import "uplot/dist/uPlot.min.css";
import "./style.css";
import { App } from "./pages/App";
import { initTheme } from "./state/preferences";

initTheme();
const root = document.getElementById("root");
if (root) createRoot(root).render(<App />);
