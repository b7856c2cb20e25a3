// What the daemon finds not as it should be, in few words, and how many instances report. The line it stands in is
// always there, so that nothing moves when it comes and goes.

import { useDashboard } from "../state/hooks";
import { briefOf, standingOf } from "../state/standing";
import { HOME, Passing } from "./Passing";

export function Instances() {
  const { instances, missing } = standingOf(useDashboard());
  if (instances === undefined) return null;
  return (
    <span className={missing ? "instances missing" : "instances"}>
      {instances}
      {instances !== "alone" && <span className="word"> instances</span>}
    </span>
  );
}

/** Each opens the panel that says more; on a wall there are no controls. */
export function Notices({ onSystem }: { onSystem?: () => void }) {
  const { notices } = standingOf(useDashboard());
  if (notices.length === 0) return null;
  return (
    <span className="notices">
      {notices.map((notice) =>
        onSystem ? (
          <Passing
            key={notice.check}
            home={HOME.system}
            className={`notice ${notice.level}`}
            title={notice.detail}
            onClick={onSystem}
          >
            {briefOf(notice)}
          </Passing>
        ) : (
          <span key={notice.check} className={`notice ${notice.level}`}>
            {briefOf(notice)}
          </span>
        ),
      )}
      {notices.length > 1 && <span className="more">+{notices.length - 1}</span>}
    </span>
  );
}
