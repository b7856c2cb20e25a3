// A dialog over the page: the browser keeps the focus in it, closes it with escape, and gives the focus back.

import { type ReactNode, useLayoutEffect, useRef } from "react";
import { CloseIcon } from "./icons";

interface Props {
  name: string;
  title: string;
  open: boolean;
  onClose: () => void;
  children: ReactNode;
}

export function Dialog({ name, title, open, onClose, children }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  // With the drawing, not after it: whoever reads `open` finds the dialog that way.
  useLayoutEffect(() => {
    if (open) dialog.current?.showModal();
    else dialog.current?.close();
  }, [open]);

  // The browser tells of a closing a frame later: by then this dialog may be open again, or gone for another one.
  const closed = () => {
    if (open && !dialog.current?.open) onClose();
  };

  return (
    <dialog ref={dialog} className={`dialog ${name}`} aria-labelledby={`${name}-title`} onClose={closed}>
      <header>
        <h2 id={`${name}-title`}>{title}</h2>
        <button type="button" className="button icon" onClick={onClose} aria-label="Close">
          <CloseIcon />
        </button>
      </header>
      {children}
    </dialog>
  );
}
