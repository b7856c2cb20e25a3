// What is not as it should be, in full, and the daemon's own figures, read every two seconds while the panel is open.

import { Fragment, useEffect, useState } from "react";
import { type Group, groupsOf, type Readings } from "../state/figures";
import { useDashboard, useSession } from "../state/hooks";
import { briefOf, inWords, standingOf } from "../state/standing";
import { Dialog } from "./Dialog";
import { HOME } from "./Passing";

const EVERY_MS = 2_000;

export function System({ open, onClose }: { open: boolean; onClose: () => void }) {
  const state = useDashboard();
  const standing = standingOf(state);
  const { notices, instances } = standing;
  const { readings, trouble } = useFigures(open);
  const groups = readings ? groupsOf(readings, standing) : [];
  const node = state.welcome?.node;
  return (
    <Dialog name="system" title="System" open={open} home={HOME.system} onClose={onClose}>
      {notices.length === 0 ? (
        <p>{instances ? `All is well: ${inWords(instances)} report.` : "All is well."}</p>
      ) : (
        <ul>
          {notices.map((notice) => (
            <li key={notice.check}>
              <b className={`notice ${notice.level}`}>{briefOf(notice)}</b>
              <p>{notice.detail}</p>
            </li>
          ))}
        </ul>
      )}
      <h3>Figures{node !== undefined && ` of ${node}`}</h3>
      {trouble && <p role="status">{trouble}</p>}
      {(groups.length > 0 || !trouble) && (
        <div className="figures">
          {groups.map((group) => (
            <Figures key={group.name} group={group} />
          ))}
        </div>
      )}
    </Dialog>
  );
}

function Figures({ group }: { group: Group }) {
  return (
    <section>
      <h4>{group.name}</h4>
      <dl>
        {group.rows.map(({ name, value, wrong }) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd className={wrong ? "wrong" : undefined}>
              <Value text={value} />
            </dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

/** Where it does not fit on one line, it breaks after a comma and nowhere else. */
function Value({ text }: { text: string }) {
  const parts = text.split(", ");
  return parts.map((part, i) => (
    <Fragment key={part}>
      {i > 0 && " "}
      <span>{i < parts.length - 1 ? `${part},` : part}</span>
    </Fragment>
  ));
}

function useFigures(active: boolean) {
  const session = useSession();
  const [readings, setReadings] = useState<Readings>();
  const [trouble, setTrouble] = useState<string>();
  useEffect(() => {
    if (!active) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let over = false;
    const read = async () => {
      try {
        const metrics = await session.figures();
        if (over) return;
        const now = { atMs: Date.now(), metrics };
        setReadings((before) => ({ now, before: before?.now }));
        setTrouble(undefined);
      } catch (error) {
        if (over) return;
        const why = error instanceof Error ? error.message : "the daemon does not answer";
        setTrouble(`They cannot be read: ${why}`);
      }
      timer = setTimeout(read, EVERY_MS);
    };
    void read();
    return () => {
      over = true;
      clearTimeout(timer);
      setReadings(undefined);
    };
  }, [session, active]);
  return { readings, trouble };
}
