// The daemon answers, and does not let this page in: what it said, and what to do about it.

import { useSession } from "../state/hooks";

const ADVICE: Record<string, { title: string; text: string; command?: string }> = {
  dev_mode_is_local: {
    title: "Only from the daemon's own machine",
    text: "The daemon runs in dev mode, without a key, and answers this machine's loopback address only. Open the page at that address, or give the daemon a key:",
    command: "pulseboardd --init-auth",
  },
  unauthorized: {
    title: "A token is needed",
    text: "The daemon asks for a token with the scope read. Make one where its secret is:",
    command: 'pulseboard token --scope "read"',
  },
};

export function Denied({ code, detail }: { code: string; detail: string }) {
  const session = useSession();
  const advice = ADVICE[code] ?? { title: "The daemon does not let this page in", text: "It said:" };
  return (
    <div className="denial" role="alertdialog" aria-labelledby="denied-title">
      <h2 id="denied-title">{advice.title}</h2>
      <p>{advice.text}</p>
      {advice.command && <code>{advice.command}</code>}
      <p className="hint">
        {detail} ({code})
      </p>
      <button type="button" className="button primary" onClick={session.retryNow}>
        <span>try again</span>
      </button>
    </div>
  );
}
