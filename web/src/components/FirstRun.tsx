// What stands over the charts while there has never been an event: how to send the first one.

import { MINT_INGEST } from "../state/denials";
import { useSession } from "../state/hooks";
import { CopyLine } from "./CopyLine";
import { PlayIcon } from "./icons";
import { HOME, Passing } from "./Passing";

const EXAMPLE = { type: "page_view", route: "/hello", userId: "u1", status: 200, latencyMs: 43 };

function curlLine(origin: string, tokens: boolean): string {
  return [
    `curl ${origin}/api/events \\`,
    ...(tokens ? [`  -H "authorization: Bearer $PULSEBOARD_TOKEN" \\`] : []),
    `  -H 'content-type: application/json' \\`,
    `  -d '${JSON.stringify(EXAMPLE)}'`,
  ].join("\n");
}

function fetchLine(origin: string, tokens: boolean): string {
  const event = JSON.stringify(EXAMPLE, null, 1)
    .replace(/"(\w+)":/g, "$1:")
    .replace(/\n\s*/g, " ");
  return [
    `fetch("${origin}/api/events", {`,
    `  method: "POST",`,
    ...(tokens ? [`  headers: { authorization: "Bearer " + token },`] : []),
    "  body: JSON.stringify(",
    `    ${event}`,
    "  ),",
    "});",
  ].join("\n");
}

interface Props {
  origin: string;
  mayWrite: boolean;
  /** The daemon has a key: whoever sends needs a token. */
  tokens: boolean;
}

export function FirstRun({ origin, mayWrite, tokens }: Props) {
  const { demo } = useSession();
  return (
    <section className="firstrun" aria-labelledby="firstrun-title">
      <h2 id="firstrun-title">No events yet</h2>
      <p>The daemon is up and listening. Send it something, and this page moves a second later.</p>
      {tokens && <CopyLine label="a token that may send" text={MINT_INGEST} />}
      <CopyLine label="from a shell" text={curlLine(origin, tokens)} />
      <CopyLine label="from JavaScript" text={fetchLine(origin, tokens)} />
      {mayWrite && (
        <Passing home={HOME.demo} className="button primary" onClick={() => demo.start()}>
          <PlayIcon />
          <span>send demo events</span>
        </Passing>
      )}
    </section>
  );
}
