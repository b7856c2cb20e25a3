// The daemon answers, and does not let this page in: what it said, and what to do about it. Where a token would help,
// the token's dialog asks for one instead.

import { denialOf } from "../state/denials";
import { useSession } from "../state/hooks";
import { HOME, Passing } from "./Passing";

export function Denied({ code, detail }: { code: string; detail: string }) {
  const session = useSession();
  const denial = denialOf(code, false);
  return (
    <div className="denial" role="alert">
      <h2>{denial.title}</h2>
      <p>{denial.text}</p>
      {denial.command && <code>{denial.command}</code>}
      <p className="hint">
        {detail} ({code})
      </p>
      <Passing home={HOME.system} className="button primary" onClick={session.retryNow}>
        <span>try again</span>
      </Passing>
    </div>
  );
}
