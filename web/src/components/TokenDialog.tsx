// Asks for a token, says why, and which command makes one; with a token in use, says what it allows and until when.
// What is typed stays in the field until it is sent, and the field is empty from then on.

import { type FormEvent, useCallback, useLayoutEffect, useRef, useState } from "react";
import { endsInS, isAsking, scopeOf, sendLimit } from "../state/access";
import { denialOf, MINT_READ } from "../state/denials";
import { age, count, moment } from "../state/format";
import { useDashboard, useSession } from "../state/hooks";
import type { State } from "../state/state";
import { type Claims, readToken } from "../wire/token";
import { CopyLine } from "./CopyLine";
import { Dialog } from "./Dialog";
import { HOME } from "./Passing";

/** A file with a token in it is smaller than this. */
const FILE_BYTES_MAX = 64 * 1024;

export function TokenDialog({ open, onClose }: { open: boolean; onClose: () => void }) {
  const state = useDashboard();
  const session = useSession();
  const field = useRef<HTMLInputElement>(null);
  const [wrong, setWrong] = useState<string>();
  const [found, setFound] = useState<Claims>();
  const { used, offered, refusal } = state.access;
  const why =
    refusal ?? (state.connection.kind === "denied" && isAsking(state) ? state.connection : undefined);
  const denial = why || !used ? denialOf(why?.code ?? "unauthorized", true) : undefined;

  const empty = useCallback(() => {
    if (field.current) field.current.value = "";
    setFound(undefined);
  }, []);

  // With the dialog's own opening: until then the focus is on its first button, and a key would press that.
  useLayoutEffect(() => {
    if (open) field.current?.focus();
    else empty();
    setWrong(undefined);
  }, [open, empty]);

  const read = (complain: boolean) => {
    const text = field.current?.value ?? "";
    const reading = text === "" ? undefined : readToken(text);
    setFound(reading && "claims" in reading ? reading.claims : undefined);
    setWrong(complain ? reading?.wrong : undefined);
  };

  const fill = async (file: File | undefined) => {
    if (!file || !field.current) return;
    if (file.size > FILE_BYTES_MAX) return setWrong("This file is far too large for a token.");
    const reading = readToken(await file.text());
    if (reading.wrong !== undefined) return setWrong(reading.wrong);
    field.current.value = reading.token;
    read(true);
    field.current.focus();
  };

  const submit = (event: FormEvent) => {
    event.preventDefault();
    const complaint = session.offerToken(field.current?.value ?? "");
    setWrong(complaint);
    if (complaint === undefined) empty();
    field.current?.focus();
  };

  return (
    <Dialog name="token" title={denial?.title ?? "Access"} open={open} home={HOME.access} onClose={onClose}>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: a file can be chosen with the keyboard too, below */}
      <div
        className="drop"
        onDragOver={(event) => event.preventDefault()}
        onDrop={(event) => {
          event.preventDefault();
          void fill(event.dataTransfer?.files[0]);
        }}
      >
        {denial && <p role="status">{denial.text}</p>}
        {refusal && <p className="hint">{`${refusal.detail} (${refusal.code})`}</p>}
        {used && !isAsking(state) && <Facts state={state} used={used} />}
        <CopyLine label="run this where the daemon's secret is" text={MINT_READ} />
        <form onSubmit={submit} autoComplete="off">
          <label htmlFor="token-field">{used ? "new token" : "token"}</label>
          <div className="field">
            <input
              id="token-field"
              ref={field}
              type="password"
              autoComplete="off"
              autoCapitalize="off"
              spellCheck={false}
              placeholder="eyJ…"
              aria-describedby="token-note"
              aria-invalid={wrong !== undefined}
              onInput={(event) => read((event.nativeEvent as InputEvent).inputType === "insertFromPaste")}
            />
            <button type="submit" className="button primary" disabled={offered !== undefined}>
              <span>{offered ? "checking" : "use it"}</span>
            </button>
          </div>
          <p id="token-note" className={wrong ? "bad" : "hint"} role="status">
            {wrong ?? noteOf(state, found)}
          </p>
        </form>
        <footer>
          <p className="hint">
            It stays in this page's memory, nowhere else: after a reload the page asks again.
          </p>
          <label className="link">
            from a file
            <input
              type="file"
              className="hidden"
              onChange={(event) => {
                void fill(event.currentTarget.files?.[0]);
                event.currentTarget.value = "";
              }}
            />
          </label>
          {used && (
            <button type="button" className="link" onClick={session.forgetToken}>
              forget it
            </button>
          )}
        </footer>
      </div>
    </Dialog>
  );
}

/** What stands under the field: what the pasted token says of itself, or what becomes of the one sent. */
function noteOf(state: State, found: Claims | undefined): string {
  if (found) {
    const site = found.site === undefined ? "" : `, site ${found.site}`;
    return `For ${found.subject}: ${found.scope}${site}, until ${moment(found.expiresS, Date.now())}.`;
  }
  if (!state.access.offered) return "Paste it, or drop the file it is in.";
  if (state.connection.kind === "reconnecting")
    return "The daemon does not answer; the token is tried once it does.";
  return "Asking the daemon.";
}

function Facts({ state, used }: { state: State; used: Claims }) {
  const left = endsInS(state);
  const limit = sendLimit(state);
  const end = moment(used.expiresS, Date.now());
  const facts: [string, string][] = [
    ["for", used.subject],
    ["may", scopeOf(state).split(" ").join(", ")],
    ["site", used.site ?? "all"],
    ["ends", left === undefined ? end : left > 0 ? `${end}, in ${age(left)}` : "now"],
    ...(limit === undefined ? [] : ([["may send", `${count(limit)} events/s`]] as [string, string][])),
  ];
  return (
    <dl className="facts">
      {facts.map(([name, what]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{what}</dd>
        </div>
      ))}
    </dl>
  );
}
