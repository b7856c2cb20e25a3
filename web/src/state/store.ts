// Holds the state for React: actions are reduced as they come, listeners are told at most once an animation frame.
// While the page is hidden the browser gives no frames, so nothing is drawn; the state stays up to date.

import { type Action, reduce, type State } from "./state";

export interface Store {
  /** What is on screen. */
  get: () => State;
  /** What is known, drawn or not. */
  latest: () => State;
  dispatch: (action: Action) => void;
  /** Told once an animation frame. */
  subscribe: (listener: () => void) => () => void;
  /** Told at every change, also while the page is hidden: for what is not drawn, such as the title of the tab. */
  watch: (listener: () => void) => () => void;
}

export function createStore(initial: State): Store {
  let current = initial;
  /** What listeners see: it moves only with a frame. */
  let drawn = initial;
  let scheduled = false;
  const listeners = new Set<() => void>();
  const watchers = new Set<() => void>();

  function flush(): void {
    scheduled = false;
    if (drawn === current) return;
    drawn = current;
    for (const listener of listeners) listener();
  }

  return {
    get: () => drawn,
    latest: () => current,
    dispatch: (action) => {
      const before = current;
      current = reduce(before, action);
      if (current === before) return;
      if (!scheduled) {
        scheduled = true;
        requestAnimationFrame(flush);
      }
      for (const watcher of watchers) watcher();
    },
    watch: (watcher) => {
      watchers.add(watcher);
      return () => watchers.delete(watcher);
    },
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
