// Makes traffic to look at, where the daemon lets anyone write: rate, an error spell, and what the daemon said to it.

import { sendLimit } from "../state/access";
import { RATES, SPELL_MS } from "../state/demo";
import { count, NOTHING } from "../state/format";
import { useDashboard, useDemo, useNow, useSession } from "../state/hooks";
import { SPELL_ROUTE } from "../state/traffic";
import { PauseIcon, PlayIcon } from "./icons";
import { HOME } from "./Passing";

export function DemoPanel() {
  const dashboard = useDashboard();
  const limit = sendLimit(dashboard);
  const { demo } = useSession();
  const state = useDemo();
  const now = useNow(state.spellUntilMs > 0);
  const spellS = Math.ceil((state.spellUntilMs - now) / 1000);
  const spell = state.spellUntilMs > 0 && spellS > 0;
  // What the daemon does not take is not offered.
  const rates = limit === undefined ? RATES : [...RATES.filter((rate) => rate < limit), limit];
  const rate = Math.min(state.rate, limit ?? state.rate);
  const said = state.waiting ?? state.lastRejection;
  const index = Math.max(0, rates.indexOf(rate));

  return (
    <section className="card demo" aria-labelledby="demo-title">
      <h2 id="demo-title">
        demo traffic{" "}
        <span className="unit">
          {dashboard.connection.kind === "polling" ? "over REST" : "over the socket"}
        </span>
      </h2>
      <div className="row">
        <button
          type="button"
          id={HOME.demo}
          className={`button ${state.running ? "" : "primary"}`}
          onClick={() => (state.running ? demo.stop() : demo.start())}
        >
          {state.running ? <PauseIcon /> : <PlayIcon />}
          <span>{state.running ? "stop" : "send"}</span>
        </button>
        <label className="slider">
          <span className="hidden">Events a second</span>
          <input
            type="range"
            min={0}
            max={rates.length - 1}
            step={1}
            value={index}
            aria-valuetext={`${count(rate)} events a second`}
            onChange={(event) => demo.setRate(rates[event.currentTarget.valueAsNumber] ?? rate)}
          />
        </label>
        <output>
          {count(rate)}
          <span className="unit">/s</span>
        </output>
      </div>
      <div className="row">
        <button type="button" className="button danger" aria-pressed={spell} onClick={() => demo.spell()}>
          <span>{spell ? `errors for ${spellS} s` : `error spell, ${SPELL_MS / 1000} s`}</span>
        </button>
        <p className="hint">
          half of <code>{SPELL_ROUTE}</code> fails
        </p>
      </div>
      <dl className="verdicts">
        <div>
          <dt>accepted</dt>
          <dd>{count(state.accepted)}</dd>
        </div>
        <div>
          <dt>duplicates</dt>
          <dd>{count(state.duplicates)}</dd>
        </div>
        <div className={state.rejected > 0 ? "bad" : ""}>
          <dt>rejected</dt>
          <dd>{count(state.rejected)}</dd>
        </div>
        <div>
          <dt>ack</dt>
          <dd>{state.ackMs === undefined ? NOTHING : `${state.ackMs.toFixed(1)} ms`}</dd>
        </div>
      </dl>
      <p className="note" role="status">
        {said !== undefined && <span>{said}</span>}
      </p>
      {limit !== undefined && (
        <p className="note quiet">{`the daemon takes ${count(limit)} events/s with this token`}</p>
      )}
    </section>
  );
}
