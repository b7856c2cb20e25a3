// Which share of the window's events ended how: one strip, and the numbers to it.

import { count, NOTHING, percent } from "../state/format";
import type { Room } from "../state/room";
import { CLASSES, type StatusClass } from "../state/series";
import { Narrows } from "./Narrows";

const NAMES: Record<StatusClass, string> = {
  "2xx": "success",
  "3xx": "redirect",
  none: "no status",
  "4xx": "client error",
  "5xx": "server error",
};

function sharesOf(room: Room | undefined): Record<StatusClass, number> {
  const classes = room?.aggregate.statusClasses ?? {};
  const of = (name: string) => classes[name] ?? 0;
  const named = { "2xx": of("2xx"), "3xx": of("3xx"), "4xx": of("4xx"), "5xx": of("5xx") };
  const claimed = named["2xx"] + named["3xx"] + named["4xx"] + named["5xx"];
  return { ...named, none: Math.max(0, (room?.aggregate.events ?? 0) - claimed) };
}

export function StatusClasses({ room }: { room: Room | undefined }) {
  const shares = sharesOf(room);
  const events = room?.aggregate.events ?? 0;
  return (
    <section className="card classes" aria-labelledby="classes-title">
      <h2 id="classes-title">
        status classes <span className="unit">{room && `last ${room.window}`}</span>
      </h2>
      <div className="strip" aria-hidden="true">
        {CLASSES.map((name) => (
          <i key={name} className={`c${name}`} style={{ flexGrow: events > 0 ? shares[name] / events : 0 }} />
        ))}
      </div>
      <dl>
        {CLASSES.map((name) => (
          <div key={name}>
            <dt>
              <i className={`swatch c${name}`} />
              {name === "none" ? (
                NAMES.none
              ) : (
                <Narrows field="status" value={name}>
                  {name} <span>{NAMES[name]}</span>
                </Narrows>
              )}
            </dt>
            <dd>{room ? count(shares[name]) : NOTHING}</dd>
            <dd>{events > 0 ? percent(shares[name] / events) : NOTHING}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}
