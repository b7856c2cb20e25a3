// Keys that work, and what the words on the page mean.

import { Dialog } from "./Dialog";
import { HOME } from "./Passing";

const KEYS: [string[], string][] = [
  [["1", "2", "3"], "window: the last second, five seconds, minute"],
  [["space"], "hold the picture, and go on"],
  [["/"], "filter: what to narrow to; a click on a route or a status class does it too"],
  [["s"], "system: what is not as it should be, and the daemon's own figures"],
  [["t"], "theme: light, dark, high contrast, the system's"],
  [["?"], "this help"],
  [["esc"], "close, or leave the wall board"],
];

const TOKEN_KEY: [string[], string] = [["a"], "access: the token in use, and another"];

const WORDS: [string, string][] = [
  ["window", "the span a number counts over; it ends at the newest second and moves every second"],
  ["active users", "different users in the window; sessions or clients where there is no user"],
  ["error rate", "events with a status of 500 or more, or marked as errors; raised from 1 %, high from 5 %"],
  ["p50, p95, p99", "half, 95 and 99 of 100 events were at least this fast"],
  ["late", "events that came more than a minute after their time: kept, but not in these charts"],
  ["skewed", "events from clocks ahead of the daemon's, counted when they came"],
];

interface Props {
  open: boolean;
  /** Whether there are tokens to speak of. */
  tokens: boolean;
  onClose: () => void;
}

export function Help({ open, tokens, onClose }: Props) {
  return (
    <Dialog name="help" title="Keys and words" open={open} home={HOME.help} onClose={onClose}>
      <dl className="keys">
        {(tokens ? [...KEYS, TOKEN_KEY] : KEYS).map(([keys, what]) => (
          <div key={what}>
            <dt>
              {keys.map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <dl className="words">
        {WORDS.map(([word, what]) => (
          <div key={word}>
            <dt>{word}</dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
