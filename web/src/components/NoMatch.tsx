// What stands over the charts while nothing that the filter lets through has come.

import { useSession } from "../state/hooks";
import { HOME, Passing } from "./Passing";

export function NoMatch({ filter }: { filter: string }) {
  const { setFilter } = useSession();
  return (
    <section className="firstrun nomatch" aria-labelledby="nomatch-title">
      <h2 id="nomatch-title">Nothing matches</h2>
      <p role="status">
        No event of these minutes was let through by <code>{filter}</code>. One that comes shows here at once.
      </p>
      <Passing home={HOME.filter} className="button" onClick={() => setFilter("")}>
        <span>show everything</span>
      </Passing>
    </section>
  );
}
