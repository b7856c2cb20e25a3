// The page as a whole: session, address bar, title and keys.

import { useCallback, useEffect, useLayoutEffect, useMemo, useState } from "react";
import { Help } from "../components/Help";
import { NoSocket } from "../components/NoSocket";
import { HOME } from "../components/Passing";
import { System } from "../components/System";
import { TokenDialog } from "../components/TokenDialog";
import { isAsking, usesTokens } from "../state/access";
import { formatView, parseView } from "../state/address";
import { rate } from "../state/format";
import { SessionContext, useDashboard, useSession } from "../state/hooks";
import { cycleTheme } from "../state/preferences";
import { createSession } from "../state/session";
import { DEFAULT_WINDOWS, isCurrent, type State, shownRoom } from "../state/state";
import { Overview } from "./Overview";
import { Wall } from "./Wall";

export function App() {
  const session = useMemo(() => {
    const { window, filter } = parseView(location.search);
    return createSession(location.origin, window, filter);
  }, []);
  useEffect(() => session.start(), [session]);
  return (
    <SessionContext.Provider value={session}>
      <Screen />
    </SessionContext.Provider>
  );
}

export function titleOf(state: State): string {
  const room = shownRoom(state);
  const name = "pulseboard";
  if (state.connection.kind === "denied")
    return `${state.connection.asks ? "token needed" : "not allowed"} - ${name}`;
  if (!room) return name;
  const number = `${rate(room.aggregate.eventsPerSecond)}/s`;
  if (state.frozen) return `‖ ${number} - ${name}`;
  return isCurrent(state) ? `${number} - ${name}` : `reconnecting - ${name}`;
}

function Screen() {
  const state = useDashboard();
  const session = useSession();
  const [wall, setWall] = useState(() => parseView(location.search).wall);
  const [dialog, setDialog] = useState<"help" | "token" | "no socket" | "system">();
  const asking = isAsking(state);
  const { taken, asked } = state.access;

  const closeDialog = useCallback(() => {
    setDialog(undefined);
    session.store.dispatch({ kind: "settled" });
  }, [session]);
  // With the drawing too: a key that comes right after finds the dialog that is seen.
  useLayoutEffect(() => {
    if (taken > 0) setDialog((shown) => (shown === "token" ? undefined : shown));
  }, [taken]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: each time the daemon asks, not for as long as it does
  useLayoutEffect(() => {
    if (asking) setDialog("token");
  }, [asked]);

  const enterWall = useCallback(() => {
    setWall(true);
    document.documentElement.requestFullscreen?.().catch(() => {
      // Full screen is a wish; the board stands without it.
    });
  }, []);
  const leaveWall = useCallback(() => {
    setWall(false);
    if (document.fullscreenElement) void document.exitFullscreen();
  }, []);

  useEffect(() => {
    const { store } = session;
    // The tab's title is read while the page is hidden: it does not wait for a frame.
    const name = () => {
      const title = titleOf(store.latest());
      if (document.title !== title) document.title = title;
    };
    return store.watch(name);
  }, [session]);

  useEffect(() => {
    const search = formatView({ window: state.window, filter: state.filter, wall });
    if (search !== location.search) history.replaceState(null, "", `${location.pathname}${search}`);
  }, [state.window, state.filter, wall]);

  useEffect(() => {
    const moved = () => {
      const view = parseView(location.search);
      session.setWindow(view.window);
      session.setFilter(view.filter);
      setWall(view.wall);
    };
    const fullscreen = () => {
      if (!document.fullscreenElement) setWall(false);
    };
    addEventListener("popstate", moved);
    document.addEventListener("fullscreenchange", fullscreen);
    return () => {
      removeEventListener("popstate", moved);
      document.removeEventListener("fullscreenchange", fullscreen);
    };
  }, [session]);

  const tokens = usesTokens(state);
  const windows = state.welcome?.windows ?? DEFAULT_WINDOWS;
  // A key counts for what is drawn, so this goes with the drawing.
  useLayoutEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || dialog) return;
      const target = event.target as HTMLElement;
      const isControl = target.matches("button, input[type=range], a, textarea");
      if (target.matches("input[type=text]")) return;
      if (event.key === "Escape" && wall) return leaveWall();
      if (event.key === "/" && !wall) {
        event.preventDefault();
        return document.getElementById(HOME.filter)?.focus();
      }
      // On a button, space presses the button.
      if (event.key === " " && !isControl) {
        event.preventDefault();
        return session.togglePause();
      }
      if (event.key === "t") return cycleTheme();
      if (event.key === "s" && !wall) return setDialog("system");
      if (event.key === "?" && !wall) return setDialog("help");
      if (event.key === "a" && tokens) return setDialog("token");
      const window = windows[Number(event.key) - 1];
      if (window !== undefined) session.setWindow(window);
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, [session, windows, wall, tokens, dialog, leaveWall]);

  return (
    <>
      {wall ? (
        <Wall onLeave={leaveWall} onToken={() => setDialog("token")} />
      ) : (
        <Overview
          origin={location.origin}
          onHelp={() => setDialog("help")}
          onToken={() => setDialog("token")}
          onNoSocket={() => setDialog("no socket")}
          onSystem={() => setDialog("system")}
          onWall={enterWall}
        />
      )}
      <Help open={dialog === "help"} tokens={tokens} onClose={closeDialog} />
      <TokenDialog open={dialog === "token"} onClose={closeDialog} />
      <System open={dialog === "system"} onClose={closeDialog} />
      <NoSocket open={dialog === "no socket"} onClose={closeDialog} origin={location.origin} />
    </>
  );
}
