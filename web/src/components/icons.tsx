// Small drawings, so that no font has to have them. Each stands beside a word or inside a named button.
// biome-ignore-all lint/a11y/noSvgWithoutTitle: hidden from assistive technology, the control has the name

const BOX = { width: 16, height: 16, viewBox: "0 0 16 16", fill: "none", "aria-hidden": true } as const;
const LINE = {
  stroke: "currentColor",
  strokeWidth: 1.5,
  strokeLinecap: "round",
  strokeLinejoin: "round",
} as const;

export const PulseIcon = () => (
  <svg {...BOX} width={20} height={20} viewBox="0 0 20 20">
    <path {...LINE} strokeWidth={2} d="M1.5 11h3.6l2-6 3.6 10.5 2.8-7.5 1.4 3h3.6" />
  </svg>
);

export const PauseIcon = () => (
  <svg {...BOX}>
    <path {...LINE} strokeWidth={2.2} d="M5.5 3.5v9M10.5 3.5v9" />
  </svg>
);

export const PlayIcon = () => (
  <svg {...BOX}>
    <path
      d="M5 3.2v9.6a.5.5 0 0 0 .77.42l7.3-4.8a.5.5 0 0 0 0-.84l-7.3-4.8A.5.5 0 0 0 5 3.2Z"
      fill="currentColor"
    />
  </svg>
);

export const ThemeIcon = () => (
  <svg {...BOX}>
    <circle {...LINE} cx="8" cy="8" r="5.75" />
    <path d="M8 2.25a5.75 5.75 0 0 1 0 11.5Z" fill="currentColor" />
  </svg>
);

export const HelpIcon = () => (
  <svg {...BOX}>
    <path {...LINE} d="M5.7 6.1a2.3 2.3 0 1 1 3.5 2c-.8.5-1.2.9-1.2 1.7" />
    <circle cx="8" cy="12.3" r=".95" fill="currentColor" />
  </svg>
);

export const WallIcon = () => (
  <svg {...BOX}>
    <path {...LINE} d="M2.5 6V2.5H6M10 2.5h3.5V6M13.5 10v3.5H10M6 13.5H2.5V10" />
  </svg>
);

export const CopyIcon = () => (
  <svg {...BOX}>
    <rect {...LINE} x="5.5" y="5.5" width="8" height="8" rx="1.5" />
    <path {...LINE} d="M10.5 5.5V4A1.5 1.5 0 0 0 9 2.5H4A1.5 1.5 0 0 0 2.5 4v5A1.5 1.5 0 0 0 4 10.5h1.5" />
  </svg>
);

export const KeyIcon = () => (
  <svg {...BOX}>
    <circle {...LINE} cx="5" cy="11" r="2.75" />
    <path {...LINE} d="m7 9 6.2-6.2M10.4 5.6l2.2 2.2" />
  </svg>
);

export const CloseIcon = () => (
  <svg {...BOX}>
    <path {...LINE} d="m4 4 8 8M12 4l-8 8" />
  </svg>
);
