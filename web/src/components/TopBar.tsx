// The bar: what this is, how fresh it is, and the few things one can do.

import { usesTokens } from "../state/access";
import { useDashboard, useNow, useSession, useTheme } from "../state/hooks";
import { cycleTheme, type Theme } from "../state/preferences";
import { DEFAULT_WINDOWS, isCurrent, isSlowed, shownRoom } from "../state/state";
import { statusOf } from "../state/status";
import { FilterField } from "./FilterField";
import { HelpIcon, KeyIcon, PauseIcon, PlayIcon, PulseIcon, ThemeIcon, WallIcon } from "./icons";
import { HOME } from "./Passing";
import { Said } from "./Said";

const THEME_NAMES: Record<Theme, string> = {
  auto: "as the system",
  light: "light",
  dark: "dark",
  contrast: "high contrast",
};

interface Props {
  onHelp: () => void;
  onToken: () => void;
  onWall: () => void;
}

export function TopBar({ onHelp, onToken, onWall }: Props) {
  const state = useDashboard();
  const session = useSession();
  const theme = useTheme();
  const paused = state.frozen !== undefined;
  const { site } = state.access.used ?? {};
  const windows = state.welcome?.windows ?? DEFAULT_WINDOWS;

  return (
    <header className="topbar">
      <h1 className="brand">
        <PulseIcon />
        pulseboard
      </h1>
      {site !== undefined && (
        <p className="site" title={`this token sees the site ${site} alone`}>
          <span className="unit">site</span> {site}
        </p>
      )}
      <StatusLine />
      <Said />
      <FilterField />
      <div className="controls">
        <fieldset className="segmented">
          <legend className="hidden">Window</legend>
          {windows.map((window, i) => (
            <label
              key={window}
              title={`the last ${window}, moving every second${i < 9 ? ` (${i + 1})` : ""}`}
            >
              <input
                type="radio"
                name="window"
                value={window}
                checked={state.window === window}
                onChange={() => session.setWindow(window)}
              />
              <span>{window}</span>
            </label>
          ))}
        </fieldset>
        <button
          type="button"
          className="button pause"
          aria-pressed={paused}
          disabled={!shownRoom(state)}
          onClick={session.togglePause}
          title={paused ? "back to live (space)" : "hold this picture (space)"}
        >
          {paused ? <PlayIcon /> : <PauseIcon />}
          <span>{paused ? "resume" : "pause"}</span>
        </button>
        <button
          type="button"
          className="button icon"
          onClick={cycleTheme}
          title={`theme: ${THEME_NAMES[theme]} (t)`}
          aria-label={`Theme: ${THEME_NAMES[theme]}. Change`}
        >
          <ThemeIcon />
        </button>
        {usesTokens(state) && (
          <button
            type="button"
            id={HOME.access}
            className="button icon"
            onClick={onToken}
            title="access: the token in use (a)"
            aria-label="Access"
          >
            <KeyIcon />
          </button>
        )}
        <button
          type="button"
          id={HOME.help}
          className="button icon"
          onClick={onHelp}
          title="help (?)"
          aria-label="Help"
        >
          <HelpIcon />
        </button>
        <button
          type="button"
          className="button icon"
          onClick={onWall}
          title="wall board, full screen"
          aria-label="Wall board"
        >
          <WallIcon />
        </button>
      </div>
    </header>
  );
}

/** How fresh the picture is. What is announced of it is in `Said`. */
export function StatusLine() {
  const state = useDashboard();
  const now = useNow(!isCurrent(state) || isSlowed(state));
  const status = statusOf(state, now);
  return (
    <p className={`status ${status.light}`}>
      <i className="light" />
      <b>{status.word}</b> <span>{status.detail}</span>
    </p>
  );
}
