// What the daemon finds not as it should be, in few words, and how many instances report. The line it stands in is
// always there, so that nothing moves when it comes and goes.

import { useDashboard } from "../state/hooks";
import { briefOf, spoken, standingOf } from "../state/standing";

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
          <button
            key={notice.check}
            type="button"
            className={`notice ${notice.level}`}
            title={notice.detail}
            onClick={onSystem}
          >
            {briefOf(notice)}
          </button>
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

/** The same for a screen reader: told when the words change, not when a number does. */
export function NoticesSaid() {
  const said = spoken(standingOf(useDashboard()));
  return (
    <span className="hidden" role="status">
      {said !== "" && <span>{said}</span>}
    </span>
  );
}
