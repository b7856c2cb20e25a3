// A dialog over the page: the browser keeps the focus in it, closes it with escape, and gives the focus back.

import { type ReactNode, type SyntheticEvent, useLayoutEffect, useRef } from "react";
import { CloseIcon } from "./icons";
import { SaidMeanwhile } from "./Said";

interface Props {
  name: string;
  title: string;
  open: boolean;
  /** The control that is always there for it: it gets the focus when the one that had it is gone. */
  home: string;
  onClose: () => void;
  children: ReactNode;
}

export function Dialog({ name, title, open, home, onClose, children }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  // With the drawing, not after it: whoever reads `open` finds the dialog that way.
  useLayoutEffect(() => {
    const own = dialog.current;
    if (!open || !own) return;
    // One at a time. The other one gives the focus back first: that is where this one gives it back to.
    for (const other of document.querySelectorAll<HTMLDialogElement>("dialog[open]")) other.close();
    const before = document.activeElement;
    own.showModal();
    return () => {
      own.close();
      if (!before?.isConnected) document.getElementById(home)?.focus();
    };
  }, [open, home]);

  // Escape: said before the browser closes it, so that the next key finds the page without it. A file chooser that
  // was left says the same, from inside.
  const cancelled = (event: SyntheticEvent) => {
    if (event.target === event.currentTarget) onClose();
  };
  // Any other way to close is told a frame later: by then this dialog may be open again, or gone for another one.
  const closed = () => {
    if (open && !dialog.current?.open) onClose();
  };

  return (
    <dialog
      ref={dialog}
      className={`dialog ${name}`}
      aria-labelledby={`${name}-title`}
      onCancel={cancelled}
      onClose={closed}
    >
      <header>
        <h2 id={`${name}-title`}>{title}</h2>
        <button type="button" className="button icon" onClick={onClose} aria-label="Close">
          <CloseIcon />
        </button>
      </header>
      {children}
      <SaidMeanwhile open={open} />
    </dialog>
  );
}
