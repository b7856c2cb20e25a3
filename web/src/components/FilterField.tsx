// What is watched: the terms of the filter as chips, and a field to type one. A click on a route or a status class
// writes a term here too.

import type { FormEvent, KeyboardEvent } from "react";
import { FILTER_CHARS_MAX, termsOf, without } from "../state/filter";
import { useDashboard, useSession } from "../state/hooks";
import { CloseIcon } from "./icons";
import { HOME, Passing } from "./Passing";

export function FilterField() {
  const { filter } = useDashboard();
  const { store, setFilter } = useSession();
  const terms = termsOf(filter);

  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const field = event.currentTarget.elements.namedItem("term") as HTMLInputElement;
    const typed = field.value;
    // What was typed is a chip now. Emptied here and not once the chip is drawn: the next term may be begun by then.
    field.value = "";
    if (typed.trim() !== "") setFilter(`${store.latest().filter} ${typed}`);
  };
  const pressed = (event: KeyboardEvent<HTMLInputElement>) => {
    const { value } = event.currentTarget;
    if (event.key === "Escape") {
      event.currentTarget.value = "";
      event.currentTarget.blur();
    }
    const last = terms.at(-1);
    if (event.key === "Backspace" && value === "" && last !== undefined) setFilter(without(filter, last));
  };

  return (
    <form className="filter" onSubmit={submit}>
      {terms.map((term) => (
        <Passing
          key={term}
          home={HOME.filter}
          className="chip"
          title={`${term}: take it out`}
          aria-label={`Filter ${term}. Take it out`}
          onClick={() => setFilter(without(filter, term))}
        >
          <span>{term}</span>
          <CloseIcon />
        </Passing>
      ))}
      <input
        id={HOME.filter}
        name="term"
        type="text"
        aria-label="Filter"
        placeholder={terms.length > 0 ? "and…" : "filter, as status=5xx"}
        title="narrow to what matches (/): route, type, site, status, error, userId, sessionId, clientId; route=/shop/* for all below it"
        maxLength={FILTER_CHARS_MAX}
        autoComplete="off"
        autoCapitalize="off"
        spellCheck={false}
        onKeyDown={pressed}
      />
    </form>
  );
}
