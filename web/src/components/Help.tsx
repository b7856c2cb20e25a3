// Keys that work, and what the words on the page mean.

import { useEffect, useRef } from "react";
import { CloseIcon } from "./icons";

const KEYS: [string[], string][] = [
  [["1", "2", "3"], "window: the last second, five seconds, minute"],
  [["space"], "hold the picture, and go on"],
  [["t"], "theme: light, dark, high contrast, the system's"],
  [["?"], "this help"],
  [["esc"], "close, or leave the wall board"],
];

const WORDS: [string, string][] = [
  ["window", "the span a number counts over; it ends at the newest second and moves every second"],
  ["active users", "different users in the window; sessions or clients where there is no user"],
  ["error rate", "events with a status of 500 or more, or marked as errors; raised from 1 %, high from 5 %"],
  ["p50, p95, p99", "half, 95 and 99 of 100 events were at least this fast"],
  ["late", "events that came more than a minute after their time: kept, but not in these charts"],
  ["skewed", "events from clocks ahead of the daemon's, counted when they came"],
];

export function Help({ open, onClose }: { open: boolean; onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (open) dialog.current?.showModal();
    else dialog.current?.close();
  }, [open]);

  return (
    <dialog ref={dialog} className="dialog help" aria-labelledby="help-title" onClose={onClose}>
      <header>
        <h2 id="help-title">Keys and words</h2>
        <button type="button" className="button icon" onClick={onClose} aria-label="Close">
          <CloseIcon />
        </button>
      </header>
      <dl className="keys">
        {KEYS.map(([keys, what]) => (
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
    </dialog>
  );
}
