// A button that may go away while it has the focus: the focus then goes to a control that stays, not to nowhere.

import { type ButtonHTMLAttributes, useLayoutEffect, useRef } from "react";

/** Controls that stay, by their ids. */
export const HOME = {
  access: "access-button",
  demo: "demo-button",
  filter: "filter-field",
  help: "help-button",
  system: "system-button",
} as const;

interface Props extends ButtonHTMLAttributes<HTMLButtonElement> {
  /** Where the focus goes then. */
  home: string;
}

export function Passing({ home, ...button }: Props) {
  const own = useRef<HTMLButtonElement>(null);
  useLayoutEffect(() => {
    const element = own.current;
    return () => {
      if (element && document.activeElement === element) document.getElementById(home)?.focus();
    };
  }, [home]);
  return <button ref={own} type="button" {...button} />;
}
