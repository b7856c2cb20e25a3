// One page's session: joins the feed to the store, and is what the pages call to change the view.

import { Feed, type FeedEvent } from "../wire/feed";
import { Refused } from "../wire/rest";
import { filterOf, roomOf } from "../wire/rooms";
import { allows, readToken } from "../wire/token";
import { sendLimit } from "./access";
import { HISTORY_TICKS } from "./columns";
import { Demo } from "./demo";
import type { Metrics } from "./figures";
import { tidy } from "./filter";
import { follows } from "./room";
import { chosenRoom, DEFAULT_WINDOW, initialState } from "./state";
import { createStore, type Store } from "./store";

export interface Session {
  store: Store;
  demo: Demo;
  setWindow: (window: string) => void;
  setFilter: (filter: string) => void;
  togglePause: () => void;
  retryNow: () => void;
  /** The daemon's own figures. */
  figures: () => Promise<Metrics>;
  /** Presents a token; answers what is wrong with it, where that can be seen from here. */
  offerToken: (pasted: string) => string | undefined;
  /** Forgets the token and the picture it gave. */
  forgetToken: () => void;
  start: () => () => void;
}

export function createSession(origin: string, window: string, filter: string): Session {
  const store = createStore(initialState(window, filter));
  /** What the filter was before: where it goes back to when the daemon takes the new one for none. */
  let filterBefore = "";

  function onFeed(event: FeedEvent): void {
    if (event.kind === "message") {
      const { message } = event;
      if (message.op === "delta") {
        if (message.room !== chosenRoom(store.latest())) return;
        const room = store.latest().rooms[message.room];
        // A frame that does not continue ours is no use: ask for what is missing instead.
        if (room && message.tick <= room.tick) return;
        if (!follows(room, message)) {
          feed.resync();
          return;
        }
      }
      if (message.op === "welcome" && !message.windows.includes(store.latest().window)) {
        const fallback = message.windows.includes(DEFAULT_WINDOW) ? DEFAULT_WINDOW : message.windows[0];
        if (fallback) setWindow(fallback);
      }
    }
    if (event.kind === "barred") barred(event.room, event.detail);
    else store.dispatch({ kind: "feed", event, nowMs: Date.now() });
  }

  /** What was typed is no filter: the one before goes on, and a line says why. */
  function barred(room: string, detail: string): void {
    if (filterOf(room) !== store.latest().filter) return;
    view(store.latest().window, filterBefore === filterOf(room) ? "" : filterBefore);
    store.dispatch({ kind: "notice", notice: `no such filter: ${detail}` });
  }

  const feed = new Feed(
    `${origin.replace(/^http/, "ws")}/ws`,
    roomOf(window, filter),
    onFeed,
    (room) => store.latest().rooms[room]?.tick,
  );

  function setWindow(next: string): void {
    const { window, filter } = store.latest();
    if (window !== next) view(next, filter);
  }

  function setFilter(next: string): void {
    const { window, filter } = store.latest();
    if (filter === tidy(next)) return;
    filterBefore = filter;
    view(window, tidy(next));
  }

  function view(window: string, filter: string): void {
    const { frozen } = store.latest();
    store.dispatch({ kind: "view", window, filter });
    feed.watch(roomOf(window, filter));
    if (frozen) void rewind(roomOf(window, filter), frozen.tick);
  }

  /** A held picture stays at its moment when another window or filter is chosen. */
  async function rewind(room: string, tick: number): Promise<void> {
    try {
      // The numbers of a moment come alone; the history that led to them is the newest one's, up to it.
      const [snapshot, newest] = await Promise.all([
        feed.aggregates(room, { at: tick }),
        feed.aggregates(room, { since: tick - HISTORY_TICKS }),
      ]);
      if (snapshot.tick !== tick) throw new Error("another tick");
      if (chosenRoom(store.latest()) === room) store.dispatch({ kind: "rewound", snapshot, newest });
    } catch (error) {
      const now = store.latest();
      if (chosenRoom(now) !== room || now.frozen?.tick !== tick) return;
      const limited = error instanceof Refused && error.passes;
      const why = limited
        ? "the daemon's limit of calls is reached"
        : "that moment is not stored for this view";
      store.dispatch({ kind: "resume", notice: `${why}: live again` });
    }
  }

  function offerToken(pasted: string): string | undefined {
    const reading = readToken(pasted);
    if (reading.wrong !== undefined) return reading.wrong;
    const { token, claims } = reading;
    if (!allows(claims.scope, "read"))
      return `This token may do: ${claims.scope || "nothing"}. Watching needs the scope read.`;
    const { used } = store.latest().access;
    store.dispatch({ kind: "offer", claims });
    feed.offer(token, used !== undefined && used.site !== claims.site);
    return undefined;
  }

  const demo = new Demo({
    canSend: () => feed.canPublish,
    send: (events) => feed.publish(events),
    limit: () => sendLimit(store.latest()),
  });

  return {
    store,
    demo,
    setWindow,
    setFilter,
    togglePause: () => store.dispatch({ kind: store.latest().frozen ? "resume" : "pause" }),
    retryNow: () => feed.nudge(),
    figures: () => feed.metrics(),
    offerToken,
    forgetToken: () => {
      demo.stop();
      feed.forget();
      store.dispatch({ kind: "forget" });
    },
    start: () => {
      const nudge = () => {
        if (document.visibilityState === "visible" && store.latest().connection.kind !== "denied")
          feed.nudge();
      };
      feed.start();
      document.addEventListener("visibilitychange", nudge);
      window_.addEventListener("online", nudge);
      return () => {
        document.removeEventListener("visibilitychange", nudge);
        window_.removeEventListener("online", nudge);
        demo.stop();
        feed.stop();
      };
    },
  };
}

// The name `window` means a time window in this file.
const window_ = globalThis.window;
