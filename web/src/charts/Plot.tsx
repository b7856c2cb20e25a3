// One uPlot on the page. Built once; afterwards data, size and colours are set on it. Nothing is drawn while it is
// outside the screen: the newest data is kept and drawn when it comes in.

import { useEffect, useRef } from "react";
import uPlot from "uplot";
import { subscribeTheme } from "../state/preferences";
import { forgetPalette } from "./palette";
import type { Size } from "./spec";

interface Props {
  /** Builds the options; read once. */
  options: (size: Size) => uPlot.Options;
  data: uPlot.AlignedData;
  /** Changes when something drawn but not in the data does, such as the name of the newest tick. */
  mark?: string;
}

export function Plot({ options, data, mark = "" }: Props) {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const build = useRef(options);
  const latest = useRef({ data, mark });
  const drawn = useRef({ data, mark });
  const visible = useRef(false);

  const draw = useRef(() => {
    const u = plot.current;
    const next = latest.current;
    if (!u || !visible.current) return;
    if (next.data !== drawn.current.data) u.setData(next.data);
    if (next.mark !== drawn.current.mark) u.redraw(false, true);
    drawn.current = next;
  });

  useEffect(() => {
    latest.current = { data, mark };
    draw.current();
  }, [data, mark]);

  useEffect(() => {
    const element = host.current;
    if (!element) return;
    const size = () => ({ width: element.clientWidth, height: element.clientHeight });
    const u = new uPlot(build.current(size()), latest.current.data, element);
    plot.current = u;
    drawn.current = latest.current;

    const sized = new ResizeObserver(() => {
      const { width, height } = size();
      if (width > 0 && (width !== u.width || height !== u.height)) u.setSize({ width, height });
    });
    sized.observe(element);
    const seen = new IntersectionObserver(
      (entries) => {
        visible.current = entries[entries.length - 1]?.isIntersecting ?? false;
        draw.current();
      },
      { rootMargin: "64px" },
    );
    seen.observe(element);
    const themed = subscribeTheme(() => {
      forgetPalette();
      u.redraw(false, false);
    });
    return () => {
      sized.disconnect();
      seen.disconnect();
      themed();
      u.destroy();
      plot.current = null;
    };
  }, []);

  return <div className="plot" ref={host} aria-hidden="true" />;
}
