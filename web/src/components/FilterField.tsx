// What is watched: the terms of the filter as chips, and a field to type one. A click on a route or a status class
// writes a term here too.

import { type FormEvent, type KeyboardEvent, useEffect, useRef } from "react";
import { FILTER_CHARS_MAX, termsOf, without } from "../state/filter";
import { useDashboard, useSession } from "../state/hooks";
import { CloseIcon } from "./icons";

export const FILTER_FIELD = "filter-field";

export function FilterField() {
  const { filter } = useDashboard();
  const { setFilter } = useSession();
  const field = useRef<HTMLInputElement>(null);
  const terms = termsOf(filter);

  // A term that was typed is a chip now.
  // biome-ignore lint/correctness/useExhaustiveDependencies: for every filter, whatever it is
  useEffect(() => {
    if (field.current) field.current.value = "";
  }, [filter]);

  const submit = (event: FormEvent) => {
    event.preventDefault();
    const typed = field.current?.value ?? "";
    if (typed.trim() !== "") setFilter(`${filter} ${typed}`);
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
        <button
          key={term}
          type="button"
          className="chip"
          title={`${term}: take it out`}
          aria-label={`Filter ${term}. Take it out`}
          onClick={() => setFilter(without(filter, term))}
        >
          <span>{term}</span>
          <CloseIcon />
        </button>
      ))}
      <input
        id={FILTER_FIELD}
        ref={field}
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
