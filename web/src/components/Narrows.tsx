// A name that narrows the page to what carries it, by a click.

import type { MouseEvent, ReactNode } from "react";
import { narrowed } from "../state/filter";
import { useSession } from "../state/hooks";

export function Narrows({ field, value, children }: { field: string; value: string; children: ReactNode }) {
  const { store, setFilter } = useSession();
  const narrow = (event: MouseEvent<HTMLButtonElement>) => {
    setFilter(narrowed(store.latest().filter, field, value));
    // After the mouse the keys belong to the page again: space holds the picture.
    if (event.detail > 0) event.currentTarget.blur();
  };
  return (
    <button type="button" className="narrows" onClick={narrow}>
      {children}
    </button>
  );
}
