// In the demo panel's place where the token may not send: says so, and which command makes one that may.

import { scopeOf } from "../state/access";
import { MINT_BOTH } from "../state/denials";
import { useDashboard } from "../state/hooks";
import { CopyLine } from "./CopyLine";
import { HOME, Passing } from "./Passing";

export function DemoLocked({ onToken }: { onToken: () => void }) {
  const scope = scopeOf(useDashboard());
  return (
    <section className="card demo locked" aria-labelledby="demo-title">
      <h2 id="demo-title">
        demo traffic <span className="unit">needs the scope ingest</span>
      </h2>
      <p>
        The token in use may <b>{scope}</b>, not send. One that may do both:
      </p>
      <CopyLine label="run this where the daemon's secret is" text={MINT_BOTH} />
      <Passing home={HOME.access} className="button" onClick={onToken}>
        <span>give another token</span>
      </Passing>
    </section>
  );
}
