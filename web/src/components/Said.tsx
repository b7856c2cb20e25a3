// What a screen reader is told without being asked: when the words change, not every second. What stands behind an
// open dialog is not told, so a dialog says it too.

import { useRef } from "react";
import { useDashboard } from "../state/hooks";
import { spoken, standingOf } from "../state/standing";
import { saidOf } from "../state/status";

export function Said() {
  const state = useDashboard();
  const standing = spoken(standingOf(state));
  return (
    <>
      <span className="hidden" role="status">
        {saidOf(state)}
      </span>
      <span className="hidden" role="status">
        {standing !== "" && <span>{standing}</span>}
      </span>
    </>
  );
}

/** In a dialog: what has changed since it opened. What was so before it was told already. */
export function SaidMeanwhile({ open }: { open: boolean }) {
  const state = useDashboard();
  const [status, standing] = [saidOf(state), spoken(standingOf(state))];
  return (
    <>
      <News open={open} said={status} />
      <News open={open} said={standing === "" ? "all is well" : standing} />
    </>
  );
}

function News({ open, said }: { open: boolean; said: string }) {
  const told = useRef(said);
  const isNews = useRef(false);
  if (!open) {
    told.current = said;
    isNews.current = false;
  } else if (said !== told.current) isNews.current = true;
  return (
    <span className="hidden" role="status">
      {isNews.current && <span>{said}</span>}
    </span>
  );
}
