// What stands over the charts while there has never been an event: how to send the first one.

import { useState } from "react";
import { useSession } from "../state/hooks";
import { CopyIcon, PlayIcon } from "./icons";

const EXAMPLE = { type: "page_view", route: "/hello", userId: "u1", status: 200, latencyMs: 43 };

function curlLine(origin: string): string {
  return [
    `curl ${origin}/api/events \\`,
    `  -H 'content-type: application/json' \\`,
    `  -d '${JSON.stringify(EXAMPLE)}'`,
  ].join("\n");
}

function fetchLine(origin: string): string {
  const event = JSON.stringify(EXAMPLE, null, 1)
    .replace(/"(\w+)":/g, "$1:")
    .replace(/\n\s*/g, " ");
  return [
    `fetch("${origin}/api/events", {`,
    `  method: "POST",`,
    "  body: JSON.stringify(",
    `    ${event}`,
    "  ),",
    "});",
  ].join("\n");
}

export function FirstRun({ origin, mayWrite }: { origin: string; mayWrite: boolean }) {
  const { demo } = useSession();
  return (
    <section className="firstrun" aria-labelledby="firstrun-title">
      <h2 id="firstrun-title">No events yet</h2>
      <p>The daemon is up and listening. Send it something, and this page moves a second later.</p>
      <CopyLine label="from a shell" text={curlLine(origin)} />
      <CopyLine label="from JavaScript" text={fetchLine(origin)} />
      {mayWrite && (
        <button type="button" className="button primary" onClick={() => demo.start()}>
          <PlayIcon />
          <span>send demo events</span>
        </button>
      )}
    </section>
  );
}

function CopyLine({ label, text }: { label: string; text: string }) {
  const [said, setSaid] = useState<"copy" | "copied" | "select it by hand">("copy");
  const copy = async () => {
    setSaid((await toClipboard(text)) ? "copied" : "select it by hand");
    setTimeout(() => setSaid("copy"), 2_000);
  };
  return (
    <div className="copyline">
      <span className="label">{label}</span>
      <code>{text}</code>
      <button
        type="button"
        className="button"
        onClick={() => void copy()}
        aria-label={`Copy the line ${label}`}
      >
        <CopyIcon />
        <span role="status">{said}</span>
      </button>
    </div>
  );
}

/** The clipboard proper needs a secure context; a daemon on a LAN has none, so there is the old way too. */
async function toClipboard(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}
