// One line about the token, where there is something to say: it is wanted, or it soon ends. On the page and the wall.

import { endsSoonS, isAsking } from "../state/access";
import { age } from "../state/format";
import { useDashboard } from "../state/hooks";
import { HOME, Passing } from "./Passing";

export function AccessLine({ onToken }: { onToken: () => void }) {
  const state = useDashboard();
  const ends = endsSoonS(state);
  if (isAsking(state)) {
    const { connection } = state;
    const ended = connection.kind === "denied" && connection.code === "token_expired";
    return (
      <Line
        text={ended ? "the token has ended; a new one goes on from here" : "the daemon asks for a token"}
        button="give a token"
        kind="asks warn"
        onClick={onToken}
      />
    );
  }
  if (ends === undefined) return null;
  const text = ends > 0 ? `the token ends in ${age(ends)}` : "the token ends now";
  return <Line text={text} button="renew" kind={ends < 60 ? "warn" : ""} onClick={onToken} />;
}

interface LineProps {
  text: string;
  button: string;
  kind: string;
  onClick: () => void;
}

function Line({ text, button, kind, onClick }: LineProps) {
  return (
    <span className={`access ${kind}`}>
      <span>{text}</span>
      <Passing home={HOME.access} className="link" onClick={onClick}>
        {button}
      </Passing>
    </span>
  );
}
