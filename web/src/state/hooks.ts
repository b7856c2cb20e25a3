// React's ways into the session.

import { createContext, useContext, useEffect, useState, useSyncExternalStore } from "react";
import type { DemoState } from "./demo";
import { getTheme, subscribeTheme, type Theme } from "./preferences";
import type { Session } from "./session";
import type { State } from "./state";

export const SessionContext = createContext<Session | undefined>(undefined);

export function useSession(): Session {
  const session = useContext(SessionContext);
  if (!session) throw new Error("a page stands inside a session");
  return session;
}

export function useDashboard(): State {
  const { store } = useSession();
  return useSyncExternalStore(store.subscribe, store.get);
}

export function useDemo(): DemoState {
  const { demo } = useSession();
  return useSyncExternalStore(demo.subscribe, demo.get);
}

export function useTheme(): Theme {
  return useSyncExternalStore(subscribeTheme, getTheme);
}

/** The time now in Unix ms, moving once a second while `active`. */
export function useNow(active: boolean): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    if (!active) return;
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, [active]);
  return now;
}
