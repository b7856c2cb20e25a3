// A dialog over the page: the browser keeps the focus in it, closes it with escape, and gives the focus back.

import { type ReactNode, useEffect, useRef } from "react";
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
  useEffect(() => {
    if (open) dialog.current?.showModal();
    else dialog.current?.close();
  }, [open]);

  return (
    <dialog ref={dialog} className={`dialog ${name}`} aria-labelledby={`${name}-title`} onClose={onClose}>
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
