// The daemon answers, and does not let this page in: what it said, and what to do about it. Where a token would help,
// the token's dialog asks for one instead.

import { denialOf } from "../state/denials";
import { useSession } from "../state/hooks";

export function Denied({ code, detail }: { code: string; detail: string }) {
  const session = useSession();
  const denial = denialOf(code, false);
  return (
    <div className="denial" role="alertdialog" aria-labelledby="denied-title">
      <h2 id="denied-title">{denial.title}</h2>
      <p>{denial.text}</p>
      {denial.command && <code>{denial.command}</code>}
      <p className="hint">
        {detail} ({code})
      </p>
      <button type="button" className="button primary" onClick={session.retryNow}>
        <span>try again</span>
      </button>
    </div>
  );
}
