// A line to run elsewhere, with a button that copies it.

import { useRef, useState } from "react";
import { CopyIcon } from "./icons";

export function CopyLine({ label, text }: { label: string; text: string }) {
  const [said, setSaid] = useState<"copy" | "copied" | "select it by hand">("copy");
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const copy = async () => {
    setSaid((await toClipboard(text)) ? "copied" : "select it by hand");
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setSaid("copy"), 2_000);
  };
  return (
    <div className="copyline">
      <span className="label">{label}</span>
      <code>{text}</code>
      <button
        type="button"
        className="button"
        onClick={() => void copy()}
        aria-label={`Copy the line ${label}`}
      >
        <CopyIcon />
        <span role="status">{said}</span>
      </button>
    </div>
  );
}

/** The clipboard proper needs a secure context; a daemon on a LAN has none, so there is the old way too. */
async function toClipboard(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    // Inside of an open dialog: what stands outside of it cannot be selected.
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}
